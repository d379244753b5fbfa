"""The options of `waiaas tx send`, and the body of POST /v1/transactions/send that they make."""

from collections.abc import Callable
from typing import Any

import click

from waiaas.cli.client import present
from waiaas.cli.context import read_list
from waiaas.errors import UsageWrong

TYPES = ("TRANSFER", "TOKEN_TRANSFER", "CONTRACT_CALL", "APPROVE", "BATCH")

OPTIONS = (
    click.option("--type", "kind", type=click.Choice(TYPES), default="TRANSFER", help="What is asked for."),
    click.option("--to", metavar="ADDRESS", help="The recipient, or on EVM the contract that is called."),
    click.option("--amount", metavar="DIGITS", help="Base units: lamports on Solana, wei on EVM."),
    click.option("--memo", help="A text that goes on chain with a transfer."),
    click.option("--token-address", metavar="ADDRESS", help="The token of a TOKEN_TRANSFER or an APPROVE."),
    click.option("--decimals", type=int, help="Its decimals; they must be what the chain says."),
    click.option("--symbol", help="Its symbol, for people."),
    click.option("--spender", metavar="ADDRESS", help="Who may spend, of an APPROVE; amount 0 takes it back."),
    click.option("--calldata", metavar="HEX", help="Method and arguments of a CONTRACT_CALL on EVM."),
    click.option("--value", metavar="DIGITS", help="Wei that go with it."),
    click.option("--program", metavar="ADDRESS", help="The program of a CONTRACT_CALL on Solana."),
    click.option("--data", metavar="BASE64", help="Its instruction data."),
    click.option(
        "--account",
        "accounts",
        multiple=True,
        metavar="ADDRESS[:s][:w]",
        help="An account of the instruction, in order: `:s` signs, `:w` is written.",
    ),
    click.option("--instructions", metavar="JSON|@FILE", help="The items of a BATCH: a list of 2 to 20 objects."),
)
ROLES = {"s": "isSigner", "w": "isWritable"}


def request_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """All of them, in the order written."""
    for option in reversed(OPTIONS):
        function = option(function)
    return function


def body_of(*, kind: str, accounts: tuple[str, ...], instructions: str | None, **given: Any) -> dict[str, Any]:
    """The body; what is missing or too much for its type is told by the daemon. UsageWrong for half a token."""
    token = {name: given.pop(name) for name in ("token_address", "decimals", "symbol")}
    program, data = given.pop("program"), given.pop("data")
    return present(
        {
            "type": kind,
            **given,
            "token": token_of(**token),
            "programId": program,
            "instructionData": data,
            "accounts": [account_of(text) for text in accounts] or None,
            "instructions": read_list(instructions) if instructions else None,
        }
    )


def token_of(token_address: str | None, decimals: int | None, symbol: str | None) -> dict[str, Any] | None:
    """A token as requests name it; without a symbol its address stands for it."""
    if token_address is None and decimals is None and symbol is None:
        return None
    if token_address is None or decimals is None:
        raise UsageWrong("A token is named by --token-address and --decimals.")
    return {"address": token_address, "decimals": decimals, "symbol": symbol or token_address[:10]}


def account_of(text: str) -> dict[str, Any]:
    """An account from `ADDRESS`, `ADDRESS:w`, `ADDRESS:s:w`; UsageWrong for another letter."""
    address, *letters = text.split(":")
    if unknown := set(letters) - ROLES.keys():
        raise UsageWrong(f"{text!r}: an account is followed by :s, :w or both, not by :{min(unknown)}.")
    return {"pubkey": address, **{name: letter in letters for letter, name in ROLES.items()}}
