"""What the RPC methods of the embedded Solana chain tell."""

import shutil
from base64 import b64decode, b64encode

import pytest
from solders.address_lookup_table_account import AddressLookupTableAccount
from solders.compute_budget import set_compute_unit_limit, set_compute_unit_price
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import Message, MessageV0
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.system_program import CreateAccountParams, create_account
from solders.transaction import VersionedTransaction

from tests.localnet.conftest import SOL, RpcFailed, open_node, pay, wire

FEE = 5000
SYSTEM = "11111111111111111111111111111111"
MEMO = Pubkey.from_string("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr")
LOOKUP_TABLES = Pubkey.from_string("AddressLookupTab1e1111111111111111111111111")


def write_memo(text: str) -> Instruction:
    return Instruction(MEMO, text.encode(), [])


async def simulate(node, transaction, **config):
    return await node.value("simulateTransaction", wire(transaction), {"encoding": "base64", **config})


async def test_the_cluster_tells_who_and_where_it_is(node):
    node.clock.pass_slots(432_005)
    assert await node.call("getSlot") == await node.call("getBlockHeight") == 432_005
    assert await node.call("getEpochInfo") == {
        "absoluteSlot": 432_005,
        "blockHeight": 432_005,
        "epoch": 1,
        "slotIndex": 5,
        "slotsInEpoch": 432_000,
        "transactionCount": 0,
    }
    assert await node.call("getBlockTime", 10) == 1_700_000_004
    assert await node.call("getFirstAvailableBlock") == 0
    assert len(bytes(Pubkey.from_string(await node.call("getGenesisHash")))) == 32
    assert set(await node.call("getVersion")) == {"solana-core", "feature-set"}
    assert await node.call("getMinimumBalanceForRentExemption", 165) == 2_039_280
    prices = await node.call("getRecentPrioritizationFees", [])
    assert len(prices) == 150
    assert prices[-1] == {"slot": 432_005, "prioritizationFee": 0}
    with pytest.raises(RpcFailed, match="Block not available for slot 500000"):
        await node.call("getBlockTime", 500_000)


async def test_an_answer_about_state_names_its_slot(node):
    node.clock.pass_slots(3)
    reply = await node.call("getBalance", SYSTEM)
    assert reply["context"]["slot"] == 3
    assert reply["context"]["apiVersion"]


async def test_programs_see_the_time_of_the_block(node, payer):
    node.clock.pass_slots(100)
    await node.fund(payer.pubkey())
    clock = await node.value("getAccountInfo", "SysvarC1ock11111111111111111111111111111111", {"encoding": "base64"})
    data = b64decode(clock["data"][0])
    assert int.from_bytes(data[:8], "little") == await node.call("getSlot") - 1
    assert int.from_bytes(data[32:40], "little") == 1_700_000_040


async def test_an_account_is_shown_in_each_encoding(node, payer):
    address = str(payer.pubkey())
    account = await node.value("getAccountInfo", address, {"encoding": "base64"})
    assert account == {
        "lamports": 10 * SOL,
        "owner": SYSTEM,
        "data": ["", "base64"],
        "executable": False,
        "rentEpoch": 2**64 - 1,
        "space": 0,
    }
    assert (await node.value("getAccountInfo", address))["data"] == ""
    assert (await node.value("getAccountInfo", address, {"encoding": "base58"}))["data"] == ["", "base58"]
    assert (await node.value("getAccountInfo", address, {"encoding": "jsonParsed"}))["data"] == ["", "base64"]
    program = "ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL"
    with pytest.raises(RpcFailed, match="should be less than 128 bytes"):
        await node.value("getAccountInfo", program, {"encoding": "base58"})
    cut = {"encoding": "base64", "dataSlice": {"offset": 0, "length": 4}}
    shown = await node.value("getMultipleAccounts", [program, address, str(Keypair().pubkey())], cut)
    assert [account and account["data"] for account in shown] == [["f0VMRg==", "base64"], ["", "base64"], None]


async def test_a_simulation_has_no_effect(node, payer):
    to = Keypair().pubkey()
    transaction = await node.transfer(payer, to, SOL)
    value = await simulate(node, transaction, sigVerify=True, accounts={"addresses": [str(to), str(MEMO)]})
    assert (value["err"], value["unitsConsumed"], value["fee"]) == (None, 150, FEE)
    assert value["logs"] == [f"Program {SYSTEM} invoke [1]", f"Program {SYSTEM} success"]
    assert value["accounts"][0]["lamports"] == SOL
    node.clock.pass_slots(1)
    assert await node.balance(to) == 0
    assert (await node.land(transaction))["err"] is None
    assert (await simulate(node, transaction))["err"] == "AlreadyProcessed"


async def test_a_simulation_with_a_replaced_hash_needs_neither_signature_nor_recent_hash(node, payer):
    signed = await node.transfer(payer, Keypair().pubkey(), SOL, blockhash=(await node.blockhash()))
    unsigned = VersionedTransaction.populate(signed.message, [Signature.default()])
    node.clock.pass_slots(200)
    assert (await simulate(node, unsigned))["err"] == "BlockhashNotFound"
    assert (await simulate(node, unsigned, sigVerify=True))["err"] == "SignatureFailure"
    value = await simulate(node, unsigned, replaceRecentBlockhash=True)
    assert value["err"] is None
    latest = await node.value("getLatestBlockhash")
    assert value["replacementBlockhash"] == latest
    with pytest.raises(RpcFailed, match="sigVerify may not be used"):
        await simulate(node, unsigned, sigVerify=True, replaceRecentBlockhash=True)


async def test_a_failing_simulation_is_an_answer(node, payer):
    value = await simulate(node, await node.transfer(payer, Keypair().pubkey(), 11 * SOL))
    assert value["err"] == {"InstructionError": [0, {"Custom": 1}]}
    assert any("insufficient lamports" in line for line in value["logs"])


async def test_the_fee_of_a_message_is_what_landing_costs(node, payer):
    budget = [set_compute_unit_limit(100_000), set_compute_unit_price(30_000)]
    transaction = await node.sign([*budget, pay(payer.pubkey(), Keypair().pubkey(), SOL)], payer)
    versioned = b64encode(b"\x80" + bytes(transaction.message)).decode()
    fee = await node.value("getFeeForMessage", versioned)
    assert fee == FEE + 3000
    await node.land(transaction)
    assert await node.balance(payer.pubkey()) == 9 * SOL - fee
    node.clock.pass_slots(200)
    assert await node.value("getFeeForMessage", versioned) is None


async def test_a_landed_transaction_is_told_whole(node, payer):
    to = Keypair().pubkey()
    transaction = await node.sign([pay(payer.pubkey(), to, SOL), write_memo("lunch")], payer)
    await node.land(transaction)
    signature = str(transaction.signatures[0])
    config = {"maxSupportedTransactionVersion": 0}
    told = await node.call("getTransaction", signature, config)
    keys = [str(payer.pubkey()), str(to), SYSTEM, str(MEMO)]
    assert told["slot"] == await node.call("getSlot") - 1
    assert told["blockTime"] == int(node.clock.seconds - 0.4)
    assert told["version"] == 0
    assert told["transaction"]["signatures"] == [signature]
    message = told["transaction"]["message"]
    assert sorted(message["accountKeys"]) == sorted(keys)
    assert message["recentBlockhash"] == str(transaction.message.recent_blockhash)
    assert message["header"] == {
        "numRequiredSignatures": 1,
        "numReadonlySignedAccounts": 0,
        "numReadonlyUnsignedAccounts": 2,
    }
    assert message["addressTableLookups"] == []
    assert message["instructions"][0]["accounts"] == [0, 1]
    meta = told["meta"]
    assert (meta["err"], meta["fee"], meta["status"]) == (None, FEE, {"Ok": None})
    assert meta["preBalances"][:2] == [10 * SOL, 0]
    assert meta["postBalances"][:2] == [9 * SOL - FEE, SOL]
    assert "Program log: lunch" in meta["logMessages"]
    assert meta["loadedAddresses"] == {"writable": [], "readonly": []}
    raw = await node.call("getTransaction", signature, {**config, "encoding": "base64"})
    assert raw["transaction"] == [wire(transaction), "base64"]
    parsed = await node.call("getTransaction", signature, {**config, "encoding": "jsonParsed"})
    first = parsed["transaction"]["message"]["accountKeys"][0]
    assert first == {"pubkey": keys[0], "signer": True, "writable": True, "source": "transaction"}
    assert parsed["transaction"]["message"]["instructions"][0]["programId"] == SYSTEM
    assert parsed["transaction"]["message"]["instructions"][0]["accounts"] == keys[:2]


async def test_a_versioned_transaction_is_told_only_to_who_understands_it(node, payer):
    transaction = await node.transfer(payer, Keypair().pubkey(), SOL)
    await node.land(transaction)
    with pytest.raises(RpcFailed, match=r"Transaction version \(0\) is not supported") as failed:
        await node.call("getTransaction", str(transaction.signatures[0]))
    assert failed.value.code == -32015


async def test_a_legacy_transaction_is_told_to_everybody(node, payer):
    instructions = [pay(payer.pubkey(), Keypair().pubkey(), SOL)]
    message = Message.new_with_blockhash(instructions, payer.pubkey(), await node.blockhash())
    await node.land(legacy := VersionedTransaction(message, [payer]))
    told = await node.call("getTransaction", str(legacy.signatures[0]))
    assert "version" not in told
    assert "addressTableLookups" not in told["transaction"]["message"]


async def test_a_transaction_that_never_landed_is_null(node):
    assert await node.call("getTransaction", str(Signature.new_unique())) is None


async def test_a_failed_transaction_tells_why(node, payer):
    transaction = await node.transfer(payer, Keypair().pubkey(), 11 * SOL)
    await node.land(transaction, skipPreflight=True)
    meta = (await node.call("getTransaction", str(transaction.signatures[0]), {"maxSupportedTransactionVersion": 0}))[
        "meta"
    ]
    assert meta["err"] == {"InstructionError": [0, {"Custom": 1}]}
    assert meta["status"] == {"Err": {"InstructionError": [0, {"Custom": 1}]}}
    assert meta["preBalances"][0] - meta["postBalances"][0] == meta["fee"] == FEE


async def test_history_of_an_address_is_newest_first_and_read_in_pages(node, payer):
    to = Keypair().pubkey()
    sent = []
    for text in ("one", "two", "three"):
        transaction = await node.sign([pay(payer.pubkey(), to, SOL), write_memo(text)], payer)
        sent.append(str(transaction.signatures[0]))
        await node.land(transaction)
    history = await node.call("getSignaturesForAddress", str(to))
    assert [entry["signature"] for entry in history] == sent[::-1]
    assert [entry["memo"] for entry in history] == ["[5] three", "[3] two", "[3] one"]
    assert history[0] | {"slot": 0, "blockTime": 0} == {
        "signature": sent[2],
        "slot": 0,
        "err": None,
        "memo": "[5] three",
        "blockTime": 0,
        "confirmationStatus": "finalized",
    }

    async def page(**config):
        entries = await node.call("getSignaturesForAddress", str(to), config)
        return [entry["signature"] for entry in entries]

    assert await page(limit=2) == [sent[2], sent[1]]
    assert await page(before=sent[1]) == [sent[0]]
    assert await page(until=sent[1]) == [sent[2]]
    assert await page(before=sent[2], until=sent[0]) == [sent[1]]


async def test_addresses_loaded_from_a_lookup_table_are_written_and_kept(node, payer, directory, tmp_path):
    """A transfer whose recipient is named only in a lookup table."""
    to = Keypair().pubkey()
    slot = await node.call("getSlot")
    node.clock.pass_slots(1)
    table, bump = Pubkey.find_program_address([bytes(payer.pubkey()), slot.to_bytes(8, "little")], LOOKUP_TABLES)
    owner = AccountMeta(payer.pubkey(), True, True)
    system = AccountMeta(Pubkey.from_string(SYSTEM), False, False)
    create = Instruction(
        LOOKUP_TABLES,
        (0).to_bytes(4, "little") + slot.to_bytes(8, "little") + bytes([bump]),
        [AccountMeta(table, False, True), AccountMeta(payer.pubkey(), True, False), owner, system],
    )
    extend = Instruction(
        LOOKUP_TABLES,
        (2).to_bytes(4, "little") + (1).to_bytes(8, "little") + bytes(to),
        [AccountMeta(table, False, True), AccountMeta(payer.pubkey(), True, False), owner, system],
    )
    assert (await node.land(await node.sign([create, extend], payer)))["err"] is None
    node.clock.pass_slots(1)
    lookup = AddressLookupTableAccount(table, [to])
    message = MessageV0.try_compile(payer.pubkey(), [pay(payer.pubkey(), to, SOL)], [lookup], await node.blockhash())
    assert len(message.address_table_lookups) == 1
    transaction = VersionedTransaction(message, [payer])
    assert (await node.land(transaction))["err"] is None
    config = {"maxSupportedTransactionVersion": 0, "encoding": "jsonParsed"}
    told = await node.call("getTransaction", str(transaction.signatures[0]), config)
    assert told["transaction"]["message"]["accountKeys"][-1] == {
        "pubkey": str(to),
        "signer": False,
        "writable": True,
        "source": "lookupTable",
    }
    assert told["meta"]["postBalances"][-1] == SOL
    assert [entry["err"] for entry in await node.call("getSignaturesForAddress", str(to))] == [None]
    shutil.copytree(directory, tmp_path / "copy")
    async with open_node(tmp_path / "copy", node.clock) as again:
        assert await again.balance(to) == SOL


async def test_an_account_with_data_is_kept_whole(node, payer):
    account = Keypair()
    rent = await node.call("getMinimumBalanceForRentExemption", 10)
    params = CreateAccountParams(
        from_pubkey=payer.pubkey(), to_pubkey=account.pubkey(), lamports=rent, space=10, owner=MEMO
    )
    assert (await node.land(await node.sign([create_account(params)], payer, account)))["err"] is None
    shown = await node.value("getAccountInfo", str(account.pubkey()))
    assert (shown["data"], shown["space"], shown["owner"]) == ("1" * 10, 10, str(MEMO))
