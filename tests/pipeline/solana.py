"""A world on Solana from outside: a bank that makes tokens, policies, requests, and what became of them."""

from tests.chains.conftest import KeySigner
from tests.chains.tokens import Bank
from tests.world import LOCALNET, OPERATOR, SLOT, SOL, a_policy
from waiaas.domain.chain import Chain
from waiaas.domain.event import Actor
from waiaas.domain.policy import PolicyType, parse_rules
from waiaas.pipeline.registry import policies as policy_steps
from waiaas.pipeline.requests.submit import submit
from waiaas.repositories import ledger

OTHER = "9B5XszUGdMaxCZ7uSQhPzdks5ZQSmWxrmzCSvtJ6Ns6g"


class Slots:
    """The world's clock, as a bank moves it."""

    def __init__(self, clock) -> None:
        self._clock = clock

    def pass_slots(self, slots: int) -> None:
        self._clock.move(slots * SLOT)


async def open_bank(world) -> Bank:
    """Whoever makes tokens on the embedded chain, with money for it."""
    chain, signer = world.core.chains.chain(LOCALNET), KeySigner()
    world.time_passes()
    await chain.faucet(signer.address, 10 * SOL)
    return Bank(chain, Slots(world.clock), signer)


async def allow(world, kind: str, **rules):
    parsed = parse_rules(PolicyType(kind), rules, chain=Chain.SOLANA)
    policy = a_policy(parsed, world.alice.id, world.clock.now(), type=PolicyType(kind))
    return await policy_steps.create(world.core, policy, OPERATOR)


async def want(world, request):
    actor = Actor(f"session:{world.session.id}")
    accepted = await submit(
        world.core, world.alice, world.session, request, key=None, distinct=True, provenance=None, actor=actor
    )
    return accepted.tx


async def made(world, request):
    tx = await world.execute(await want(world, request))
    await world.confirm()
    return await world.row(tx)


async def booked(world, tx):
    return sorted(
        (
            row.kind.value,
            row.asset.split(":")[-1],
            row.state.value,
            row.reserved if row.settled is None else row.settled,
        )
        for row in await ledger.of_transaction(world.core.db, tx.id)
    )


def ended(tx):
    return tx.status.value, tx.error_code
