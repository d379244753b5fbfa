"""`waiaas policy …`."""

import click

from waiaas.cli.client import Api, find_agent, operator, path
from waiaas.cli.context import Context, Group, read_object
from waiaas.cli.show import fields, table

override_option = click.option(
    "--override/--no-override", default=None, help="Sets the global policies of its type aside, for an agent's list."
)


@click.group(cls=Group)
def policy() -> None:
    """Policies: what agents may spend."""


@policy.command("list")
@click.option("--agent", help="Id or name; its own policies and the global ones.")
@operator
def list_policies(context: Context, api: Api, agent: str | None) -> None:
    """List policies, the highest priority first."""
    query = {"agentId": find_agent(api, agent)["id"] if agent else None}
    items = api.call("GET", "/v1/policies", query=query)
    context.answer({"items": items}, table(items, "id", "type", "agentId", "priority", "enabled", "rules"))


@policy.command()
@click.option("--type", "kind", required=True, metavar="TYPE", help="SPENDING_LIMIT, WHITELIST, RATE_LIMIT, …")
@click.option("--rules", required=True, metavar="JSON|@FILE")
@click.option("--agent", help="Id or name; for all agents, unless said otherwise.")
@click.option("--priority", type=int)
@click.option("--enabled/--disabled", default=None)
@override_option
@operator
def add(
    context: Context,
    api: Api,
    kind: str,
    rules: str,
    agent: str | None,
    priority: int | None,
    enabled: bool | None,
    override: bool | None,
) -> None:
    """Add a policy; it judges from the next request on."""
    body = {
        "type": kind,
        "rules": read_object(rules),
        "agentId": find_agent(api, agent)["id"] if agent else None,
        "priority": priority,
        "enabled": enabled,
        "override": override,
    }
    made = api.call("POST", "/v1/policies", body=body)
    context.answer({"policy": made}, fields(made))


@policy.command()
@click.argument("policy_id")
@click.option("--rules", metavar="JSON|@FILE")
@click.option("--priority", type=int)
@click.option("--enabled/--disabled", default=None)
@override_option
@operator
def update(
    context: Context,
    api: Api,
    policy_id: str,
    rules: str | None,
    priority: int | None,
    enabled: bool | None,
    override: bool | None,
) -> None:
    """Change a policy's rules, priority, or whether it judges at all."""
    given = read_object(rules) if rules else None
    body = {"rules": given, "priority": priority, "enabled": enabled, "override": override}
    changed = api.call("PUT", path("policies", policy_id), body=body)
    context.answer({"policy": changed}, fields(changed))


@policy.command()
@click.argument("policy_id")
@operator
def remove(context: Context, api: Api, policy_id: str) -> None:
    """Remove a policy."""
    removed = api.call("DELETE", path("policies", policy_id))
    context.answer({"policy": removed}, fields(removed))
