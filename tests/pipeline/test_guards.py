"""Guards that the stories beside this file do not miss when they are taken out; see docs/mutants.md."""

from base64 import b64encode

import msgspec
import pytest

from tests.pipeline.ethereum import STUCK
from tests.pipeline.market import Market, rise, watch_market
from tests.pipeline.owners import owned, say_yes, signed
from tests.pipeline.solana import open_bank
from tests.world import OPERATOR, Between, a_policy
from waiaas.chains.base import Receipt
from waiaas.chains.solana.programs import ASSOCIATED_TOKEN, SYSTEM, TOKEN
from waiaas.chains.solana.tokens import associated
from waiaas.domain.approval import written_undeclared
from waiaas.domain.chain import Chain
from waiaas.domain.event import Actor
from waiaas.domain.ledger import LedgerKind
from waiaas.domain.owner import OwnerAction
from waiaas.domain.policy import PolicyType, parse_rules
from waiaas.domain.request import AccountMeta, ContractCall, Effect, canonical, digest
from waiaas.domain.transaction import AttemptStatus
from waiaas.errors import InvalidSignature, TransactionNotFound
from waiaas.pipeline.landing.land import _spent as spent
from waiaas.pipeline.registry import policies as policy_steps
from waiaas.pipeline.requests.simulate import simulate
from waiaas.pipeline.requests.submit import submit
from waiaas.pipeline.signing.gate import Stopped
from waiaas.pipeline.signing.replace import speed_up
from waiaas.pipeline.waiting.approval_text import show
from waiaas.pipeline.waiting.release import Delays
from waiaas.repositories import approvals, attempts, transactions

DELAY = 300
#: of a token account: 165 bytes and 128 of its own
RENT = 2_039_280


# --- dearer bytes ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stop", "code"), [("throw_switch", "KILL_SWITCH"), ("suspend", "AGENT_SUSPENDED"), ("revoke", "SESSION_REVOKED")]
)
async def test_a_stop_after_the_gate_keeps_dearer_bytes_out(eth, stop, code):
    await eth.node.hold()
    tx = await eth.execute(await eth.want(eth.pay()))
    eth.core.db = Between(eth.core.db, attempts.REPLACE, before=getattr(eth, stop))
    with pytest.raises(Stopped) as stopped:
        await eth.sped_up(tx)
    assert stopped.value.code == code
    assert (await eth.states(tx), len(eth.faults.sent)) == ([("SEND", AttemptStatus.LIVE)], 1)
    await eth.node.mine()
    await eth.confirm()
    assert await eth.said(tx) == [("CONFIRMED", None)]


async def test_dearer_bytes_take_the_nonce_of_those_they_replace(eth):
    await eth.node.hold()
    first, second = [await eth.execute(await eth.want(eth.pay(amount))) for amount in (1, 2)]
    assert (await eth.sped_up(second)).nonce == 1
    await eth.node.mine(2)
    await eth.confirm()
    assert await eth.said(first, second) == [("CONFIRMED", None)] * 2


async def test_another_agents_bytes_are_not_made_dearer(eth):
    await eth.node.hold()
    tx = await eth.execute(await eth.want(eth.pay()))
    for cancel in (False, True):
        with pytest.raises(TransactionNotFound):
            await speed_up(eth.core, tx.id, eth.bob.id, cancel=cancel, fees=None, actor=OPERATOR)
    assert await eth.states(tx) == [("SEND", AttemptStatus.LIVE)]
    await eth.node.mine()
    await eth.confirm()


async def test_what_lost_its_nonce_is_dead_once_the_other_is_final(eth):
    await eth.node.hold()
    tx = await eth.execute(await eth.want(eth.pay()))
    await eth.sped_up(tx)
    eth.not_final()
    await eth.node.mine()
    await eth.confirm()
    landed = [("SEND", AttemptStatus.REPLACED), ("SPEED_UP", AttemptStatus.LANDED)]
    assert (await eth.said(tx), await eth.states(tx)) == ([("CONFIRMED", None)], landed)
    eth.faults.heal()
    await eth.confirm()
    assert await eth.states(tx) == [("SEND", AttemptStatus.DEAD), ("SPEED_UP", AttemptStatus.LANDED)]
    assert await attempts.open_networks(eth.core.db) == set()


# --- what a call takes without saying so ----------------------------------------------------------


async def open_for_bob(world, core):
    """A call that opens an account for Bob, and says nothing of its rent: queued, because nobody understands it."""
    token = await (await open_bank(world)).token(world.alice.public_key, 1)
    rules = parse_rules(
        PolicyType.CONTRACT_WHITELIST, {"contracts": [{"address": ASSOCIATED_TOKEN}]}, chain=Chain.SOLANA
    )
    allowed = a_policy(rules, world.alice.id, world.clock.now(), type=PolicyType.CONTRACT_WHITELIST)
    await policy_steps.create(core, allowed, OPERATOR)
    alice, bob = world.alice.public_key, world.bob.public_key
    metas = (
        AccountMeta(alice, True, True),
        AccountMeta(associated(bob, token.address, TOKEN), False, True),
        *(AccountMeta(one, False, False) for one in (bob, token.address, SYSTEM, TOKEN)),
    )
    request = ContractCall(program_id=ASSOCIATED_TOKEN, instruction_data=b64encode(b"\1").decode(), accounts=metas)
    actor = Actor(f"session:{world.session.id}")
    accepted = await submit(
        core, world.alice, world.session, request, key=None, distinct=True, provenance=None, actor=actor
    )
    return accepted.tx


@pytest.fixture
async def opening(world, core):
    return await open_for_bob(world, core)


@pytest.fixture
async def asked_to_open(world, core):
    """The same, and Alice has an owner who must be asked."""
    await owned(world)
    return await open_for_bob(world, core)


async def released(world, core, tx):
    delays = Delays(core)
    await delays.tick()
    world.clock.move(DELAY)
    await delays.tick()
    return await world.execute(tx)


async def test_what_a_call_takes_without_saying_so_is_booked(world, core, opening):
    # the invariants take the opening of an account for a part of some payment
    world.tampered = True
    tx = await released(world, core, opening)
    assert (await world.booked(tx))["AMOUNT"] == ("RESERVED", RENT)
    await world.confirm()
    assert (await world.row(tx)).status.value == "CONFIRMED"
    assert await world.booked(tx) == {"AMOUNT": ("SPENT", RENT), "FEE": ("SPENT", 5000)}


async def test_what_a_call_takes_without_saying_so_is_held_to_the_limits(world, core, opening):
    most = core.config.rpc.solana_max_priority_fee_lamports + 5000
    await world.limit(daily_total=str(most + RENT - 1))
    tx = await released(world, core, opening)
    assert (tx.status.value, tx.error_code, await world.attempts(tx)) == ("FAILED", "SPENDING_LIMIT_EXCEEDED", [])
    assert {state for state, _ in (await world.booked(tx)).values()} == {"RELEASED"}


async def test_what_leaves_undeclared_while_somebody_else_spends_is_judged_again(world, core, opening):
    (_, set_aside), bound = (
        (await world.booked(opening))["FEE"],
        core.config.rpc.solana_max_priority_fee_lamports + 5000,
    )
    # the rent fits, or the other payment, and both do not
    await world.limit(daily_total=str(set_aside + RENT + 1000 + bound - 1))
    core.db = Between(core.db, transactions.MARK_SUBMITTED, before=lambda: world.send(1000))
    tx = await released(world, core, opening)
    assert (tx.status.value, tx.error_code, await world.attempts(tx)) == ("FAILED", "SPENDING_LIMIT_EXCEEDED", [])


async def test_the_owner_signs_for_what_a_call_takes_without_saying_so(world, core, asked_to_open):
    world.tampered = True
    shown = await show(core, asked_to_open.id, OwnerAction.APPROVE)
    lost = f"lose 0.00203928 SOL ({RENT}) through {ASSOCIATED_TOKEN}"
    assert f". A simulation of it shows more than it says: {lost}. Fee at most" in shown.statement
    assert [(one.declared, one.effect.amount) for one in shown.words] == [(True, None), (False, RENT)]
    found = [{"kind": "TRANSFER", "to": ASSOCIATED_TOKEN, "asset": "native:solana", "amount": str(RENT)}]
    bound = {
        "id": asked_to_open.id,
        "agentId": world.alice.id,
        "network": "localnet",
        "request": msgspec.Raw(asked_to_open.request.encode()),
        "maxFee": str((await world.booked(asked_to_open))["FEE"][1]),
        "undeclared": found,
    }
    assert shown.digest == digest(canonical(bound))
    await say_yes(world, asked_to_open)
    await world.execute(asked_to_open)
    await world.confirm()
    assert (await world.row(asked_to_open)).status.value == "CONFIRMED"


async def test_a_bare_nonce_is_no_word_for_what_leaves_undeclared(world, core, asked_to_open):
    proof = msgspec.structs.replace(await signed(world, asked_to_open), digest=None, bound=False)
    with pytest.raises(InvalidSignature):
        await say_yes(world, asked_to_open, proof)
    assert (await world.row(asked_to_open)).status.value == "QUEUED"


async def test_nothing_leaves_undeclared_that_the_owner_has_not_read(world, core, asked_to_open):
    proof = await signed(world, asked_to_open)
    less = written_undeclared([Effect("TRANSFER", ASSOCIATED_TOKEN, "native:solana", RENT - 1)])

    async def look_again():
        await core.db.commit(approvals.see(asked_to_open.id, less))

    core.db = Between(core.db, approvals.APPROVE, before=look_again)
    with pytest.raises(InvalidSignature):
        await say_yes(world, asked_to_open, proof)
    world.faults.down = True
    await say_yes(world, asked_to_open)
    world.faults.down = False
    tx = await world.execute(asked_to_open)
    assert (tx.status.value, tx.error_code, await world.attempts(tx)) == ("FAILED", "OUTFLOW_NOT_APPROVED", [])


async def test_what_is_seen_to_leave_is_held_to_the_limits_when_the_yes_comes(world, core, asked_to_open):
    proof = await signed(world, asked_to_open)
    await world.limit(daily_total=str((await world.booked(asked_to_open))["FEE"][1] + RENT - 1))
    with pytest.raises(Stopped) as stop:
        await say_yes(world, asked_to_open, proof)
    assert stop.value.code == "SPENDING_LIMIT_EXCEEDED"
    assert (await world.row(asked_to_open)).status.value == "CANCELLED"


async def test_a_preview_tells_of_a_fee_that_the_gate_would_refuse(eth):
    chain, market = eth.core.chains.chain(eth.network), watch_market(eth, Market(0, 0))
    await chain.prepare(eth.pay(), eth.alice.public_key)
    await eth.limit_native(daily_total=str(1000 + chain.fee_bound(eth.pay())))
    rise(market, 50)
    eth.clock.move(STUCK)
    found = await simulate(eth.core, eth.alice, eth.session, eth.pay(), within_seconds=10)
    assert (found.decision.outcome, found.trial.status) == ("allow", "failed")
    assert "SPENDING_LIMIT_EXCEEDED" in found.trial.error


@pytest.mark.parametrize(
    ("outflow", "booked"), [(-5, ["0", "0", "10"]), (1200, ["1000", "200", "10"]), (1600, ["1000", "500", "110"])]
)
async def test_what_really_left_is_what_is_booked_row_by_row(world, core, outflow, booked):
    """A row for each, and the fee; what came in is no negative spend, and what left beyond the rows is rent."""
    tx = await world.send(1000)
    first = next(row for row in (await world.ledger(tx)).values() if row.kind is LedgerKind.AMOUNT)
    second = msgspec.structs.replace(first, id="second", reserved=500)
    statements = spent(tx, Receipt("hash", 1, 10, outflow), [first, second], 0)
    assert [one.params["settled"] for one in statements if "settled" in one.params] == booked
