"""The list of assets: both token programs, sums per mint, order, and what cannot be read."""

from base64 import b64encode

import pytest
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.system_program import CreateAccountParams, create_account
from solders.transaction import VersionedTransaction

from tests.chains.conftest import SOL, TO, Node, refuse
from waiaas.chains.solana import answers
from waiaas.chains.solana.assets import TOKEN, TOKEN_2022
from waiaas.errors import Transient

MINTS = [letter * 43 for letter in "ABCD"]
SYSTEM = Pubkey.default()
ASSOCIATED = Pubkey.from_string("ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL")


def held(mint: str, amount: str, decimals: int = 6) -> dict:
    info = {"mint": mint, "owner": TO, "state": "initialized", "tokenAmount": {"amount": amount, "decimals": decimals}}
    parsed = {"type": "account", "info": info}
    return {"pubkey": TO, "account": {"lamports": 1, "data": {"program": "spl-token", "parsed": parsed, "space": 165}}}


def mint(name: str, symbol: str) -> dict:
    state = {"name": name, "symbol": symbol, "uri": "", "mint": TO, "additionalMetadata": []}
    extensions = [{"extension": "metadataPointer", "state": {}}, {"extension": "tokenMetadata", "state": state}]
    parsed = {"type": "mint", "info": {"decimals": 6, "supply": "1", "extensions": extensions}}
    return {"lamports": 1, "data": {"program": "spl-token-2022", "parsed": parsed, "space": 300}}


def wallet(plain=(), extended=(), mints=()) -> Node:
    """A node that knows what one address holds."""

    def owned(address, filter, config):
        return {"context": {"slot": 1}, "value": list({TOKEN: plain, TOKEN_2022: extended}[filter["programId"]])}

    return Node(
        getBalance={"context": {"slot": 1}, "value": 7},
        getTokenAccountsByOwner=owned,
        getMultipleAccounts={"context": {"slot": 1}, "value": list(mints)},
    )


async def test_tokens_come_by_balance_and_ties_by_symbol(make_chain):
    chain = make_chain(
        wallet(
            [held(MINTS[0], "5"), held(MINTS[1], "900")],
            [held(MINTS[2], "5"), held(MINTS[3], "5")],
            [mint("Zebra coin", "ZEB"), mint("Ant coin", "ANT")],
        )
    )
    found = [(asset.symbol, asset.name, asset.balance) for asset in await chain.assets(TO)]
    assert found == [
        ("SOL", "SOL", 7),
        ("", "", 900),
        ("", "", 5),
        ("ANT", "Ant coin", 5),
        ("ZEB", "Zebra coin", 5),
    ]


async def test_accounts_of_one_mint_are_one_asset_and_empty_ones_are_left_out(make_chain):
    chain = make_chain(wallet([held(MINTS[0], "5"), held(MINTS[0], "6"), held(MINTS[1], "0")]))
    assert [(asset.mint, asset.balance) for asset in await chain.assets(TO)] == [("native", 7), (MINTS[0], 11)]


@pytest.mark.parametrize(
    "unreadable",
    [
        {"pubkey": TO, "account": {"lamports": 1, "data": ["AAAA", "base64"]}},
        held(MINTS[1], "-5"),
        held(MINTS[1], "5e3"),
        {"pubkey": TO},
        None,
    ],
)
async def test_a_token_that_cannot_be_read_is_left_out_alone(make_chain, unreadable):
    chain = make_chain(wallet([unreadable, held(MINTS[0], "5")]))
    assert [asset.mint for asset in await chain.assets(TO)] == ["native", MINTS[0]]


@pytest.mark.parametrize("account", [None, {"data": ["AAAA", "base64"]}, {"data": {"parsed": {"info": {}}}}])
async def test_a_mint_that_says_nothing_of_itself_has_no_name(make_chain, account):
    chain = make_chain(wallet(extended=[held(MINTS[0], "5")], mints=[account]))
    [_, token] = await chain.assets(TO)
    assert (token.symbol, token.name, token.balance) == ("", "", 5)


async def test_names_are_cut(make_chain):
    chain = make_chain(wallet(extended=[held(MINTS[0], "5")], mints=[mint("n" * 5000, "s" * 5000)]))
    [_, token] = await chain.assets(TO)
    assert (len(token.symbol), len(token.name)) == (16, 64)


async def test_a_node_that_cannot_list_is_transient(make_chain):
    node = wallet()
    node.answers["getTokenAccountsByOwner"] = refuse(-32010, "excluded from account secondary indexes")
    with pytest.raises(Transient):
        await make_chain(node).assets(TO)


@pytest.mark.parametrize("program", [TOKEN, TOKEN_2022])
async def test_a_real_token_is_listed(localnet, clock, funded, program):
    token, owner, fresh = Pubkey.from_string(program), funded.key.pubkey(), Keypair()
    holder, _ = Pubkey.find_program_address([bytes(owner), bytes(token), bytes(fresh.pubkey())], ASSOCIATED)
    rent = await localnet.rpc.call("getMinimumBalanceForRentExemption", [82], answers.COUNT.decode)
    create = CreateAccountParams(from_pubkey=owner, to_pubkey=fresh.pubkey(), lamports=rent, space=82, owner=token)
    writable = [AccountMeta(key, is_signer=False, is_writable=True) for key in (fresh.pubkey(), holder)]
    others = [AccountMeta(key, False, False) for key in (owner, fresh.pubkey(), SYSTEM, token)]
    message = MessageV0.try_compile(
        owner,
        [
            create_account(create),
            Instruction(token, bytes([20, 6]) + bytes(owner) + bytes([0]), writable[:1]),
            Instruction(ASSOCIATED, bytes([1]), [AccountMeta(owner, True, True), writable[1], *others]),
            Instruction(
                token, bytes([7]) + (5_000_000).to_bytes(8, "little"), [*writable, AccountMeta(owner, True, False)]
            ),
        ],
        [],
        Hash.from_string((await localnet.slot()).blockhash),
    )
    transaction = VersionedTransaction(message, [funded.key, fresh])
    params = [b64encode(bytes(transaction)).decode(), {"encoding": "base64"}]
    await localnet.rpc.call("sendTransaction", params, answers.SIGNATURE.decode)
    clock.pass_slots(1)
    [native, held] = await localnet.assets(funded.address)
    assert native.balance < 10 * SOL
    assert (held.mint, held.balance, held.decimals, held.is_native) == (str(fresh.pubkey()), 5_000_000, 6, False)
