"""What every chain adapter owes the pipeline, tried on each of them: one test, one clause."""

import asyncio

import msgspec
import pytest

from tests.contract.conftest import AGENT, attempt, land, make, transfer
from waiaas.chains.base import Grant
from waiaas.domain import request as requests
from waiaas.domain.chain import native_of
from waiaas.domain.request import Batch, Sweep, SweepToken, Token, TokenTransfer
from waiaas.errors import (
    ChainError,
    InsufficientBalance,
    InsufficientForFee,
    InsufficientTokenBalance,
    NoEndpoint,
    Permanent,
    SignedBytesMismatch,
    TokenMismatch,
    Transient,
)

TYPES = ("TRANSFER", "TRANSFER with memo", "TOKEN_TRANSFER", "APPROVE", "CONTRACT_CALL")


async def test_it_says_how_often_it_wants_to_be_asked(world):
    chain = world.chain
    assert 0 < chain.poll_seconds <= chain.rebroadcast_seconds
    assert chain.stuck_seconds is None or chain.stuck_seconds > 0
    assert native_of(chain.network).asset.startswith("native:")


# --- addresses ---------------------------------------------------------------------------------


async def test_an_address_has_one_spelling(world):
    for address in (world.signer.address, world.stranger, world.token.address):
        assert world.chain.address(address) == address


@pytest.mark.parametrize("change", ["{}0", " {}", "{}\n", "", "\u0661{}", "0X{}"])
async def test_what_is_no_address_is_refused(world, change):
    with pytest.raises(ValueError):
        world.chain.address(change.format(world.stranger))


# --- from request to receipt -------------------------------------------------------------------


async def test_a_batch_is_one_transaction_or_none_at_all(world):
    """On EVM it is split before the adapter sees it."""
    token, approval = world.requests["TOKEN_TRANSFER"], world.requests["APPROVE"]
    batch = Batch((transfer(world, world.unit), token, approval))
    if native_of(world.chain.network).asset == "native:ethereum":
        with pytest.raises(Permanent):
            await world.chain.prepare(batch, world.signer.address)
    else:
        signed = await land(world, batch)
        assert (await world.chain.statuses([signed.hash]))[signed.hash].ok
        assert await world.chain.balance(world.stranger) == world.unit


@pytest.mark.parametrize("type_", TYPES)
async def test_every_type_of_request_lands_from_its_stored_form_within_its_bounds(world, type_):
    stored = requests.decode(requests.canonical(world.requests[type_]))
    before = await world.chain.balance(world.signer.address)
    bound = world.chain.fee_bound(stored)
    prepared = await world.chain.prepare(stored, world.signer.address)
    signed = world.chain.sign(prepared, await world.chain.slot(world.signer.address), world.signer, AGENT)
    assert prepared.fee <= prepared.max_fee <= bound
    assert signed.max_fee <= prepared.max_fee
    await world.chain.broadcast(signed.raw, signed.hash)
    await world.block()
    sighting = (await world.chain.statuses([signed.hash]))[signed.hash]
    assert (sighting.ok, sighting.confirmed, sighting.error) == (True, True, None)
    receipt = (await world.chain.receipts([signed.hash]))[signed.hash]
    assert receipt.block == sighting.block
    paid = before - await world.chain.balance(world.signer.address)
    assert 0 < receipt.fee <= signed.max_fee
    assert paid <= world.unit // 10 + signed.max_fee
    assert receipt.outflow in (None, paid - receipt.fee)


async def test_a_payment_moves_exactly_what_was_asked_for(world):
    before = await world.chain.balance(world.signer.address)
    signed = await land(world, transfer(world, world.unit))
    fee = (await world.chain.receipts([signed.hash]))[signed.hash].fee
    assert await world.chain.balance(world.stranger) == world.unit
    assert await world.chain.balance(world.signer.address) == before - world.unit - fee


async def test_tokens_move_exactly_as_asked_for(world):
    await land(world, world.requests["TOKEN_TRANSFER"])
    held = await assets(world, world.stranger)
    assert [(one.mint, one.balance, one.decimals) for one in held[1:]] == [(world.token.address, 5, 6)]
    assert (held[0].mint, held[0].is_native) == ("native", True)
    assert [one.balance for one in (await assets(world, world.signer.address))[1:]] == [999_995]


async def assets(world, address: str):
    """On EVM tokens must be named: nothing lists them."""
    evm = native_of(world.chain.network).asset == "native:ethereum"
    return await (world.chain.assets(address, [world.token.address]) if evm else world.chain.assets(address))


async def test_the_hash_is_known_before_anything_is_sent(world):
    signed = await make(world, transfer(world, world.unit))
    assert await world.chain.statuses([signed.hash]) == {}
    await world.chain.broadcast(signed.raw, signed.hash)
    await world.block()
    assert list(await world.chain.statuses([signed.hash])) == [signed.hash]


async def test_preparing_sends_and_signs_nothing(world):
    before = len(world.wire.methods)
    await world.chain.prepare(transfer(world, world.unit), world.signer.address)
    assert not any(b'"sendTransaction"' in body or b"sendRaw" in body for body in world.wire.methods[before:])


async def test_bytes_sent_again_and_again_have_one_effect(world):
    signed = await make(world, transfer(world, world.unit))
    for _ in range(2):
        await world.chain.broadcast(signed.raw, signed.hash)
    await world.block()
    await world.chain.broadcast(signed.raw, signed.hash)
    await world.block()
    assert await world.chain.balance(world.stranger) == world.unit


class OtherKey:
    """A keystore that signs with somebody else's key."""

    def __init__(self, signer) -> None:
        self.signer = type(signer)()

    def sign(self, agent_id: str, payload: bytes) -> bytes:
        return self.signer.sign(agent_id, payload)


async def test_bytes_signed_by_another_key_are_thrown_away(world):
    prepared = await world.chain.prepare(transfer(world, world.unit), world.signer.address)
    with pytest.raises(SignedBytesMismatch):
        world.chain.sign(prepared, await world.chain.slot(world.signer.address), OtherKey(world.signer), AGENT)


# --- refusals ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("of", "error"), [(11, InsufficientBalance), (10, InsufficientForFee)])
async def test_what_the_balance_does_not_carry_is_refused_before_signing(world, of, error):
    balance = await world.chain.balance(world.signer.address)
    with pytest.raises(error):
        await world.chain.prepare(transfer(world, balance * of // 10), world.signer.address)


async def test_more_tokens_than_held_are_refused(world):
    with pytest.raises(InsufficientTokenBalance):
        await world.chain.prepare(TokenTransfer(world.stranger, "1000001", world.token), world.signer.address)


async def test_other_decimals_than_the_tokens_are_refused(world):
    lied = msgspec.structs.replace(world.token, decimals=9)
    with pytest.raises(TokenMismatch):
        await world.chain.prepare(TokenTransfer(world.stranger, "1", lied), world.signer.address)


async def test_what_is_no_token_is_refused(world):
    nothing = Token(world.stranger, 6, "TKN")
    with pytest.raises(TokenMismatch):
        await world.chain.prepare(TokenTransfer(world.stranger, "1", nothing), world.signer.address)


# --- everything there is -------------------------------------------------------------------------


async def sweeping(world) -> SweepToken:
    """All of the one token that is held."""
    [held] = await world.chain.holdings(world.signer.address, [world.token.address])
    assert (held.token.address, held.token.decimals, held.amount) == (world.token.address, 6, 1_000_000)
    assert held.obstacle is None
    return SweepToken(world.stranger, held.token, held.account)


async def test_what_is_held_can_be_moved_whole(world):
    sweep = requests.decode(requests.canonical(await sweeping(world)))
    assert (await world.chain.prepare(sweep, world.signer.address)).request == requests.swept(sweep, 1_000_000)
    await land(world, sweep)
    assert [one.balance for one in (await assets(world, world.stranger))[1:]] == [1_000_000]
    assert await world.chain.holdings(world.signer.address, [world.token.address]) == []
    with pytest.raises((InsufficientTokenBalance, TokenMismatch)):
        await world.chain.prepare(sweep, world.signer.address)


async def test_native_money_is_moved_but_for_the_highest_fee(world):
    held, sweep = await world.chain.balance(world.signer.address), Sweep(world.stranger, "native")
    assert requests.decode(requests.canonical(sweep)) == sweep
    signed = await land(world, sweep)
    fee = (await world.chain.receipts([signed.hash]))[signed.hash].fee
    assert await world.chain.balance(world.stranger) == held - signed.max_fee
    assert await world.chain.balance(world.signer.address) == signed.max_fee - fee
    assert signed.max_fee <= world.chain.fee_bound(sweep)
    if native_of(world.chain.network).asset == "native:solana":
        assert (fee, signed.max_fee) == (5000, 5000)


async def test_nothing_cannot_be_moved(world):
    with pytest.raises(InsufficientForFee):
        await world.chain.prepare(Sweep(world.signer.address, "native"), world.stranger)


async def allowed(world, spender: str):
    grant = Grant(world.signer.address, world.token.address, spender)
    return (await world.chain.allowances([grant])).get(grant)


async def test_what_a_spender_may_move_is_told_with_its_height(world):
    assert (await allowed(world, world.stranger)).amount == 0
    signed = await land(world, world.requests["APPROVE"])
    block = (await world.chain.statuses([signed.hash]))[signed.hash].block
    said = await allowed(world, world.stranger)
    assert (said.amount, said.height >= block) == (5, True)
    assert (await allowed(world, world.signer.address)).amount == 0


async def test_what_nobody_took_until_it_was_revoked_is_told(world):
    given = await land(world, world.requests["APPROVE"])
    revoked = await land(world, msgspec.structs.replace(world.requests["APPROVE"], amount="0"))
    seen = await world.chain.statuses([given.hash, revoked.hash])
    grant = Grant(world.signer.address, world.token.address, world.stranger)
    told = {"since": seen[given.hash].block, "block": seen[revoked.hash].block, "granted": 5}
    assert await world.chain.untaken(grant, revoked.hash, **told) == 5
    world.wire.bend = lambda question, answer: b"<html>"
    with pytest.raises(Transient):
        await world.chain.untaken(grant, revoked.hash, **told)


async def test_a_node_that_fails_tells_no_allowance(world):
    world.wire.bend = lambda question, answer: b'{"jsonrpc":"2.0","id":0,"result":null}'
    assert await allowed(world, world.stranger) is None


async def test_what_is_no_token_allows_nothing_that_is_known(world):
    grants = [Grant(world.signer.address, one, world.stranger) for one in (world.stranger, world.token.address)]
    told = await world.chain.allowances(grants)
    assert (told.get(grants[0]) is None or told[grants[0]].amount == 0, told[grants[1]].amount) == (True, 0)


# --- following ---------------------------------------------------------------------------------


async def test_unknown_hashes_have_neither_status_nor_receipt_in_whatever_number(world):
    known = await land(world, transfer(world, world.unit))
    unknown = [scrambled(known.hash, number) for number in range(256)]
    assert list(await world.chain.statuses([*unknown, known.hash])) == [known.hash]
    assert list(await world.chain.receipts([unknown[0], known.hash])) == [known.hash]
    assert await world.chain.statuses([]) == await world.chain.receipts([]) == {}


def scrambled(hash: str, number: int) -> str:
    """Another hash of the same form: digits from the middle are replaced."""
    digits = f"{number:08d}".replace("0", "a")
    return hash[:10] + digits + hash[18:]


async def test_what_waits_for_a_block_is_not_sighted_in_one(world):
    await world.hold()
    signed = await make(world, transfer(world, world.unit))
    await world.chain.broadcast(signed.raw, signed.hash)
    assert not any(one.confirmed for one in (await world.chain.statuses([signed.hash])).values())
    await world.block()
    assert (await world.chain.statuses([signed.hash]))[signed.hash].confirmed


async def test_what_landed_and_failed_is_told_from_what_succeeded(world):
    first, second = await world.doomed()
    for signed in (first, second):
        await world.chain.broadcast(signed.raw, signed.hash)
    await world.block()
    seen = await world.chain.statuses([first.hash, second.hash])
    assert [seen[one.hash].ok for one in (first, second)] == [True, False]
    assert seen[second.hash].error
    paid = (await world.chain.receipts([second.hash]))[second.hash]
    assert 0 < paid.fee <= second.max_fee
    assert not paid.outflow


async def test_what_happened_becomes_final_and_stays(world):
    signed = await land(world, transfer(world, world.unit))
    await world.finality()
    seen = (await world.chain.statuses([signed.hash]))[signed.hash]
    assert (seen.confirmed, seen.finalized, seen.confirmations) == (True, True, None)


# --- death -------------------------------------------------------------------------------------


async def proven(world, *signed) -> set[str]:
    """Whose death is proven at last, however often finality has to pass."""
    found: dict[str, object] = {}
    for _ in range(3):
        found = await world.chain.deaths([attempt(world, one) for one in signed])
        await world.finality()
    return set(found)


async def test_what_can_land_no_more_is_proven_dead(world):
    signed = await make(world, transfer(world, world.unit))
    await world.supersede(signed)
    assert await proven(world, signed) == {signed.hash}


async def test_a_proof_names_its_endpoints(world):
    signed = await make(world, transfer(world, world.unit))
    await world.supersede(signed)
    await world.chain.deaths([attempt(world, signed)])
    await world.finality()
    proofs = await world.chain.deaths([attempt(world, signed)])
    assert proofs[signed.hash].evidence["endpoints"] == "node"


async def test_what_may_still_land_is_not_proven_dead(world):
    signed = await make(world, transfer(world, world.unit))
    for _ in range(3):
        assert await world.chain.deaths([attempt(world, signed)]) == {}
        await world.block()


async def test_what_has_landed_is_never_proven_dead(world):
    signed = await land(world, transfer(world, world.unit))
    assert await proven(world, signed) == set()


async def test_nothing_has_no_proof(world):
    assert await world.chain.deaths([]) == {}


# --- nodes that cannot be relied on ------------------------------------------------------------


async def test_a_node_of_another_chain_is_quarantined(world):
    def stranger(question: bytes, answer: bytes) -> bytes:
        asked = b"getGenesisHash" in question or b"eth_chainId" in question
        return answer.replace(b'"result":"', b'"result":"1') if asked else answer

    world.wire.bend = stranger
    world.chain.rpc.endpoints[0].verified_at = None
    with pytest.raises(NoEndpoint):
        await world.chain.balance(world.stranger)
    assert [one.endpoint for one in world.chain.rpc.quarantined()] == ["node"]


async def test_a_node_that_tells_a_foreign_hash_is_quarantined(world):
    signed = await make(world, transfer(world, world.unit))
    foreign = scrambled(signed.hash, 7).encode()
    world.wire.bend = lambda question, answer: answer.replace(signed.hash.encode(), foreign)
    with pytest.raises(ChainError):
        await world.chain.broadcast(signed.raw, signed.hash)
    assert [one.endpoint for one in world.chain.rpc.quarantined()] == ["node"]


async def test_anothers_receipt_is_not_believed(world):
    signed = await land(world, transfer(world, world.unit))
    foreign = scrambled(signed.hash, 7).encode()
    world.wire.bend = lambda question, answer: answer.replace(signed.hash.encode(), foreign)
    with pytest.raises(Transient):
        await world.chain.receipts([signed.hash])
    assert world.chain.rpc.quarantined()


async def test_an_answer_that_is_too_long_is_no_answer(open_world, kind):
    world = await open_world(kind, max_response_bytes=200_000)
    world.wire.bend = lambda question, answer: answer + b" " * 200_000
    with pytest.raises(Transient):
        await world.chain.balance(world.stranger)


async def test_a_node_that_never_answers_is_waited_for_no_longer_than_allowed(open_world, kind):
    world = await open_world(kind, request_timeout_seconds=0.3)
    world.wire.silent = True
    async with asyncio.timeout(5):
        with pytest.raises(Transient):
            await world.chain.balance(world.stranger)


@pytest.mark.parametrize("nonsense", [b"", b"{}", b"[]", b"<html>", b"NaN", b'{"jsonrpc":"2.0","id":1,"result":NaN}'])
async def test_nonsense_is_no_answer(world, nonsense):
    world.wire.bend = lambda question, answer: nonsense
    for asked in (world.chain.balance(world.stranger), world.chain.slot(world.signer.address)):
        with pytest.raises(Transient):
            await asked


async def test_a_broken_node_is_no_reason_to_refuse_a_request(world):
    world.wire.bend = lambda question, answer: b'{"jsonrpc":"2.0","id":0,"result":null}'
    with pytest.raises(Transient):
        await world.chain.prepare(transfer(world, world.unit), world.signer.address)
