"""`waiaas agent …` and `waiaas faucet`."""

from typing import Any

import click

from waiaas.cli.client import Api, find_agent, operator, path
from waiaas.cli.context import Command, Context, Group, confirm
from waiaas.cli.show import fields, table, text


@click.group(cls=Group)
def agent() -> None:
    """Agents: one key on one network each."""


@agent.command()
@click.option("--name", required=True, help="1 to 100 characters.")
@click.option("--chain", help="solana, unless said otherwise.")
@click.option("--network", help="The default network of the chain, unless said otherwise.")
@operator
def create(context: Context, api: Api, name: str, chain: str | None, network: str | None) -> None:
    """Create an agent and its key."""
    made = api.call("POST", "/v1/agents", body={"name": name, "chain": chain, "network": network})
    context.answer({"agent": made}, fields(made))


@agent.command("list")
@operator
def list_agents(context: Context, api: Api) -> None:
    """List all agents."""
    items = api.call("GET", "/v1/agents")["items"]
    context.answer({"items": items}, table(items, "id", "name", "network", "status", "publicKey", "createdAt"))


@agent.command()
@click.argument("agent")
@operator
def show(context: Context, api: Api, agent: str) -> None:
    """Show one agent, named by id or by a name that only one has."""
    found = api.call("GET", path("agents", find_agent(api, agent)["id"]))
    context.answer({"agent": found}, fields(found))


@agent.command()
@click.argument("agent")
@click.argument("name")
@operator
def rename(context: Context, api: Api, agent: str, name: str) -> None:
    """Give an agent another name."""
    renamed = api.call("PUT", path("agents", find_agent(api, agent)["id"]), body={"name": name})
    context.answer({"agent": renamed}, fields(renamed))


@agent.command()
@click.argument("agent")
@click.option("--yes", is_flag=True, help="Do not ask.")
@operator
def terminate(context: Context, api: Api, agent: str, yes: bool) -> None:
    """End an agent for good: sessions revoked, what is not signed cancelled."""
    found = find_agent(api, agent)
    context.note("What it still holds then stays where it is: withdraw first.")
    confirm(f"Terminate {found['name']} ({found['publicKey']} on {found['network']}) for good?", yes=yes)
    ended = api.call("DELETE", path("agents", found["id"]))
    context.answer({"agent": ended}, fields(ended))


@agent.command()
@click.argument("agent")
@click.option("--reason", help="Why; for the audit log.")
@operator
def suspend(context: Context, api: Api, agent: str, reason: str | None) -> None:
    """Stop an agent until it is resumed: what is not signed is cancelled."""
    stopped = api.call("POST", path("agents", find_agent(api, agent)["id"], "suspend"), body={"reason": reason})
    context.answer({"agent": stopped}, fields(stopped))


@agent.command()
@click.argument("agent")
@click.option("--yes", is_flag=True, help="Do not ask.")
@operator
def resume(context: Context, api: Api, agent: str, yes: bool) -> None:
    """Let a suspended agent act again."""
    found = find_agent(api, agent)
    if found.get("suspensionReason") == "restored":
        show_gap(context, api.call("GET", path("agents", found["id"])))
    confirm(f"Resume {found['name']}, suspended for {found.get('suspensionReason')}?", yes=yes)
    resumed = api.call("POST", path("agents", found["id"], "resume"))
    context.answer({"agent": resumed}, fields(resumed))


def show_gap(context: Context, detail: dict[str, Any]) -> None:
    """What resuming an agent accepts that was stopped because the database went back in time."""
    began, ended = text("At", detail["lostFrom"]), text("At", detail["lostTo"])
    context.warn(
        f"The database went back in time. What {detail['publicKey']} did between {began} and {ended} UTC\n"
        "is in no row, and no limit counts it: look it up on chain first, and lower its limits if it has spent much."
    )


@agent.command()
@click.argument("agent")
@click.option("--native", is_flag=True, help="Native money alone; tokens stay.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@operator
def withdraw(context: Context, api: Api, agent: str, native: bool, yes: bool) -> None:
    """Move what an agent holds to its owner, who must have signed once."""
    found = find_agent(api, agent)
    confirm(f"Move everything {found['name']} holds on {found['network']} to {found.get('ownerAddress')}?", yes=yes)
    scope = "native" if native else "all"
    accepted = api.call("POST", path("agents", found["id"], "withdraw"), body={"scope": scope})
    context.answer({"withdrawal": accepted}, table(accepted["transactions"], "id", "type", "asset", "status"))
    for one in accepted["skipped"]:
        click.echo(f"Stays: {one['asset']} ({one['reason']}).", err=True)


@click.command(cls=Command)
@click.argument("agent")
@click.option("--amount", metavar="DIGITS", help="Base units; 100 SOL or ETH, unless said otherwise.")
@operator
def faucet(context: Context, api: Api, agent: str, amount: str | None) -> None:
    """Give an agent on a localnet more money."""
    given = api.call("POST", path("agents", find_agent(api, agent)["id"], "faucet"), body={"amount": amount})
    context.answer({"faucet": given}, fields(given))
