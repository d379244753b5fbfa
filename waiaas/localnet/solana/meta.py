"""What RPC nodes tell of a transaction that ran: `meta` of a landed one, the result of a simulated one."""

from collections.abc import Iterable
from typing import Any

import msgspec
from solders.pubkey import Pubkey

from waiaas.errors import RpcRefusal
from waiaas.localnet.solana.keys import Keys
from waiaas.localnet.solana.machine import Machine, Outcome
from waiaas.localnet.solana.reasons import reason
from waiaas.localnet.solana.tokens import PROGRAMS, is_holder, read_holder, read_mint, ui_amount

PREFLIGHT_FAILURE = -32002


class Balances(msgspec.Struct, frozen=True):
    """Lamports of every key, and the token balances among them, at one moment."""

    lamports: list[int]
    tokens: list[dict[str, Any]]


def read_balances(keys: Iterable[Pubkey], machine: Machine) -> Balances:
    """The balances now; tokens are looked for only where a token program is named."""
    keys = tuple(keys)
    holders = enumerate(keys) if not PROGRAMS.keys().isdisjoint(keys) else ()
    tokens = [found for index, key in holders if (found := token_balance(index, key, machine))]
    return Balances([machine.balance(key) for key in keys], tokens)


def token_balance(index: int, key: Pubkey, machine: Machine) -> dict[str, Any] | None:
    """An entry of preTokenBalances; None if the account holds no tokens."""
    account = machine.account(key)
    if account is None or not is_holder(account):
        return None
    state = read_holder(account)
    mint = machine.account(state.mint)
    if mint is None:
        return None
    return {
        "accountIndex": index,
        "mint": str(state.mint),
        "owner": str(state.owner),
        "programId": str(account.owner),
        "uiTokenAmount": ui_amount(state.amount, read_mint(mint).decimals),
    }


def as_meta(outcome: Outcome, keys: Keys, before: Balances, after: Balances) -> dict[str, Any]:
    """`meta` of getTransaction."""
    meta = {
        "err": outcome.error,
        "status": {"Ok": None} if outcome.error is None else {"Err": outcome.error},
        "fee": outcome.fee,
        "preBalances": before.lamports,
        "postBalances": after.lamports,
        "preTokenBalances": before.tokens,
        "postTokenBalances": after.tokens,
        "innerInstructions": outcome.inner,
        "logMessages": outcome.logs,
        "rewards": [],
        "loadedAddresses": {
            "writable": [str(key) for key in keys.loaded_writable],
            "readonly": [str(key) for key in keys.loaded_readonly],
        },
        "computeUnitsConsumed": outcome.units,
    }
    return meta if outcome.return_data is None else {**meta, "returnData": outcome.return_data}


def as_simulation(outcome: Outcome) -> dict[str, Any]:
    """`value` of simulateTransaction, as it is when nothing more was asked for."""
    return {
        "err": outcome.error,
        "logs": outcome.logs,
        "accounts": None,
        "unitsConsumed": outcome.units,
        "returnData": outcome.return_data,
        "innerInstructions": None,
        "replacementBlockhash": None,
        "fee": outcome.fee or None,
    }


def preflight_failure(outcome: Outcome) -> RpcRefusal:
    """The refusal of sendTransaction when its simulation fails, in the shape of a real node's."""
    message = f"Transaction simulation failed: {reason(outcome.error)}"
    return RpcRefusal(PREFLIGHT_FAILURE, message, as_simulation(outcome))
