"""`waiaas tx …`."""

import click

from waiaas.cli import client
from waiaas.cli.client import Api, find_agent, path
from waiaas.cli.context import Context, Group
from waiaas.cli.show import fields, table

LONGEST_WAIT_SECONDS = 60

wait_option = click.option(
    "--wait",
    type=click.IntRange(0, LONGEST_WAIT_SECONDS),
    default=0,
    metavar="SECONDS",
    help="Wait so long for a final status.",
)


@click.group(cls=Group)
def tx() -> None:
    """Transactions: send, follow and cancel them."""


@tx.command()
@click.option("--to", required=True, metavar="ADDRESS")
@click.option("--amount", required=True, metavar="DIGITS", help="Base units: lamports on Solana.")
@click.option("--memo")
@click.option("--idempotency-key", metavar="KEY", help="The same key never sends twice.")
@wait_option
@client.session
def send(
    context: Context, api: Api, to: str, amount: str, memo: str | None, idempotency_key: str | None, wait: int
) -> None:
    """Send native money from the session's agent."""
    sent = api.call(
        "POST",
        "/v1/transactions/send",
        body={"type": "TRANSFER", "to": to, "amount": amount, "memo": memo},
        headers={"Idempotency-Key": idempotency_key},
    )
    if wait:
        sent = follow(api, sent["id"], wait)
    context.answer({"transaction": sent}, fields(sent))


@tx.command("list")
@click.option("--agent", help="Id or name, for the operator.")
@click.option("--status")
@click.option("--limit", type=int)
@click.option("--cursor", help="Continue after this id.")
@client.session_or_operator
def list_transactions(
    context: Context, api: Api, agent: str | None, status: str | None, limit: int | None, cursor: str | None
) -> None:
    """List transactions, newest first."""
    agent_id = find_agent(api, agent)["id"] if agent else None
    query = {"agentId": agent_id, "status": status, "limit": limit, "cursor": cursor}
    page = api.call("GET", "/v1/transactions", query=query)
    columns = ("id", "status", "tier", "amount", "toAddress", "txHash", "createdAt")
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
def cancel(context: Context, api: Api, transaction_id: str) -> None:
    """Cancel a transaction that is not signed yet."""
    cancelled = api.call("POST", path("transactions", transaction_id, "cancel"), body={})
    context.answer({"transaction": cancelled}, fields(cancelled))


def follow(api: Api, transaction_id: str, wait: int) -> dict[str, object]:
    """The transaction as soon as it is final, or as it is when the time is up."""
    found: dict[str, object] = api.call("GET", path("transactions", transaction_id), query={"wait": wait}, wait=wait)
    return found
