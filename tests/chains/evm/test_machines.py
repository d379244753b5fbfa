"""Payments on real EVM machines, the embedded one and anvil: from request to receipt."""

import asyncio

import msgspec
import pytest

from tests.chains.conftest import AGENT
from tests.chains.evm.conftest import (
    ETHER,
    GWEI,
    SPENDER,
    TO,
    KeySigner,
    approve,
    attempt,
    call,
    make,
    pay,
    pay_token,
    tx_hash,
)
from waiaas.chains.base import Nonce
from waiaas.chains.evm import build
from waiaas.errors import (
    ChainError,
    InsufficientBalance,
    InsufficientForFee,
    InsufficientTokenBalance,
    MemoToContract,
    Permanent,
    SimulationFailed,
    Stale,
    TokenMismatch,
)


async def test_a_transfer_lands_and_costs_what_was_prepared(machine, funded):
    chain = machine.chain
    prepared = await chain.prepare(pay(), funded.address)
    signed = chain.sign(prepared, await chain.slot(funded.address), funded, AGENT)
    await machine.land(signed)
    sighting = (await chain.statuses([signed.hash]))[signed.hash]
    assert (sighting.confirmed, sighting.ok, sighting.error) == (True, True, None)
    receipt = (await chain.receipts([signed.hash]))[signed.hash]
    assert receipt.outflow is None
    assert receipt.block == sighting.block
    assert receipt.fee <= signed.max_fee == prepared.max_fee
    assert await chain.balance(funded.address) == 9 * ETHER - receipt.fee
    assert await chain.balance(TO) == ETHER


async def test_the_bytes_are_a_type_2_transaction_with_the_expected_fields(machine, funded):
    chain = machine.chain
    prepared = await chain.prepare(pay(), funded.address)
    signed = chain.sign(prepared, Nonce(0), funded, AGENT)
    shown = await machine.call(
        "eth_getTransactionByHash", await machine.call("eth_sendRawTransaction", "0x" + signed.raw.hex())
    )
    assert shown["hash"] == signed.hash
    assert build.address(shown["from"]) == funded.address
    assert int(shown["type"], 16) == 2
    assert int(shown["gas"], 16) == prepared.gas_limit == 25_200
    assert int(shown["maxFeePerGas"], 16) == prepared.max_fee_per_gas
    assert int(shown["maxPriorityFeePerGas"], 16) == prepared.max_priority_fee_per_gas
    assert shown["accessList"] == []
    assert int(shown["chainId"], 16) == 31_337


async def test_a_memo_is_the_data_of_the_transfer(machine, funded):
    signed = await make(machine.chain, funded, pay(memo="thänks"))
    await machine.land(signed)
    shown = await machine.call("eth_getTransactionByHash", signed.hash)
    assert bytes.fromhex(shown["input"][2:]).decode() == "thänks"
    assert (await machine.chain.statuses([signed.hash]))[signed.hash].ok


async def test_a_memo_for_a_contract_is_refused(machine, funded):
    probe = await machine.deploy(funded, "Probe")
    with pytest.raises(MemoToContract):
        await machine.chain.prepare(pay(to=probe, memo="x"), funded.address)
    assert (await machine.chain.prepare(pay(to=probe), funded.address)).gas_limit > 25_200


async def test_the_same_bytes_sent_again_and_again_land_once(machine, funded):
    signed = await make(machine.chain, funded, pay())
    for _ in range(2):
        await machine.chain.broadcast(signed.raw, signed.hash)
    await machine.mine()
    assert await machine.chain.broadcast(signed.raw, signed.hash)
    await machine.mine()
    assert await machine.chain.balance(TO) == ETHER


async def test_a_spent_nonce_with_other_bytes_is_stale(machine, funded):
    first, second = await make(machine.chain, funded, pay(), 0), await make(machine.chain, funded, pay(2 * ETHER), 0)
    await machine.land(first)
    with pytest.raises(Stale):
        await machine.chain.broadcast(second.raw, second.hash)


async def test_the_next_nonce_is_counted_from_what_landed(machine, funded):
    assert await machine.chain.slot(funded.address) == Nonce(0)
    await machine.call("evm_setAutomine", False)
    signed = await make(machine.chain, funded, pay(), 0)
    await machine.chain.broadcast(signed.raw, signed.hash)
    machine.clock.seconds += 5
    assert await machine.chain.slot(funded.address) == Nonce(0)
    await machine.mine()
    assert await machine.chain.slot(funded.address) == Nonce(1)
    await machine.call("evm_setAutomine", True)


async def test_twenty_payments_in_a_row_all_land(machine, funded):
    signed = [await make(machine.chain, funded, pay(GWEI), nonce) for nonce in range(20)]
    for one in reversed(signed):
        await machine.chain.broadcast(one.raw, one.hash)
    await machine.mine()
    seen = await machine.chain.statuses([one.hash for one in signed])
    assert len(seen) == 20
    assert all(one.ok and one.confirmed for one in seen.values())
    assert await machine.chain.balance(TO) == 20 * GWEI


async def test_unknown_hashes_have_neither_status_nor_receipt(machine):
    hashes = [tx_hash(number) for number in range(1, 300)]
    assert await machine.chain.statuses(hashes) == {}
    assert await machine.chain.receipts(hashes[:2]) == {}
    assert await machine.chain.statuses([]) == {}


@pytest.mark.parametrize(
    ("amount", "error"),
    [(10 * ETHER + 1, InsufficientBalance), (10 * ETHER, InsufficientForFee), (10 * ETHER - GWEI, InsufficientForFee)],
)
async def test_what_the_balance_does_not_carry_is_refused_before_signing(machine, funded, amount, error):
    with pytest.raises(error):
        await machine.chain.prepare(pay(amount), funded.address)


async def test_an_account_without_money_cannot_send(machine, signer):
    with pytest.raises(InsufficientForFee):
        await machine.chain.prepare(pay(0), signer.address)


async def test_everything_but_the_fee_can_be_sent(machine, funded):
    prepared = await machine.chain.prepare(pay(ETHER), funded.address)
    signed = await make(machine.chain, funded, pay(10 * ETHER - prepared.max_fee))
    await machine.land(signed)
    assert (await machine.chain.statuses([signed.hash]))[signed.hash].ok


# --- tokens ------------------------------------------------------------------------------------


async def test_tokens_move(machine, funded):
    token = await machine.deploy_token(funded)
    signed = await make(machine.chain, funded, pay_token(token, 7))
    await machine.land(signed)
    assert (await machine.chain.statuses([signed.hash]))[signed.hash].ok
    [_, held] = await machine.chain.assets(TO, [token])
    assert (held.mint, held.symbol, held.name, held.balance, held.decimals) == (token, "TKN", "Test", 7, 6)


async def test_more_tokens_than_held_are_refused(machine, funded):
    token = await machine.deploy_token(funded, supply=4)
    with pytest.raises(InsufficientTokenBalance):
        await machine.chain.prepare(pay_token(token, 5), funded.address)


@pytest.mark.parametrize("request_of", [pay_token, approve])
async def test_other_decimals_than_the_tokens_are_refused(machine, funded, request_of):
    token = await machine.deploy_token(funded, decimals=8)
    with pytest.raises(TokenMismatch, match="8 decimals"):
        await machine.chain.prepare(request_of(token), funded.address)


@pytest.mark.parametrize("request_of", [pay_token, approve])
async def test_what_is_no_token_is_refused(machine, funded, request_of):
    probe = await machine.deploy(funded, "Probe")
    for no_token in (probe, TO):
        with pytest.raises(TokenMismatch):
            await machine.chain.prepare(request_of(no_token), funded.address)


async def test_assets_begin_with_the_native_one_and_leave_out_what_is_none(machine, funded):
    probe = await machine.deploy(funded, "Probe")
    small, large, empty = [
        await machine.deploy_token(funded, supply, name=name) for supply, name in ((5, "S"), (9, "L"), (0, "E"))
    ]
    held = await machine.chain.assets(funded.address, [small, probe, TO, large, empty, small])
    assert [one.mint for one in held] == ["native", large, small]
    assert (held[0].symbol, held[0].decimals, held[0].is_native) == ("ETH", 18, True)
    assert held[0].balance == await machine.chain.balance(funded.address)


async def test_an_allowance_is_set_told_and_must_be_reset(machine, funded):
    token = await machine.deploy_token(funded)
    first = await machine.chain.prepare(approve(token, 5), funded.address)
    assert (first.needs_reset, first.notes) == (False, ())
    await machine.land(await make(machine.chain, funded, approve(token, 5)))
    second = await machine.chain.prepare(approve(token, 6), funded.address)
    assert second.needs_reset
    assert second.notes == ("The spender may move 5 already.",)
    with pytest.raises(Stale):
        machine.chain.sign(second, Nonce(2), funded, AGENT)
    revoke = await machine.chain.prepare(approve(token, 0), funded.address)
    assert not revoke.needs_reset
    await machine.land(await make(machine.chain, funded, approve(token, 0)))
    assert not (await machine.chain.prepare(approve(token, 6), funded.address)).needs_reset


# --- calls -------------------------------------------------------------------------------------


async def test_a_call_with_value_lands(machine, funded):
    probe = await machine.deploy(funded, "Probe")
    signed = await make(machine.chain, funded, call(probe, "store(uint256)", 42, value=3))
    await machine.land(signed)
    assert await machine.chain.balance(probe) == 3
    stored = await machine.call("eth_call", {"to": probe, "data": call(probe, "stored()").calldata}, "latest")
    assert int(stored, 16) == 42


@pytest.mark.parametrize(
    ("function", "why"),
    [
        ("reason()", "because"),
        ("panic(uint256)", "division by zero"),
        ("custom()", "custom error 0x"),
        ("silent()", "revert"),
        ("invalid()", "would fail"),
        ("nonsense()", "revert"),
    ],
)
async def test_a_call_that_would_fail_is_not_signed_and_says_why(machine, funded, function, why):
    probe = await machine.deploy(funded, "Probe")
    arguments = [0] if "uint256" in function else []
    with pytest.raises(SimulationFailed, match=why):
        await machine.chain.prepare(call(probe, function, *arguments), funded.address)


async def test_a_call_that_never_ends_is_refused(open_machine, signer):
    """On anvil alone: in Python such a call takes long."""
    machine = await open_machine("anvil")
    await machine.chain.faucet(signer.address, ETHER)
    probe = await machine.deploy(signer, "Probe")
    with pytest.raises(Permanent):
        await machine.chain.prepare(call(probe, "burn()"), signer.address)


async def test_a_landed_failure_is_sighted_with_its_fee(machine, funded):
    """Two transfers of the same tokens: each could be made, but not both."""
    token = await machine.deploy_token(funded, supply=9)
    first, second = [
        await make(machine.chain, funded, pay_token(token, amount), nonce) for nonce, amount in ((1, 6), (2, 7))
    ]
    await machine.land(first)
    await machine.land(second)
    sighting = (await machine.chain.statuses([second.hash]))[second.hash]
    assert (sighting.confirmed, sighting.ok, sighting.error) == (True, False, "reverted")
    assert (await machine.chain.receipts([second.hash]))[second.hash].fee > 0


# --- replacement, death, the faucet ------------------------------------------------------------


async def test_a_stuck_payment_is_replaced_with_the_same_nonce(machine, funded):
    chain = machine.chain
    await machine.call("evm_setAutomine", False)
    old = await make(chain, funded, pay(), 0)
    await chain.broadcast(old.raw, old.hash)
    dearer = chain.sign(
        await chain.replacement(old.raw, pay(), funded.address, cancel=False, fees=None), Nonce(0), funded, AGENT
    )
    assert build.read(dearer.raw)[0].call == build.read(old.raw)[0].call
    await chain.broadcast(dearer.raw, dearer.hash)
    await machine.mine()
    assert list(await chain.statuses([old.hash, dearer.hash])) == [dearer.hash]
    assert await chain.balance(TO) == ETHER
    await machine.call("evm_setAutomine", True)


async def test_a_cancel_takes_the_nonce_and_moves_nothing(machine, funded):
    chain = machine.chain
    await machine.call("evm_setAutomine", False)
    old = await make(chain, funded, pay(), 0)
    await chain.broadcast(old.raw, old.hash)
    prepared = await chain.replacement(old.raw, pay(), funded.address, cancel=True, fees=None)
    cancel = chain.sign(prepared, Nonce(0), funded, AGENT)
    await chain.broadcast(cancel.raw, cancel.hash)
    await machine.mine()
    assert list(await chain.statuses([old.hash, cancel.hash])) == [cancel.hash]
    fee = (await chain.receipts([cancel.hash]))[cancel.hash].fee
    assert await chain.balance(funded.address) == 10 * ETHER - fee
    assert await chain.balance(TO) == 0
    await machine.call("evm_setAutomine", True)


async def test_what_lost_its_nonce_is_dead_and_nothing_else_is(machine, funded):
    chain = machine.chain
    winner, loser = await make(chain, funded, pay(), 0), await make(chain, funded, pay(2 * ETHER), 0)
    later = await make(chain, funded, pay(), 1)
    await machine.land(winner)
    await chain.deaths([attempt(funded, loser)])
    await machine.mine(70)
    asked = [attempt(funded, one) for one in (loser, later)]
    proofs = await chain.deaths(asked) or await chain.deaths(asked)
    assert list(proofs) == [loser.hash]
    assert proofs[loser.hash].evidence["nonce"] == 0
    assert proofs[loser.hash].evidence["transactionCount"] == 1


async def test_what_landed_is_never_dead(machine, funded):
    chain = machine.chain
    winner, loser = await make(chain, funded, pay(), 0), await make(chain, funded, pay(2 * ETHER), 0)
    await machine.land(winner)
    for _ in range(3):
        assert await chain.deaths([attempt(funded, one) for one in (winner, loser)]) == {}
        await machine.mine(70)


async def test_gifts_add_up(machine):
    someone = KeySigner().address
    await asyncio.gather(*(machine.chain.faucet(someone, 3 * ETHER) for _ in range(3)))
    assert await machine.chain.balance(someone) == 9 * ETHER


async def test_an_absurd_gift_is_refused(machine):
    with pytest.raises(ChainError):
        await machine.chain.faucet(SPENDER, 2**256)


async def test_everything_a_payment_needs_is_asked_for_in_one_exchange(machine, funded):
    endpoint = machine.chain.rpc.endpoints[0]
    machine.clock.seconds += 5
    before = endpoint.requests
    await asyncio.gather(*(machine.chain.prepare(pay(GWEI + n), funded.address) for n in range(20)))
    assert endpoint.requests == before + 1


async def test_the_fee_bound_holds_for_whatever_is_signed(machine, funded):
    token = await machine.deploy_token(funded)
    probe = await machine.deploy(funded, "Probe")
    requests = [pay(), pay(memo="x" * 256), pay_token(token), approve(token), call(probe, "store(uint256)", 1)]
    for request in requests:
        signed = await make(machine.chain, funded, request)
        assert machine.chain.fee_bound(request) >= signed.max_fee


async def test_present_fees_are_not_underpriced_and_tiny_ones_are(machine, funded):
    chain = machine.chain
    prepared = await chain.prepare(pay(), funded.address)
    signed = chain.sign(prepared, Nonce(0), funded, AGENT)
    assert not await chain.underpriced(signed.raw)
    cheap = {"max_fee_per_gas": prepared.max_fee_per_gas // 4, "max_priority_fee_per_gas": 1}
    less = msgspec.structs.replace(prepared, **cheap)
    assert await chain.underpriced(chain.sign(less, Nonce(0), funded, AGENT).raw)
