"""The life of transactions on the embedded Solana chain: blocks, age, failure, duplicates."""

import hashlib
from base64 import b64decode

import pytest
from solders.hash import Hash
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.system_program import AdvanceNonceAccountParams, advance_nonce_account, create_nonce_account
from solders.transaction import VersionedTransaction

from tests.localnet.conftest import SOL, HandClock, RpcFailed, open_node, pay, wire

FEE = 5000


async def test_a_transfer_lands_when_its_slot_ends(node, payer):
    to = Keypair().pubkey()
    signature = await node.send(await node.transfer(payer, to, SOL))
    assert await node.status(signature) is None
    assert await node.balance(to) == 0
    slot = await node.call("getSlot")
    node.clock.pass_slots(1)
    status = await node.status(signature)
    assert status == {
        "slot": slot,
        "confirmations": None,
        "err": None,
        "status": {"Ok": None},
        "confirmationStatus": "finalized",
    }
    assert await node.balance(to) == SOL
    assert await node.balance(payer.pubkey()) == 9 * SOL - FEE


async def test_a_block_belongs_to_the_slot_it_was_accepted_in_however_late_it_is_asked_for(node, payer):
    signature = await node.send(await node.transfer(payer, Keypair().pubkey(), SOL))
    slot = await node.call("getSlot")
    node.clock.pass_slots(1000)
    assert (await node.status(signature, searchTransactionHistory=True))["slot"] == slot


async def test_slots_follow_the_clock_and_never_go_back(node):
    slot = await node.call("getSlot")
    node.clock.pass_slots(7)
    assert await node.call("getSlot") == slot + 7
    node.clock.seconds -= 3600
    assert await node.call("getSlot") == slot + 7
    node.clock.pass_slots(2)
    assert await node.call("getSlot") == slot + 9


async def test_a_blockhash_is_valid_for_150_blocks(node, payer):
    latest = await node.value("getLatestBlockhash")
    assert latest["lastValidBlockHeight"] == await node.call("getBlockHeight") + 150
    transaction = await node.transfer(payer, Keypair().pubkey(), SOL, Hash.from_string(latest["blockhash"]))
    node.clock.pass_slots(150)
    assert await node.value("isBlockhashValid", latest["blockhash"]) is True
    assert (await node.land(transaction))["err"] is None


async def test_a_blockhash_is_dead_after_150_blocks(node, payer):
    latest = await node.value("getLatestBlockhash")
    transaction = await node.transfer(payer, Keypair().pubkey(), SOL, Hash.from_string(latest["blockhash"]))
    node.clock.pass_slots(151)
    assert await node.value("isBlockhashValid", latest["blockhash"]) is False
    with pytest.raises(RpcFailed, match="Transaction simulation failed: Blockhash not found") as failed:
        await node.send(transaction)
    assert failed.value.data["err"] == "BlockhashNotFound"
    assert await node.land(transaction, skipPreflight=True) is None


async def test_blockhashes_differ_between_slots_and_between_chains(node, tmp_path):
    first = await node.blockhash()
    node.clock.pass_slots(1)
    second = await node.blockhash()
    async with open_node(tmp_path / "other", HandClock()) as other:
        assert len({first, second, await other.blockhash()}) == 3


async def test_a_hash_that_was_never_given_out_is_refused(node, payer):
    with pytest.raises(RpcFailed, match="Blockhash not found"):
        await node.send(await node.transfer(payer, Keypair().pubkey(), SOL, Hash.new_unique()))


async def test_the_same_bytes_land_once(node, payer):
    to = Keypair().pubkey()
    transaction = await node.transfer(payer, to, SOL)
    for _ in range(3):
        await node.send(transaction)
    node.clock.pass_slots(1)
    with pytest.raises(RpcFailed, match="This transaction has already been processed") as failed:
        await node.send(transaction)
    assert (failed.value.code, failed.value.data["err"]) == (-32002, "AlreadyProcessed")
    await node.land(transaction, skipPreflight=True)
    assert await node.balance(to) == SOL


async def test_the_same_bytes_land_once_after_a_hundred_others(node, payer):
    to = Keypair().pubkey()
    transaction = await node.transfer(payer, to, SOL)
    await node.land(transaction)
    for lamports in range(100):
        await node.send(await node.transfer(payer, payer.pubkey(), lamports), skipPreflight=True)
    node.clock.pass_slots(1)
    await node.land(transaction, skipPreflight=True)
    assert await node.balance(to) == SOL


async def test_a_failing_transfer_is_refused_before_it_is_sent(node, payer):
    with pytest.raises(RpcFailed) as failed:
        await node.send(await node.transfer(payer, Keypair().pubkey(), 11 * SOL))
    assert failed.value.code == -32002
    assert failed.value.message == (
        "Transaction simulation failed: Error processing Instruction 0: custom program error: 0x1"
    )
    data = failed.value.data
    assert data["err"] == {"InstructionError": [0, {"Custom": 1}]}
    assert data["logs"][1] == f"Transfer: insufficient lamports {10 * SOL - FEE}, need {11 * SOL}"
    assert data["unitsConsumed"] == 150
    assert {"accounts", "returnData", "innerInstructions", "replacementBlockhash"} <= data.keys()


async def test_a_failing_transfer_sent_all_the_same_lands_and_pays(node, payer):
    to = Keypair().pubkey()
    status = await node.land(await node.transfer(payer, to, 11 * SOL), skipPreflight=True)
    assert status["err"] == {"InstructionError": [0, {"Custom": 1}]}
    assert status["status"] == {"Err": {"InstructionError": [0, {"Custom": 1}]}}
    assert await node.balance(payer.pubkey()) == 10 * SOL - FEE
    assert await node.balance(to) == 0


async def test_who_cannot_pay_the_fee_never_lands(node):
    nobody = Keypair()
    transaction = await node.transfer(nobody, Keypair().pubkey(), 1)
    with pytest.raises(RpcFailed, match="no record of a prior credit"):
        await node.send(transaction)
    assert await node.land(transaction, skipPreflight=True) is None


async def test_an_account_may_not_be_left_below_the_rent_minimum(node, payer):
    with pytest.raises(RpcFailed, match=r"results in an account \(1\) with insufficient funds for rent"):
        await node.send(await node.transfer(payer, Keypair().pubkey(), 1000))


async def test_a_wrong_signature_never_lands(node, payer):
    good = await node.transfer(payer, Keypair().pubkey(), SOL)
    forged = VersionedTransaction.populate(good.message, [Signature.new_unique()])
    with pytest.raises(RpcFailed, match="Transaction signature verification failure") as failed:
        await node.send(forged)
    assert failed.value.code == -32003
    assert await node.land(forged, skipPreflight=True) is None
    assert await node.balance(payer.pubkey()) == 10 * SOL


async def test_an_emptied_account_is_gone(node, payer):
    await node.land(await node.transfer(payer, Keypair().pubkey(), 10 * SOL - FEE))
    assert await node.value("getAccountInfo", str(payer.pubkey())) is None


async def test_equal_airdrops_on_one_hash_are_two(node):
    to = str(Keypair().pubkey())
    first, second = [await node.call("requestAirdrop", to, SOL) for _ in range(2)]
    node.clock.pass_slots(1)
    assert first != second
    assert [each["err"] for each in await node.value("getSignatureStatuses", [first, second])] == [None, None]
    assert await node.balance(Pubkey.from_string(to)) == 2 * SOL


async def test_a_status_older_than_the_cache_is_found_only_in_history(node, payer):
    transaction = await node.transfer(payer, Keypair().pubkey(), SOL)
    await node.land(transaction)
    node.clock.pass_slots(300)
    signature = str(transaction.signatures[0])
    assert await node.status(signature) is None
    assert (await node.status(signature, searchTransactionHistory=True))["err"] is None


@pytest.fixture
async def nonce(node, payer) -> Pubkey:
    """A nonce account of the payer."""
    account = Keypair()
    instructions = create_nonce_account(payer.pubkey(), account.pubkey(), payer.pubkey(), SOL)
    assert (await node.land(await node.sign(instructions, payer, account)))["err"] is None
    return account.pubkey()


async def nonce_value(node, address: Pubkey) -> bytes:
    account = await node.value("getAccountInfo", str(address), {"encoding": "base64"})
    return b64decode(account["data"][0])[40:72]


async def with_nonce(node, payer: Keypair, nonce: Pubkey, lamports: int) -> VersionedTransaction:
    advance = advance_nonce_account(AdvanceNonceAccountParams(nonce_pubkey=nonce, authorized_pubkey=payer.pubkey()))
    value = Hash(await nonce_value(node, nonce))
    return await node.sign([advance, pay(payer.pubkey(), payer.pubkey(), lamports)], payer, blockhash=value)


async def test_a_durable_nonce_outlives_150_blocks_and_is_used_once(node, payer, nonce):
    before = await nonce_value(node, nonce)
    transaction, rival = [await with_nonce(node, payer, nonce, lamports) for lamports in (1, 2)]
    node.clock.pass_slots(1000)
    assert (await node.land(transaction))["err"] is None
    assert await nonce_value(node, nonce) == hashlib.sha256(b"DURABLE_NONCE" + before).digest()
    with pytest.raises(RpcFailed, match="Blockhash not found"):
        await node.send(rival)


async def test_a_failed_transaction_uses_its_durable_nonce_up(node, payer, nonce):
    before = await nonce_value(node, nonce)
    rival = await with_nonce(node, payer, nonce, 1)
    status = await node.land(await with_nonce(node, payer, nonce, 1000 * SOL), skipPreflight=True)
    assert status["err"] == {"InstructionError": [1, {"Custom": 1}]}
    assert await nonce_value(node, nonce) == hashlib.sha256(b"DURABLE_NONCE" + before).digest()
    assert await node.land(rival, skipPreflight=True) is None


async def test_a_transaction_larger_than_a_packet_is_refused(node, payer):
    many = [pay(payer.pubkey(), Keypair().pubkey(), SOL) for _ in range(30)]
    with pytest.raises(RpcFailed, match=r"too large: \d+ bytes \(max: 1232 bytes\)"):
        await node.send(await node.sign(many, payer))


async def test_what_is_no_transaction_is_refused(node, payer):
    for text, message in [("!!", "invalid base64 encoding"), ("AAAA", "failed to deserialize|invalid transaction")]:
        with pytest.raises(RpcFailed, match=message) as failed:
            await node.call("sendTransaction", text, {"encoding": "base64"})
        assert failed.value.code == -32602
    with pytest.raises(RpcFailed, match="invalid base58 encoding"):
        await node.call("sendTransaction", wire(await node.transfer(payer, payer.pubkey(), 1)))
