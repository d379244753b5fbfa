"""SPL Token and Token-2022 on the embedded chain: mints, holders, transfers and how they are told."""

import shutil
from typing import NamedTuple

import pytest
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.system_program import CreateAccountParams, create_account

from tests.localnet.conftest import open_node

SYSTEM = Pubkey.from_string("11111111111111111111111111111111")
ASSOCIATED = Pubkey.from_string("ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL")
TOKEN = Pubkey.from_string("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA")
TOKEN_2022 = Pubkey.from_string("TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb")

WRITABLE = {"is_signer": False, "is_writable": True}
READONLY = {"is_signer": False, "is_writable": False}
SIGNER = {"is_signer": True, "is_writable": False}


class Token(NamedTuple):
    program: Pubkey
    mint: Pubkey


def holder_of(owner: Pubkey, token: Token) -> Pubkey:
    return Pubkey.find_program_address([bytes(owner), bytes(token.program), bytes(token.mint)], ASSOCIATED)[0]


def create_holder(payer: Pubkey, owner: Pubkey, token: Token) -> Instruction:
    accounts = [
        AccountMeta(payer, is_signer=True, is_writable=True),
        AccountMeta(holder_of(owner, token), **WRITABLE),
        *(AccountMeta(key, **READONLY) for key in (owner, token.mint, SYSTEM, token.program)),
    ]
    return Instruction(ASSOCIATED, bytes([1]), accounts)


def mint_to(authority: Pubkey, owner: Pubkey, token: Token, amount: int) -> Instruction:
    accounts = [
        AccountMeta(token.mint, **WRITABLE),
        AccountMeta(holder_of(owner, token), **WRITABLE),
        AccountMeta(authority, **SIGNER),
    ]
    return Instruction(token.program, bytes([7]) + amount.to_bytes(8, "little"), accounts)


def transfer_checked(owner: Pubkey, to: Pubkey, token: Token, amount: int, decimals: int) -> Instruction:
    accounts = [
        AccountMeta(holder_of(owner, token), **WRITABLE),
        AccountMeta(token.mint, **READONLY),
        AccountMeta(holder_of(to, token), **WRITABLE),
        AccountMeta(owner, **SIGNER),
    ]
    return Instruction(token.program, bytes([12]) + amount.to_bytes(8, "little") + bytes([decimals]), accounts)


@pytest.fixture(params=[TOKEN, TOKEN_2022], ids=["spl-token", "spl-token-2022"])
async def token(request, node, payer) -> Token:
    """A token of 6 decimals, of which the payer holds 5."""
    mint = Keypair()
    token = Token(request.param, mint.pubkey())
    rent = await node.call("getMinimumBalanceForRentExemption", 82)
    params = CreateAccountParams(
        from_pubkey=payer.pubkey(), to_pubkey=token.mint, lamports=rent, space=82, owner=token.program
    )
    initialize = Instruction(
        token.program, bytes([20, 6]) + bytes(payer.pubkey()) + bytes([0]), [AccountMeta(token.mint, **WRITABLE)]
    )
    holder = create_holder(payer.pubkey(), payer.pubkey(), token)
    mint_five = mint_to(payer.pubkey(), payer.pubkey(), token, 5_000_000)
    transaction = await node.sign([create_account(params), initialize, holder, mint_five], payer, mint)
    assert (await node.land(transaction))["err"] is None
    return token


def amount(units: str, ui: float) -> dict:
    return {"amount": units, "decimals": 6, "uiAmount": ui, "uiAmountString": f"{ui:g}"}


async def holdings(node, owner: Pubkey, **filter: str) -> dict[str, dict]:
    found = await node.value("getTokenAccountsByOwner", str(owner), filter, {"encoding": "jsonParsed"})
    return {each["pubkey"]: each["account"]["data"]["parsed"] for each in found}


async def test_a_token_transfer_is_told_in_balances_holders_and_history(node, payer, token):
    to = Keypair().pubkey()
    instructions = [
        create_holder(payer.pubkey(), to, token),
        transfer_checked(payer.pubkey(), to, token, 1_500_000, 6),
    ]
    transaction = await node.sign(instructions, payer)
    assert (await node.land(transaction))["err"] is None
    theirs, ours = str(holder_of(to, token)), str(holder_of(payer.pubkey(), token))
    assert await node.value("getTokenAccountBalance", theirs) == amount("1500000", 1.5)
    for named in ({"mint": str(token.mint)}, {"programId": str(token.program)}):
        found = await holdings(node, to, **named)
        assert found[theirs]["type"] == "account"
        assert found[theirs]["info"] == {
            "isNative": False,
            "mint": str(token.mint),
            "owner": str(to),
            "state": "initialized",
            "tokenAmount": amount("1500000", 1.5),
        }
    meta = (await node.call("getTransaction", str(transaction.signatures[0]), {"maxSupportedTransactionVersion": 0}))[
        "meta"
    ]
    assert [each["owner"] for each in meta["preTokenBalances"]] == [str(payer.pubkey())]
    after = {each["owner"]: each["uiTokenAmount"]["amount"] for each in meta["postTokenBalances"]}
    assert after == {str(payer.pubkey()): "3500000", str(to): "1500000"}
    assert meta["innerInstructions"][0]["index"] == 0
    assert [entry["err"] for entry in await node.call("getSignaturesForAddress", theirs)] == [None]
    assert (await holdings(node, payer.pubkey(), mint=str(token.mint)))[ours]["info"]["tokenAmount"]["amount"] == (
        "3500000"
    )


async def test_other_owners_mints_and_programs_are_not_told(node, payer, token):
    other_program = TOKEN_2022 if token.program == TOKEN else TOKEN
    assert await holdings(node, payer.pubkey(), programId=str(other_program)) == {}
    assert await holdings(node, Keypair().pubkey(), mint=str(token.mint)) == {}


async def test_a_mint_is_shown_parsed(node, payer, token):
    account = await node.value("getAccountInfo", str(token.mint), {"encoding": "jsonParsed"})
    assert account["data"]["parsed"] == {
        "info": {
            "decimals": 6,
            "freezeAuthority": None,
            "isInitialized": True,
            "mintAuthority": str(payer.pubkey()),
            "supply": "5000000",
        },
        "type": "mint",
    }
    assert account["data"]["program"] == ("spl-token" if token.program == TOKEN else "spl-token-2022")


async def test_tokens_survive_a_restart(node, payer, token, directory, clock, tmp_path):
    shutil.copytree(directory, tmp_path / "copy")
    to = Keypair().pubkey()
    instructions = [create_holder(payer.pubkey(), to, token), transfer_checked(payer.pubkey(), to, token, 7, 6)]
    async with open_node(tmp_path / "copy", clock) as again:
        assert (await again.land(await again.sign(instructions, payer)))["err"] is None
        assert (await again.value("getTokenAccountBalance", str(holder_of(to, token))))["amount"] == "7"
