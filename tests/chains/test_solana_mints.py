"""Which tokens are sent: real mints of Token-2022 with each extension, and bytes that only look like a mint."""

import pytest

from tests.chains.conftest import TO, land
from tests.chains.tokens import (
    CLOSE_AUTHORITY,
    CONFIDENTIAL,
    CONFIDENTIAL_FEE,
    CONFIDENTIAL_SUPPLY,
    DECIMALS,
    FROZEN_AT_FIRST,
    INTEREST,
    METADATA_POINTER,
    NON_TRANSFERABLE,
    PAUSABLE,
    PERMANENT_DELEGATE,
    TRANSFER_FEE,
    TRANSFER_HOOK,
)
from waiaas.chains.solana.answers import Account
from waiaas.chains.solana.programs import SYSTEM, TOKEN, TOKEN_2022
from waiaas.chains.solana.tokens import REFUSED_EXTENSIONS, Mint, extensions, read_holder, read_mint
from waiaas.domain.request import Approve, Token, TokenTransfer
from waiaas.errors import SimulationFailed, TokenMismatch

REFUSED = {
    1: [TRANSFER_FEE],
    4: [CONFIDENTIAL],
    9: [NON_TRANSFERABLE],
    12: [PERMANENT_DELEGATE],
    14: [TRANSFER_HOOK],
    16: [TRANSFER_FEE, CONFIDENTIAL, CONFIDENTIAL_FEE],
    24: [CONFIDENTIAL, CONFIDENTIAL_SUPPLY],
    26: [PAUSABLE],
}


def by_kind(extensions) -> str:
    return "+".join(str(each.kind) for each in extensions)


def test_every_refused_extension_is_tried():
    assert set(REFUSED) == set(REFUSED_EXTENSIONS)


@pytest.mark.parametrize("chosen", REFUSED.values(), ids=by_kind)
async def test_a_real_token_with_a_refused_extension_is_neither_sent_nor_approved(localnet, funded, bank, chosen):
    token = Token(await bank.mint(TOKEN_2022, *chosen), DECIMALS, "TOK")
    assert [each.kind for each in chosen] == list(extensions(await bank.account(token.address)))
    for request in (TokenTransfer(TO, "1", token), Approve(TO, token, "1")):
        with pytest.raises(TokenMismatch, match="refused"):
            await localnet.prepare(request, funded.address)


@pytest.mark.parametrize("chosen", [[CLOSE_AUTHORITY], [INTEREST], [METADATA_POINTER, CLOSE_AUTHORITY]], ids=by_kind)
async def test_a_real_token_with_a_harmless_extension_is_sent(localnet, clock, funded, bank, chosen):
    token = await bank.token(funded.address, 5, TOKEN_2022, *chosen)
    assert (await land(localnet, clock, funded, TokenTransfer(TO, "5", token))).ok
    assert await bank.held(token, TO, TOKEN_2022) == 5


async def test_a_token_whose_accounts_begin_frozen_fails_in_the_simulation(localnet, funded, bank):
    mint = await bank.mint(TOKEN_2022, FROZEN_AT_FIRST)
    holder = await bank.open(mint, funded.address, TOKEN_2022)
    assert read_holder(await bank.account(holder)).owner == funded.address
    with pytest.raises(SimulationFailed):
        await localnet.prepare(TokenTransfer(TO, "0", Token(mint, DECIMALS, "TOK")), funded.address)


# --- bytes -------------------------------------------------------------------------------------

#: no authorities, supply 0, 6 decimals, initialised
BASE = bytes(36) + bytes(8) + bytes([6, 1]) + bytes(36)
PADDING = bytes(165 - 82)


def entry(kind: int, value: bytes = b"") -> bytes:
    return kind.to_bytes(2, "little") + len(value).to_bytes(2, "little") + value


def mint(*entries: bytes, kind: int = 1, owner: str = TOKEN_2022) -> Account:
    return Account(1, owner, BASE + PADDING + bytes([kind]) + b"".join(entries))


HARMLESS = [kind for kind in range(1, 28) if kind not in REFUSED_EXTENSIONS]


@pytest.mark.parametrize(
    "account",
    [
        Account(1, TOKEN, BASE),
        Account(1, TOKEN_2022, BASE),
        mint(),
        *(mint(entry(kind, b"xyz")) for kind in HARMLESS),
        mint(entry(18, bytes(64)), entry(19, bytes(300))),
        mint(entry(3), bytes(1)),
        mint(entry(3), bytes(7)),
    ],
)
def test_these_are_mints(account):
    assert read_mint(TO, account) == Mint(TO, account.owner, 6)


@pytest.mark.parametrize("kind", [*sorted(REFUSED_EXTENSIONS), 28, 29, 255, 256, 65535])
def test_a_refused_extension_is_found_wherever_it_stands(kind):
    for entries in ([entry(kind)], [entry(kind, bytes(108))], [entry(18, bytes(64)), entry(kind), entry(3)]):
        with pytest.raises(TokenMismatch, match="refused") as caught:
            read_mint(TO, mint(*entries))
        assert caught.value.details == {"extension": kind}


@pytest.mark.parametrize(
    "account",
    [
        None,
        Account(1, SYSTEM, BASE),
        Account(1, TOKEN, b""),
        Account(1, TOKEN, BASE[:-1]),
        Account(1, TOKEN, bytes(82)),
        Account(1, TOKEN, BASE + b"\0"),
        Account(1, TOKEN_2022, BASE + b"\0"),
        Account(1, TOKEN_2022, BASE + PADDING),
        mint(owner=TOKEN),
        mint(kind=0),
        mint(kind=2),
        mint(kind=3),
        Account(1, TOKEN_2022, BASE + b"\1" + PADDING[1:] + b"\1"),
        Account(1, TOKEN_2022, BASE + PADDING[1:] + b"\1\1"),
        mint(entry(3, bytes(32))[:-1]),
        mint(entry(3)[:3]),
        mint(entry(3), b"\1"),
        mint(bytes(4), entry(1)),
        mint(bytes(2), b"\1"),
        mint(entry(3, bytes(355 - 166 - 4))),
    ],
)
def test_these_are_no_mints(account):
    with pytest.raises(TokenMismatch):
        read_mint(TO, account)


#: mint, owner, amount 7, no delegate, initialised, nothing delegated, no close authority
HOLDER = bytes(range(32)) + bytes(range(32, 64)) + (7).to_bytes(8, "little") + bytes(36) + b"\1" + bytes(12 + 8 + 36)


@pytest.mark.parametrize(
    "account",
    [Account(1, TOKEN, HOLDER), Account(1, TOKEN_2022, HOLDER), Account(1, TOKEN_2022, HOLDER + b"\2" + entry(7))],
)
def test_these_are_token_accounts(account):
    holder = read_holder(account)
    assert (holder.program, holder.amount, holder.delegate, holder.close_authority) == (account.owner, 7, None, None)


@pytest.mark.parametrize(
    "account",
    [
        None,
        Account(1, SYSTEM, HOLDER),
        Account(1, TOKEN, HOLDER[:-1]),
        Account(1, TOKEN, bytes(165)),
        Account(1, TOKEN, BASE),
        Account(1, TOKEN_2022, HOLDER + b"\1"),
        Account(1, TOKEN_2022, HOLDER + b"\0"),
    ],
)
def test_these_are_no_token_accounts(account):
    assert read_holder(account) is None
