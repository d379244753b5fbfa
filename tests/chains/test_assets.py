"""The list of assets: both token programs, sums per mint, order, and what cannot be read."""

import pytest

from tests.chains.conftest import SOL, TO, Node, refuse
from tests.chains.tokens import NON_TRANSFERABLE, TRANSFER_FEE, TRANSFER_HOOK
from waiaas.chains.solana.programs import TOKEN, TOKEN_2022
from waiaas.errors import Transient

MINTS = [letter * 43 for letter in "ABCD"]


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
async def test_a_real_token_is_listed(localnet, funded, bank, program):
    token = await bank.token(funded.address, 5_000_000, program)
    [native, held] = await localnet.assets(funded.address)
    assert native.balance == 10 * SOL
    assert (held.mint, held.balance, held.decimals, held.is_native) == (token.address, 5_000_000, 6, False)


@pytest.mark.parametrize("extension", [TRANSFER_FEE, NON_TRANSFERABLE, TRANSFER_HOOK], ids=lambda one: str(one.kind))
async def test_a_token_that_is_never_sent_is_listed_all_the_same(localnet, funded, bank, extension):
    token = await bank.token(funded.address, 7, TOKEN_2022, extension)
    assert [asset.mint for asset in await localnet.assets(funded.address)] == ["native", token.address]
