"""Methods about accounts: balances, data, tokens."""

from typing import Any

import msgspec
from solders.account import Account

from waiaas.localnet.solana import base58
from waiaas.localnet.solana.cluster import Cluster
from waiaas.localnet.solana.context import in_context
from waiaas.localnet.solana.params import AccountConfig, AddressesParams, AddressParams, Table, as_address, invalid
from waiaas.localnet.solana.show import as_account
from waiaas.localnet.solana.tokens import PROGRAMS, is_holder, is_mint, read_holder, read_mint, ui_amount

MAX_ADDRESSES = 100


class TokenFilter(msgspec.Struct, frozen=True, rename="camel"):
    """Exactly one of the two."""

    mint: str | None = None
    program_id: str | None = None


class TokenAccountsParams(msgspec.Struct, frozen=True, array_like=True):
    owner: str
    filter: TokenFilter
    config: AccountConfig = AccountConfig()


def get_balance(cluster: Cluster, params: AddressParams) -> dict[str, Any]:
    return in_context(cluster, cluster.machine.balance(as_address(params.address)))


def get_account_info(cluster: Cluster, params: AddressParams) -> dict[str, Any]:
    account = cluster.machine.account(as_address(params.address))
    return in_context(cluster, as_account(account, params.config, cluster.machine))


def get_multiple_accounts(cluster: Cluster, params: AddressesParams) -> dict[str, Any]:
    if len(params.addresses) > MAX_ADDRESSES:
        raise invalid(f"Too many inputs provided; max {MAX_ADDRESSES}")
    accounts = [cluster.machine.account(as_address(address)) for address in params.addresses]
    return in_context(cluster, [as_account(account, params.config, cluster.machine) for account in accounts])


def get_token_account_balance(cluster: Cluster, params: AddressParams) -> dict[str, Any]:
    account = cluster.machine.account(as_address(params.address))
    if account is None:
        raise invalid("Invalid param: could not find account")
    if not is_holder(account):
        raise invalid("Invalid param: not a Token account")
    state = read_holder(account)
    mint = cluster.machine.account(state.mint)
    if mint is None:
        raise invalid("Invalid param: could not find mint")
    return in_context(cluster, ui_amount(state.amount, read_mint(mint).decimals))


def get_token_accounts_by_owner(cluster: Cluster, params: TokenAccountsParams) -> dict[str, Any]:
    found = [
        {"pubkey": base58.encode(address), "account": as_account(account, params.config, cluster.machine)}
        for address, account in token_accounts(cluster, bytes(as_address(params.owner)), params.filter)
    ]
    return in_context(cluster, found)


def token_accounts(cluster: Cluster, owner: bytes, filter: TokenFilter) -> list[tuple[bytes, Account]]:
    """The token accounts of an owner that pass the filter; RpcRefusal if it names no mint and no token program."""
    if filter.mint is not None:
        address = as_address(filter.mint)
        mint = cluster.machine.account(address)
        if mint is None or not is_mint(mint):
            raise invalid("Invalid param: could not find mint")
        return cluster.store.token_accounts(owner, mint=bytes(address))
    if filter.program_id is None:
        raise invalid("Invalid params: either mint or programId is required.")
    program = as_address(filter.program_id)
    if program not in PROGRAMS:
        raise invalid("Invalid param: unrecognized Token program id")
    return cluster.store.token_accounts(owner, program=bytes(program))


METHODS: Table = {
    "getAccountInfo": (AddressParams, get_account_info),
    "getBalance": (AddressParams, get_balance),
    "getMultipleAccounts": (AddressesParams, get_multiple_accounts),
    "getTokenAccountBalance": (AddressParams, get_token_account_balance),
    "getTokenAccountsByOwner": (TokenAccountsParams, get_token_accounts_by_owner),
}
