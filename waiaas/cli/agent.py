"""`waiaas agent …` and `waiaas faucet`."""

import click

from waiaas.cli.client import Api, find_agent, operator, path
from waiaas.cli.context import Command, Context, Group, confirm
from waiaas.cli.show import fields, table


@click.group(cls=Group)
def agent() -> None:
    """Agents: one key on one network each."""


@agent.command()
@click.option("--name", required=True)
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
    confirm(f"Terminate {found['name']} ({found['publicKey']} on {found['network']}) for good?", yes=yes)
    ended = api.call("DELETE", path("agents", found["id"]))
    context.answer({"agent": ended}, fields(ended))


@click.command(cls=Command)
@click.argument("agent")
@click.option("--amount", metavar="DIGITS", help="Base units; 100 SOL or ETH, unless said otherwise.")
@operator
def faucet(context: Context, api: Api, agent: str, amount: str | None) -> None:
    """Give an agent on a localnet more money."""
    given = api.call("POST", path("agents", find_agent(api, agent)["id"], "faucet"), body={"amount": amount})
    context.answer({"faucet": given}, fields(given))
