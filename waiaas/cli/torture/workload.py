"""What clients ask for. A new operation is one function and one line in OPERATIONS."""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import count

import msgspec

from waiaas.cli.torture.client import Client
from waiaas.cli.torture.limits import PER_TRANSACTION
from waiaas.cli.torture.operator import BOUNDS
from waiaas.domain.chain import Chain

#: share of transactions that their client waits for
FOLLOWED = 0.3


class Targets(msgspec.Struct, frozen=True):
    """Where money goes, by network, and a number that no two payments share."""

    addresses: dict[str, list[str]]
    numbers: "count[int]"

    def payment(self, client: Client, base: int) -> tuple[str, int]:
        """Some recipient, and an amount of `base` units and a little more that nobody else asks for."""
        others = [one for one in self.addresses[client.agent.kind.network] if one != client.agent.address]
        return client.chance.pick(others), base * client.agent.kind.unit + next(self.numbers)


Operation = Callable[[Client, Targets], Awaitable[None]]

INSTANT, DELAYED, TOO_MUCH = 1_000_000, BOUNDS["instant_max"] + 1_000_000, BOUNDS[PER_TRANSACTION] + 1_000_000


async def transfer(client: Client, targets: Targets) -> None:
    """A payment under a key, repeated until it is answered."""
    to, amount = targets.payment(client, INSTANT)
    intent = client.intend("transfer", (to, amount))
    await end(client, await client.send(intent, {"to": to, "amount": str(amount)}))


async def transfer_without_key(client: Client, targets: Targets) -> None:
    """A payment that is asked for once, whatever becomes of the answer."""
    to, amount = targets.payment(client, INSTANT)
    intent = client.intend("transfer_without_key", (to, amount), keyed=False)
    await end(client, await client.send(intent, {"to": to, "amount": str(amount)}))


async def transfer_twice_at_once(client: Client, targets: Targets) -> None:
    """The same payment under the same key, three times at the same moment."""
    to, amount = targets.payment(client, INSTANT)
    intent = client.intend("transfer_twice_at_once", (to, amount))
    body: dict[str, object] = {"to": to, "amount": str(amount), "memo": "once"}
    answers = await asyncio.gather(*(client.send(intent, body) for _ in range(3)))
    await end(client, answers[0])


async def delayed_transfer(client: Client, targets: Targets) -> None:
    """A payment that waits before it goes."""
    to, amount = targets.payment(client, DELAYED)
    intent = client.intend("delayed_transfer", (to, amount))
    await end(client, await client.send(intent, {"to": to, "amount": str(amount)}))


async def cancelled_transfer(client: Client, targets: Targets) -> None:
    """A payment that waits, and is cancelled while it does or just too late."""
    to, amount = targets.payment(client, DELAYED)
    intent = client.intend("cancelled_transfer", (to, amount))
    transaction = await client.send(intent, {"to": to, "amount": str(amount)})
    if transaction is not None:
        await asyncio.sleep(client.chance.between(0, 1.5))
        await client.ask(transaction, "cancel")


async def batch(client: Client, targets: Targets) -> None:
    """Several payments that belong together: one message on Solana, one after the other on an EVM chain."""
    payments = [targets.payment(client, INSTANT) for _ in range(client.chance.whole(2, 4))]
    intent = client.intend("batch", *payments)
    items = [{"to": to, "amount": str(amount)} for to, amount in payments]
    await end(client, await client.send(intent, {"type": "BATCH", "instructions": items}))


async def hurried_transfer(client: Client, targets: Targets) -> None:
    """A payment that is asked to pay more and go sooner, where the chain knows that."""
    if (transaction := await replaceable(client, targets, "hurried_transfer")) is not None:
        await client.ask(transaction, "speed-up")
        await end(client, transaction)


async def recalled_transfer(client: Client, targets: Targets) -> None:
    """A payment that is signed, and then raced by a transfer of nothing under the same nonce."""
    if (transaction := await replaceable(client, targets, "recalled_transfer")) is not None:
        await client.ask(transaction, "cancel", {"onChain": True})
        await end(client, transaction)


async def replaceable(client: Client, targets: Targets, operation: str) -> str | None:
    """A payment on a chain where one can replace another, a moment after it was accepted."""
    if client.agent.kind.chain is not Chain.ETHEREUM:
        return None
    to, amount = targets.payment(client, INSTANT)
    intent = client.intend(operation, (to, amount))
    transaction = await client.send(intent, {"to": to, "amount": str(amount)})
    await asyncio.sleep(client.chance.between(0, 0.5))
    return transaction


async def denied_transfer(client: Client, targets: Targets) -> None:
    """More than one transaction may move."""
    to, amount = targets.payment(client, TOO_MUCH)
    intent = client.intend("denied_transfer", (to, amount))
    await client.send(intent, {"to": to, "amount": str(amount)})


async def burst(client: Client, targets: Targets) -> None:
    """Payments side by side, to race for what is left of the limit."""
    await asyncio.gather(*(transfer(client, targets) for _ in range(4)))


async def revoke_session(client: Client, targets: Targets) -> None:
    """The session ends while others of its requests may be under way."""
    if client.session is not None:
        session, client.session = client.session, None
        await client.operator.revoke(session)


#: with how often each is done, compared with the others
OPERATIONS: tuple[tuple[Operation, int], ...] = (
    (transfer, 10),
    (transfer_without_key, 2),
    (transfer_twice_at_once, 2),
    (delayed_transfer, 3),
    (cancelled_transfer, 3),
    (denied_transfer, 2),
    (burst, 2),
    (batch, 3),
    (hurried_transfer, 2),
    (recalled_transfer, 2),
    (revoke_session, 1),
)


async def end(client: Client, transaction: str | None) -> None:
    """Of some transactions the client wants to know how they ended."""
    if transaction is not None and client.chance.happens(FOLLOWED):
        await client.follow(transaction)


async def work(client: Client, targets: Targets, stop: asyncio.Event) -> None:
    """One operation after the other until told to stop."""
    while not stop.is_set():
        await client.think()
        await client.chance.weighted(OPERATIONS)(client, targets)
