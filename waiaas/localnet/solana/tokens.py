"""Token accounts and mints of the two token programs, read from account data (SPL Token, Token-2022)."""

from typing import Any

import msgspec
from solders.account import Account
from solders.pubkey import Pubkey
from solders.token.state import Mint, TokenAccount

PROGRAMS = {
    Pubkey.from_string("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA"): "spl-token",
    Pubkey.from_string("TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb"): "spl-token-2022",
}

MINT_SIZE = 82
HOLDER_SIZE = 165
MULTISIG_SIZE = 355
STATE_OFFSET = 108

#: Token-2022 writes the kind of an extended account behind the base bytes of a token account
KIND_OFFSET = 165
MINT_KIND = 1
HOLDER_KIND = 2

#: by the byte at STATE_OFFSET
STATES = ("uninitialized", "initialized", "frozen")

#: RPC nodes give it as a JSON number or null, beside the exact digits
UiAmount = dict[str, Any]


class Holding(msgspec.Struct, frozen=True):
    """Who owns a token account, and of which mint."""

    owner: bytes
    mint: bytes


def is_holder(account: Account) -> bool:
    """Whether it is an initialised token account."""
    data = account.data
    if account.owner not in PROGRAMS or len(data) < HOLDER_SIZE or data[STATE_OFFSET] == 0:
        return False
    return len(data) == HOLDER_SIZE or (len(data) != MULTISIG_SIZE and data[KIND_OFFSET] == HOLDER_KIND)


def is_mint(account: Account) -> bool:
    """Whether it is a mint."""
    data = account.data
    if account.owner not in PROGRAMS:
        return False
    return len(data) == MINT_SIZE or (
        len(data) > KIND_OFFSET and len(data) != MULTISIG_SIZE and data[KIND_OFFSET] == MINT_KIND
    )


def holding(account: Account) -> Holding | None:
    """The owner and mint of a token account; None for any other account."""
    if not is_holder(account):
        return None
    return Holding(owner=account.data[32:64], mint=account.data[:32])


def read_holder(account: Account) -> TokenAccount:
    """The state of a token account, its extensions left out."""
    return TokenAccount.from_bytes(account.data[:HOLDER_SIZE])


def read_mint(account: Account) -> Mint:
    """The state of a mint, its extensions left out."""
    return Mint.from_bytes(account.data[:MINT_SIZE])


def ui_amount(amount: int, decimals: int) -> UiAmount:
    """An amount of base units as RPC nodes write it."""
    digits = str(amount).rjust(decimals + 1, "0")
    whole, fraction = (digits[:-decimals], digits[-decimals:].rstrip("0")) if decimals else (digits, "")
    text = f"{whole}.{fraction}" if fraction else whole
    return {"amount": str(amount), "decimals": decimals, "uiAmount": float(text), "uiAmountString": text}


def parsed_holder(account: Account, decimals: int) -> dict[str, Any]:
    """A token account as encoding jsonParsed shows it."""
    state = read_holder(account)
    info: dict[str, Any] = {
        "isNative": state.is_native is not None,
        "mint": str(state.mint),
        "owner": str(state.owner),
        "state": STATES[account.data[STATE_OFFSET]],
        "tokenAmount": ui_amount(state.amount, decimals),
    }
    if state.delegate:
        info["delegate"] = str(state.delegate)
        info["delegatedAmount"] = ui_amount(state.delegated_amount, decimals)
    if state.is_native is not None:
        info["rentExemptReserve"] = ui_amount(state.is_native, decimals)
    if state.close_authority:
        info["closeAuthority"] = str(state.close_authority)
    return parsed(account, "account", info)


def parsed_mint(account: Account) -> dict[str, Any]:
    """A mint as encoding jsonParsed shows it."""
    state = read_mint(account)
    info = {
        "decimals": state.decimals,
        "freezeAuthority": state.freeze_authority and str(state.freeze_authority),
        "isInitialized": state.is_initialized,
        "mintAuthority": state.mint_authority and str(state.mint_authority),
        "supply": str(state.supply),
    }
    return parsed(account, "mint", info)


def parsed(account: Account, kind: str, info: dict[str, Any]) -> dict[str, Any]:
    return {"program": PROGRAMS[account.owner], "parsed": {"info": info, "type": kind}, "space": len(account.data)}
