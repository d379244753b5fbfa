"""What clients ask for. A new operation is one function and one line in OPERATIONS."""

import asyncio
from collections.abc import Awaitable, Callable

from waiaas.cli.torture.client import Client
from waiaas.cli.torture.families import family
from waiaas.cli.torture.targets import APPROVED, DELAYED, INSTANT, TOO_MUCH, Payment, Targets
from waiaas.domain.chain import Chain

#: share of transactions that their client waits for
FOLLOWED = 0.3

Operation = Callable[[Client, Targets], Awaitable[None]]


async def transfer(client: Client, targets: Targets) -> None:
    """A payment under a key, repeated until it is answered."""
    await end(client, await ask(client, "transfer", targets.payment(client, INSTANT)))


async def token_transfer(client: Client, targets: Targets) -> None:
    """A payment in tokens."""
    await end(client, await ask(client, "token_transfer", targets.tokens(client, INSTANT)))


async def call(client: Client, targets: Targets) -> None:
    """A payment that is made by calling a program."""
    await end(client, await ask(client, "call", targets.call(client, INSTANT)))


async def approval(client: Client, targets: Targets) -> None:
    """The bank is let take some tokens, in the place of what it was let take before."""
    await end(client, await ask(client, "approval", targets.allowance(client, INSTANT)))


async def revocation(client: Client, targets: Targets) -> None:
    """The bank is let take nothing any more."""
    await end(client, await ask(client, "revocation", targets.allowance(client, 0)))


async def take(client: Client, targets: Targets) -> None:
    """The bank takes some of what it may have been let take."""
    # for somebody who has an account for tokens
    others = [one for one in targets.agents[client.agent.kind.network] if one != client.agent.address]
    if others:
        amount = INSTANT // client.chance.whole(2, 5)
        await client.agent.host.bank.take(client.agent.address, client.chance.pick(others), amount)


async def transfer_without_key(client: Client, targets: Targets) -> None:
    """A payment that is asked for once, whatever becomes of the answer."""
    payment = targets.payment(client, INSTANT)
    intent = client.intend("transfer_without_key", payment.effect, keyed=False)
    await end(client, await client.send(intent, payment.body))


async def transfer_twice_at_once(client: Client, targets: Targets) -> None:
    """The same payment under the same key, three times at the same moment."""
    payment = targets.payment(client, INSTANT)
    intent = client.intend("transfer_twice_at_once", payment.effect)
    answers = await asyncio.gather(*(client.send(intent, {**payment.body, "memo": "once"}) for _ in range(3)))
    await end(client, answers[0])


async def delayed_transfer(client: Client, targets: Targets) -> None:
    """A payment that waits before it goes."""
    await end(client, await ask(client, "delayed_transfer", some(client, targets, DELAYED)))


async def approved_transfer(client: Client, targets: Targets) -> None:
    """A payment that goes if the owner says yes."""
    await end(client, await ask(client, "approved_transfer", some(client, targets, APPROVED)))


async def cancelled_transfer(client: Client, targets: Targets) -> None:
    """A payment that waits, and is cancelled while it does or just too late."""
    base = client.chance.pick([DELAYED, APPROVED])
    transaction = await ask(client, "cancelled_transfer", targets.payment(client, base))
    if transaction is not None:
        await asyncio.sleep(client.chance.between(0, 1.5))
        await client.ask(transaction, "cancel")


async def batch(client: Client, targets: Targets) -> None:
    """Several payments that belong together: one message on Solana, one after the other on an EVM chain."""
    payments = [some(client, targets, INSTANT) for _ in range(client.chance.whole(2, 4))]
    intent = client.intend("batch", *(payment.effect for payment in payments))
    body: dict[str, object] = {"type": "BATCH", "instructions": [payment.body for payment in payments]}
    await end(client, await client.send(intent, body))


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
    transaction = await ask(client, operation, targets.payment(client, INSTANT))
    await asyncio.sleep(client.chance.between(0, 0.5))
    return transaction


async def denied_transfer(client: Client, targets: Targets) -> None:
    """More than one transaction may move."""
    await ask(client, "denied_transfer", some(client, targets, TOO_MUCH))


async def burst(client: Client, targets: Targets) -> None:
    """Payments side by side, to race for what is left of the limit."""
    await asyncio.gather(*(transfer(client, targets) for _ in range(4)))


async def revoke_session(client: Client, targets: Targets) -> None:
    """The session ends while others of its requests may be under way."""
    if client.session is not None:
        session, client.session = client.session, None
        await client.operator.revoke(session)


async def renew_session(client: Client, targets: Targets) -> None:
    """The client's session goes on under another token, if half of its life is over."""
    await client.renew()


#: with how often each is done, compared with the others
OPERATIONS: tuple[tuple[Operation, int], ...] = (
    (transfer, 8),
    (token_transfer, 4),
    (call, 3),
    (approval, 3),
    (revocation, 1),
    (take, 3),
    (approved_transfer, 3),
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
    (renew_session, 5),
    (family, 1),
)


def some(client: Client, targets: Targets, base: int) -> Payment:
    """Native money or tokens."""
    return client.chance.pick([targets.payment, targets.tokens])(client, base)


async def ask(client: Client, operation: str, payment: Payment) -> str | None:
    """Ask for it under a key; the transaction, None if it was refused."""
    return await client.send(client.intend(operation, payment.effect), payment.body)


async def end(client: Client, transaction: str | None) -> None:
    """Of some transactions the client wants to know how they ended."""
    if transaction is not None and client.chance.happens(FOLLOWED):
        await client.follow(transaction)


async def work(client: Client, targets: Targets, stop: asyncio.Event) -> None:
    """One operation after the other until told to stop."""
    while not stop.is_set():
        await client.think()
        await client.chance.weighted(OPERATIONS)(client, targets)


async def close(client: Client, targets: Targets) -> None:
    """At the end nobody is let take anything any more, so that all that was taken is booked."""
    await ask(client, "close", targets.allowance(client, 0))
