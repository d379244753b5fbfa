"""Sessions that hand on less than they have: what each of a family spends counts in all above it."""

import asyncio

from waiaas.cli.torture.client import Client
from waiaas.cli.torture.operator import Session
from waiaas.cli.torture.targets import INSTANT, Targets

#: payments that a parent is good for, and a child and a grandchild of it; each of them tries EACH
PARENT, CHILD, GRANDCHILD, EACH = 6, 4, 2, 3
#: of all families, those whose parent is revoked while they are at it
REVOKED_SHARE = 0.5


async def family(client: Client, targets: Targets) -> None:
    """A session, two children and a grandchild race for what the first one may spend in all."""
    parent = await client.operator.make_session(client.agent, maxTotalAmount=worth(client, PARENT))
    try:
        if members := await make_members(client, parent):
            paying = [pay(client, targets, member) for member in members for _ in range(EACH)]
            if client.chance.happens(REVOKED_SHARE):
                paying.append(end(client, parent))
            await asyncio.gather(*paying)
    finally:
        await client.operator.revoke(parent)


async def make_members(client: Client, parent: Session) -> list[Session]:
    """The parent and those below it; none if it was ended meanwhile."""
    members = [parent]
    for above, payments in ((0, CHILD), (0, CHILD), (1, GRANDCHILD)):
        child = await client.attenuate(members[above], maxTotalAmount=worth(client, payments))
        if child is None:
            return []
        members.append(child)
    return members


async def pay(client: Client, targets: Targets, session: Session) -> None:
    """A payment under one of the sessions, or under the client's own if that is void."""
    await asyncio.sleep(client.chance.between(0, 0.5))
    payment = targets.payment(client, INSTANT)
    intent = client.intend("family", payment.effect)
    await client.send(intent, payment.body, session)


async def end(client: Client, session: Session) -> None:
    """The session ends, and with it all below it."""
    await asyncio.sleep(client.chance.between(0, 0.5))
    await client.operator.revoke(session)


def worth(client: Client, payments: int) -> str:
    """So many payments, and a little of the next."""
    return str(payments * INSTANT * client.agent.kind.unit + INSTANT // 2 * client.agent.kind.unit)
