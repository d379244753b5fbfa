"""A native transfer on the embedded Solana machine, from address to receipt."""

import asyncio

import msgspec
import pytest
from solders.keypair import Keypair
from solders.transaction import VersionedTransaction

from tests.chains.conftest import AGENT, SOL, TO, give, make, pay, signature
from waiaas.chains.base import Attempt
from waiaas.chains.solana import adapter, build
from waiaas.chains.solana.programs import MEMO
from waiaas.chains.solana.steps import Memo, Move
from waiaas.errors import (
    ChainNotSupported,
    InsufficientBalance,
    InsufficientForFee,
    SignedBytesMismatch,
    Stale,
    TransactionTooLarge,
    Transient,
)

RENT = 890_880


def attempt(signer, signed) -> Attempt:
    return Attempt(signed.hash, signer.address, signed.slot)


async def test_a_transfer_with_memo_lands_and_costs_what_was_prepared(localnet, clock, funded):
    prepared = await localnet.prepare(pay(memo="thanks"), funded.address)
    signed = localnet.sign(prepared, await localnet.slot(funded.address), funded, AGENT)
    assert await localnet.broadcast(signed.raw, signed.hash) == "embedded"
    clock.pass_slots(1)
    sighting = (await localnet.statuses([signed.hash]))[signed.hash]
    assert (sighting.confirmed, sighting.finalized, sighting.ok, sighting.error) == (True, True, True, None)
    receipt = (await localnet.receipts([signed.hash]))[signed.hash]
    assert (receipt.fee, receipt.outflow, receipt.block) == (5000, SOL, sighting.block)
    assert receipt.fee == prepared.fee == prepared.max_fee == signed.max_fee
    assert await localnet.balance(funded.address) == 9 * SOL - 5000
    assert await localnet.balance(TO) == SOL


async def test_the_same_bytes_sent_twice_land_once(localnet, clock, funded):
    signed = await make(localnet, funded, pay())
    for _ in range(2):
        assert await localnet.broadcast(signed.raw, signed.hash) == "embedded"
    clock.pass_slots(1)
    assert await localnet.broadcast(signed.raw, signed.hash) == "embedded"
    clock.pass_slots(1)
    assert await localnet.balance(TO) == SOL


async def test_equal_transfers_on_one_blockhash_both_land(localnet, clock, funded):
    slot = await localnet.slot(funded.address)
    prepared = await localnet.prepare(pay(), funded.address)
    signed = [localnet.sign(prepared, slot, funded, AGENT) for _ in range(2)]
    assert len({one.hash for one in signed}) == 2
    for one in signed:
        await localnet.broadcast(one.raw, one.hash)
    clock.pass_slots(1)
    assert await localnet.balance(TO) == 2 * SOL


async def test_more_equal_transfers_than_the_units_leave_room_for_wait_for_the_next_blockhash(localnet, clock, funded):
    prepared = await localnet.prepare(pay(), funded.address)
    slot = await localnet.slot(funded.address)
    with pytest.raises(Stale):
        for _ in range(prepared.units):
            assert localnet.sign(prepared, slot, funded, AGENT).max_fee <= prepared.max_fee
    clock.pass_slots(3)
    assert localnet.sign(prepared, await localnet.slot(funded.address), funded, AGENT)


async def test_the_unit_limit_is_a_fifth_above_what_the_simulation_used(localnet, funded):
    prepared = await localnet.prepare(pay(), funded.address)
    assert prepared.units == 540
    assert prepared.unit_price == 0
    assert any("success" in line for line in prepared.logs)


async def test_a_message_has_the_order_of_limit_price_transfer_memo(localnet, funded):
    signed = await make(localnet, funded, pay(memo="hello"))
    message = VersionedTransaction.from_bytes(signed.raw).message
    programs = [str(message.account_keys[one.program_id_index]) for one in message.instructions]
    budget = "ComputeBudget111111111111111111111111111111"
    assert programs == [budget, budget, "11111111111111111111111111111111", MEMO]
    assert message.header.num_required_signatures == 1


@pytest.mark.parametrize(
    ("amount", "to", "error"),
    [
        (10 * SOL + 1, TO, InsufficientBalance),
        (10 * SOL, TO, InsufficientForFee),
        (10 * SOL - 5000 + 1, TO, InsufficientForFee),
        (10 * SOL - 5000 - 1, TO, InsufficientBalance),
        (10 * SOL - 5000 - RENT + 1, TO, InsufficientBalance),
        (RENT - 1, TO, InsufficientBalance),
    ],
)
async def test_what_the_balance_does_not_carry_is_refused_before_signing(localnet, funded, amount, to, error):
    with pytest.raises(error):
        await localnet.prepare(pay(amount, to), funded.address)


@pytest.mark.parametrize("amount", [10 * SOL - 5000, 10 * SOL - 5000 - RENT, RENT, 0])
async def test_what_the_balance_carries_lands(localnet, clock, funded, amount):
    signed = await make(localnet, funded, pay(amount))
    await localnet.broadcast(signed.raw, signed.hash)
    clock.pass_slots(1)
    assert (await localnet.statuses([signed.hash]))[signed.hash].ok
    assert await localnet.balance(TO) == amount


@pytest.mark.parametrize("amount", [SOL, 10 * SOL - 5001])
async def test_sending_to_oneself_moves_only_the_fee(localnet, clock, funded, amount):
    signed = await make(localnet, funded, pay(amount, to=funded.address))
    await localnet.broadcast(signed.raw, signed.hash)
    clock.pass_slots(1)
    assert (await localnet.receipts([signed.hash]))[signed.hash].outflow == 0
    assert await localnet.balance(funded.address) == 10 * SOL - 5000


async def test_an_account_without_money_cannot_send(localnet, signer):
    with pytest.raises(InsufficientBalance):
        await localnet.prepare(pay(), signer.address)


async def test_a_memo_that_does_not_fit_is_too_large(localnet, funded):
    with pytest.raises(TransactionTooLarge, match="1232"):
        await localnet.prepare(pay(memo="x" * 1000), funded.address)


async def test_a_memo_that_just_fits_lands(localnet, clock, funded):
    room = build.LARGEST_TRANSACTION - len((await make(localnet, funded, pay(memo="x" * 500))).raw) + 500
    signed = await make(localnet, funded, pay(memo="x" * room))
    assert len(signed.raw) == build.LARGEST_TRANSACTION
    await localnet.broadcast(signed.raw, signed.hash)
    clock.pass_slots(1)
    assert (await localnet.statuses([signed.hash]))[signed.hash].ok


async def test_a_failed_transaction_is_sighted_with_its_error(localnet, clock, funded):
    first, second = await make(localnet, funded, pay(6 * SOL)), await make(localnet, funded, pay(7 * SOL))
    for one in (first, second):
        await localnet.broadcast(one.raw, one.hash)
    clock.pass_slots(1)
    sighting = (await localnet.statuses([second.hash]))[second.hash]
    assert (sighting.confirmed, sighting.ok) == (True, False)
    assert "Custom" in sighting.error
    assert (await localnet.receipts([second.hash]))[second.hash].outflow == 0


async def test_unknown_hashes_have_neither_status_nor_receipt(localnet):
    hashes = [signature(number) for number in range(300)]
    assert await localnet.statuses(hashes) == {}
    assert await localnet.receipts(hashes[:2]) == {}
    assert await localnet.statuses([]) == {}


async def test_a_status_is_found_however_long_ago_it_landed(localnet, clock, funded):
    signed = await make(localnet, funded, pay())
    await localnet.broadcast(signed.raw, signed.hash)
    clock.pass_slots(5000)
    assert (await localnet.statuses([signed.hash]))[signed.hash].finalized


async def test_bytes_that_never_left_are_dead_one_block_after_their_last_height(localnet, clock, funded):
    signed = await make(localnet, funded, pay())
    clock.pass_slots(150)
    assert await localnet.deaths([attempt(funded, signed)]) == {}
    clock.pass_slots(1)
    proof = (await localnet.deaths([attempt(funded, signed)]))[signed.hash]
    assert proof.evidence["finalizedBlockHeight"] == signed.slot.last_valid_block_height + 1
    assert proof.evidence["endpoints"] == "embedded"


async def test_landed_bytes_are_never_dead(localnet, clock, funded):
    signed = await make(localnet, funded, pay())
    await localnet.broadcast(signed.raw, signed.hash)
    clock.pass_slots(1000)
    assert await localnet.deaths([attempt(funded, signed)]) == {}


async def test_a_slot_is_shared_for_a_second(localnet, clock, funded):
    first = await localnet.slot(funded.address)
    clock.seconds += 0.9
    assert await localnet.slot(funded.address) is first
    clock.seconds += 0.1
    assert (await localnet.slot(funded.address)).blockhash != first.blockhash


async def test_prepares_of_one_turn_share_one_exchange(localnet, funded):
    endpoint = localnet.rpc.endpoints[0]
    before = endpoint.requests
    await asyncio.gather(*(localnet.prepare(pay(SOL + n), funded.address) for n in range(20)))
    assert endpoint.requests == before + 1


async def test_assets_begin_with_the_native_one(localnet, funded):
    [native] = await localnet.assets(funded.address)
    assert (native.mint, native.symbol, native.balance, native.decimals, native.is_native) == (
        "native",
        "SOL",
        10 * SOL,
        9,
        True,
    )


@pytest.mark.parametrize(
    "text",
    ["", " " + TO, TO + "\n", TO[:-2], TO + "1", TO.replace("A", "0"), "é" * 32, "0x" + "00" * 20, TO.lower()],
)
def test_what_is_no_address_is_refused(localnet, text):
    with pytest.raises(ValueError):
        localnet.address(text)


def test_an_address_is_kept_as_it_is(localnet):
    assert localnet.address(TO) == TO


async def test_the_fee_bound_holds_for_whatever_is_signed(localnet, funded):
    assert localnet.fee_bound(pay()) >= (await make(localnet, funded, pay())).max_fee


# --- signing -----------------------------------------------------------------------------------


class OtherKey:
    """A keystore that signs with a key that is not the agent's."""

    def sign(self, agent_id: str, payload: bytes) -> bytes:
        return bytes(Keypair().sign_message(payload))


async def test_bytes_signed_by_another_key_are_thrown_away(localnet, funded):
    prepared = await localnet.prepare(pay(), funded.address)
    with pytest.raises(SignedBytesMismatch):
        localnet.sign(prepared, await localnet.slot(funded.address), OtherKey(), AGENT)


def other_message(field: str, message, sender: str):
    """The same message but for one thing."""
    changes = {
        "to": {"steps": (Move(sender, SOL),)},
        "amount": {"steps": (Move(TO, 2 * SOL),)},
        "memo": {"steps": (*message.steps, Memo("other"))},
        "nothing": {"steps": ()},
        "writable": {"writable": message.writable - {TO}},
        "units": {"units": 9},
        "unit_price": {"unit_price": 9},
        "blockhash": {"blockhash": TO},
    }
    return msgspec.structs.replace(message, **changes[field])


@pytest.mark.parametrize("field", ["to", "amount", "memo", "nothing", "writable", "units", "unit_price", "blockhash"])
async def test_bytes_that_say_anything_else_are_thrown_away(localnet, funded, monkeypatch, field):
    compiled = build.compiled
    prepared, slot = await localnet.prepare(pay(), funded.address), await localnet.slot(funded.address)
    monkeypatch.setattr(build, "compiled", lambda message: compiled(other_message(field, message, funded.address)))
    with pytest.raises(SignedBytesMismatch):
        localnet.sign(prepared, slot, funded, AGENT)


# --- the faucet --------------------------------------------------------------------------------


async def test_the_faucet_waits_until_the_chain_shows_its_gift(localnet, clock):
    await give(localnet, clock, TO, 3 * SOL)
    assert await localnet.balance(TO) == 3 * SOL


async def test_a_gift_that_the_chain_does_not_show_is_transient(localnet, monkeypatch):
    monkeypatch.setattr(adapter, "GIFT_SECONDS", 0.0)
    with pytest.raises(Transient):
        await localnet.faucet(TO, SOL)


async def test_the_faucet_gives_nowhere_else(make_chain):
    with pytest.raises(ChainNotSupported):
        await make_chain().faucet(TO, SOL)


async def test_a_network_without_endpoints_is_transient(make_chain):
    with pytest.raises(Transient):
        await make_chain().balance(TO)


# --- what Solana lacks -------------------------------------------------------------------------


async def test_nothing_signed_can_be_replaced(make_chain):
    chain = make_chain()
    assert chain.stuck_seconds is None
    with pytest.raises(ChainNotSupported):
        await chain.replacement(b"", pay(), TO, cancel=True, fees=None)
    with pytest.raises(ChainNotSupported):
        await chain.underpriced(b"")
