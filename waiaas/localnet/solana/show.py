"""Accounts as RPC nodes show them."""

from base64 import b64encode
from typing import Any

from solders.account import Account

from waiaas.errors import RpcRefusal
from waiaas.localnet.jsonrpc import INVALID_REQUEST
from waiaas.localnet.solana import base58
from waiaas.localnet.solana.machine import Machine
from waiaas.localnet.solana.params import AccountConfig
from waiaas.localnet.solana.tokens import is_holder, is_mint, parsed_holder, parsed_mint, read_holder, read_mint

#: base58 of more is refused, as it is slow to make
MAX_BASE58_BYTES = 128

#: what nodes report for every account, since none pays rent any more
RENT_EXEMPT_EPOCH = 2**64 - 1


def as_account(account: Account | None, config: AccountConfig, machine: Machine) -> dict[str, Any] | None:
    """An account in the encoding asked for; jsonParsed knows token accounts and mints, others stay base64."""
    if account is None:
        return None
    return {
        "lamports": account.lamports,
        "owner": str(account.owner),
        "data": as_data(account, config, machine),
        "executable": account.executable,
        "rentEpoch": RENT_EXEMPT_EPOCH,
        "space": len(account.data),
    }


def as_data(account: Account, config: AccountConfig, machine: Machine) -> Any:
    """`data` of an account."""
    if config.encoding == "jsonParsed" and (parsed := as_parsed(account, machine)):
        return parsed
    data = account.data
    if cut := config.data_slice:
        data = data[cut.offset : cut.offset + cut.length]
    if config.encoding in ("base64", "jsonParsed"):
        return [b64encode(data).decode(), "base64"]
    if len(data) > MAX_BASE58_BYTES:
        message = "Encoded binary (base 58) data should be less than 128 bytes, please use Base64 encoding."
        raise RpcRefusal(INVALID_REQUEST, message)
    text = base58.encode(data)
    return text if config.encoding == "binary" else [text, "base58"]


def as_parsed(account: Account, machine: Machine) -> dict[str, Any] | None:
    """`data` in the form jsonParsed; None for an account it does not know."""
    if is_mint(account):
        return parsed_mint(account)
    if not is_holder(account):
        return None
    mint = machine.account(read_holder(account).mint)
    return parsed_holder(account, read_mint(mint).decimals) if mint else None
