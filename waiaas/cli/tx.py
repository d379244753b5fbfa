"""`waiaas tx …`."""

from collections.abc import Callable
from typing import Any

import click
import msgspec

from waiaas.cli import client
from waiaas.cli.asking import body_of, request_options
from waiaas.cli.client import Api, find_agent, path
from waiaas.cli.context import Context, Group
from waiaas.cli.show import fields, table
from waiaas.cli.why import explain, locked, written
from waiaas.errors import DaemonRefused, KillSwitchActive, UsageWrong

LONGEST_WAIT_SECONDS = 60
ATTEMPT_COLUMNS = (
    "number",
    "kind",
    "status",
    "nonce",
    "maxFee",
    "sendCount",
    "signedAt",
    "lastSentAt",
    "block",
    "txHash",
)

wait_option = click.option(
    "--wait",
    type=click.IntRange(0, LONGEST_WAIT_SECONDS),
    default=0,
    metavar="SECONDS",
    help="Wait so long for a final status.",
)


def fee_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """What a replacement pays per gas, for commands that make one."""
    tip = "Wei per gas of it for the block's proposer; with --max-fee."
    function = click.option("--max-priority-fee", "tip", metavar="DIGITS", help=tip)(function)
    return click.option("--max-fee", "most", metavar="DIGITS", help="Wei per gas at most.")(function)


def fees_of(most: str | None, tip: str | None) -> dict[str, str | None]:
    """The fees as a body names them."""
    return {"maxFeePerGas": most, "maxPriorityFeePerGas": tip}


@click.group(cls=Group)
def tx() -> None:
    """Transactions: send, follow, explain, speed up and cancel them."""


@tx.command()
@request_options
@click.option("--idempotency-key", metavar="KEY", help="The same key never sends twice.")
@click.option("--distinct", is_flag=True, default=None, help="Meant anew, although the same was just sent.")
@wait_option
@client.session
def send(
    context: Context, api: Api, idempotency_key: str | None, distinct: bool | None, wait: int, **asked: Any
) -> None:
    """Send from the session's agent: money, tokens, a call, an approval, or several of them."""
    body = {**body_of(**asked), "distinct": distinct}
    sent = api.call("POST", "/v1/transactions/send", body=body, headers={"Idempotency-Key": idempotency_key})
    if duplicate := sent.get("duplicateOf"):
        context.note(f"The same was sent moments ago: this is {duplicate}. Add --distinct if two are meant.")
    if wait:
        sent = follow(api, sent["id"], wait)
    context.answer({"transaction": sent}, fields(sent))


@tx.command("list")
@click.option("--agent", help="Id or name, for the operator.")
@click.option("--status", help="Only in this status.")
@click.option("--type", "kind", metavar="TYPE", help="Only of this type.")
@click.option("--limit", type=int, help="So many; 20, unless said otherwise.")
@click.option("--cursor", help="Continue after this id.")
@client.session_or_operator
def list_transactions(
    context: Context,
    api: Api,
    agent: str | None,
    status: str | None,
    kind: str | None,
    limit: int | None,
    cursor: str | None,
) -> None:
    """List transactions, newest first."""
    if agent and not api.operator:
        raise UsageWrong("--agent is for the operator: leave --token and WAIAAS_SESSION_TOKEN away.")
    agent_id = find_agent(api, agent)["id"] if agent else None
    query = {"agentId": agent_id, "status": status, "type": kind, "limit": limit, "cursor": cursor}
    page = api.call("GET", "/v1/transactions", query=query)
    columns = ("id", "type", "status", "tier", "amount", "toAddress", "txHash", "createdAt")
    context.answer(page, table(page["items"], *columns))
    if page["hasMore"]:
        context.note(f"More with --cursor {page['cursor']}")


@tx.command()
@click.argument("transaction_id")
@wait_option
@client.session_or_operator
def show(context: Context, api: Api, transaction_id: str, wait: int) -> None:
    """Show one transaction."""
    found = follow(api, transaction_id, wait)
    context.answer({"transaction": found}, fields(found))


@tx.command()
@click.argument("transaction_id")
@client.session_or_operator
def attempts(context: Context, api: Api, transaction_id: str) -> None:
    """List what was signed for a transaction, and what is known of it."""
    items = signed(api, transaction_id)
    context.answer({"items": items}, table(items, *ATTEMPT_COLUMNS))


@tx.command()
@click.argument("transaction_id")
@client.session_or_operator
def why(context: Context, api: Api, transaction_id: str) -> None:
    """Tell what is known of a transaction, what happens next, and what may be done with which consequence."""
    found: dict[str, Any] | None = None
    try:
        found = follow(api, transaction_id, 0)
        told = explain(found, signed(api, transaction_id), api.call("GET", "/health"))
    except DaemonRefused as refusal:
        if refusal.code != KillSwitchActive.code:
            raise
        told = locked(refusal.details)
    context.answer({"transaction": found, **msgspec.to_builtins(told)}, written(told))


@tx.command("speed-up")
@click.argument("transaction_id")
@fee_options
@client.session_or_operator
def speed_up(context: Context, api: Api, transaction_id: str, most: str | None, tip: str | None) -> None:
    """Sign a stuck transaction again with the same nonce and a dearer fee; one of them lands. EVM only."""
    replaced = api.call("POST", path("transactions", transaction_id, "speed-up"), body=fees_of(most, tip))
    context.answer({"transaction": replaced}, fields(replaced))


@tx.command()
@click.argument("transaction_id")
@click.option("--on-chain", is_flag=True, help="Race what is signed with a transfer of nothing. EVM only.")
@fee_options
@client.session_or_operator
def cancel(context: Context, api: Api, transaction_id: str, on_chain: bool, most: str | None, tip: str | None) -> None:
    """Cancel a transaction that is not signed yet; with --on-chain race one that is."""
    body = {"onChain": on_chain or None, **fees_of(most, tip)}
    cancelled = api.call("POST", path("transactions", transaction_id, "cancel"), body=body)
    context.answer({"transaction": cancelled}, fields(cancelled))


def follow(api: Api, transaction_id: str, wait: int) -> dict[str, Any]:
    """The transaction as soon as it is final, or as it is when the time is up."""
    found: dict[str, Any] = api.call("GET", path("transactions", transaction_id), query={"wait": wait}, wait=wait)
    return found


def signed(api: Api, transaction_id: str) -> list[dict[str, Any]]:
    """Its attempts, oldest first."""
    items: list[dict[str, Any]] = api.call("GET", path("transactions", transaction_id, "attempts"))["items"]
    return items
