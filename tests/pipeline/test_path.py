"""The main job: a transfer from PENDING to CONFIRMED, every step told, every lamport booked."""

from tests.world import SOL
from waiaas.domain.policy import Tier
from waiaas.domain.transaction import AttemptStatus, Status


async def test_a_transfer_goes_from_pending_to_confirmed(world, core):
    tx = await world.send(SOL, key="order 7")
    assert (tx.status, tx.tier, tx.idempotency_key) == (Status.PENDING, Tier.INSTANT, "order 7")
    tx = await world.execute(tx)
    assert (tx.status, len(world.faults.sent)) == (Status.SUBMITTED, 1)
    await world.confirm()
    tx = await world.row(tx)
    assert (tx.status, tx.fee) == (Status.CONFIRMED, '{"amount":"5000","asset":"native:solana"}')
    assert tx.finished_at == tx.executed_at == world.clock.now()
    assert await world.balance(world.bob) == 101 * SOL
    assert await world.balance(world.alice) == 99 * SOL - 5000


async def test_every_step_leaves_its_audit_row_and_its_event(world, core):
    tx = await world.pay()
    assert await world.audited(tx) == ["TX_REQUESTED", "TX_EXECUTING", "TX_SUBMITTED", "TX_CONFIRMED"]
    assert await world.events(tx) == ["TX_REQUESTED", "TX_SUBMITTED", "TX_CONFIRMED", "TX_FINALIZED"]
    (attempt,) = await world.attempts(tx)
    confirmed = await world.details(tx, "TX_CONFIRMED")
    assert confirmed == {"txHash": attempt.tx_hash, "block": attempt.block_number, "fee": "5000"}


async def test_money_is_set_aside_narrowed_and_settled(world, core):
    tx = await world.send(7000)
    most = core.config.rpc.solana_max_priority_fee_lamports + 5000
    assert await world.booked(tx) == {"AMOUNT": ("RESERVED", 7000), "FEE": ("RESERVED", most)}
    await world.execute(tx)
    assert await world.booked(tx) == {"AMOUNT": ("RESERVED", 7000), "FEE": ("RESERVED", 5000)}
    await world.confirm()
    assert await world.booked(tx) == {"AMOUNT": ("SPENT", 7000), "FEE": ("SPENT", 5000)}


async def test_signed_bytes_are_kept_with_where_they_went(world, core):
    tx = await world.pay()
    (attempt,) = await world.attempts(tx)
    assert (attempt.status, attempt.raw, attempt.tx_hash) == (AttemptStatus.LANDED, world.faults.sent[0], tx.tx_hash)
    assert (attempt.broadcasts, attempt.endpoint, attempt.fee) == (1, "embedded", 5000)
    assert attempt.finished_at == world.clock.now()


async def test_a_transfer_to_oneself_costs_its_fee(world, core):
    tx = await world.pay(SOL, to=world.alice.public_key)
    assert await world.booked(tx) == {"AMOUNT": ("SPENT", 0), "FEE": ("SPENT", 5000)}
    assert await world.balance(world.alice) == 100 * SOL - 5000


async def test_equal_transfers_are_two_payments(world, core):
    first, second = await world.send(5000), await world.send(5000)
    await world.execute(first)
    await world.execute(second)
    await world.confirm()
    assert {tx.status for tx in await world.rows()} == {Status.CONFIRMED}
    assert await world.balance(world.bob) == 100 * SOL + 10_000


async def test_workers_do_all_of_it_by_themselves(world):
    world.time_passes()
    async with world.open_daemon():
        tx = await world.ended(await world.send(SOL))
    assert tx.status is Status.CONFIRMED
