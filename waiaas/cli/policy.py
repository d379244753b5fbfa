"""`waiaas policy …`."""

from typing import TYPE_CHECKING, Any

import click

from waiaas.cli.client import Api, find_agent, operator, path
from waiaas.cli.context import Context, Group, read_list, read_object
from waiaas.cli.show import fields, table, times
from waiaas.errors import UsageWrong

if TYPE_CHECKING:
    from rich.console import RenderableType

#: judging thousands of requests takes longer than any other call
REPLAY_SECONDS = 300
DAY = 86400

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


@policy.command("show")
@click.argument("policy_id")
@operator
def show_policy(context: Context, api: Api, policy_id: str) -> None:
    """Show one policy, its rules whole."""
    found = api.call("GET", path("policies", policy_id))
    context.answer({"policy": found}, fields(found))


@policy.command()
@click.option("--type", "kind", required=True, metavar="TYPE", help="SPENDING_LIMIT, WHITELIST, RATE_LIMIT, …")
@click.option("--rules", required=True, metavar="JSON|@FILE", help="The rules, or the file that holds them.")
@click.option("--agent", help="Id or name; for all agents, unless said otherwise.")
@click.option("--priority", type=int, help="Higher ones are looked at first.")
@click.option("--enabled/--disabled", default=None, help="Whether it judges.")
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
@click.option("--rules", metavar="JSON|@FILE", help="New rules, whole.")
@click.option("--priority", type=int, help="Higher ones are looked at first.")
@click.option("--enabled/--disabled", default=None, help="Whether it judges.")
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


@policy.command()
@click.option("--changes", metavar="JSON|@FILE", help="A list of changes as the API takes them.")
@click.option("--type", "kind", metavar="TYPE", help="Try one more policy of this type, with --rules.")
@click.option("--update", "updated", metavar="POLICY_ID", help="Try other --rules for this policy.")
@click.option("--rules", metavar="JSON|@FILE", help="The rules of --type or --update.")
@click.option("--remove", "removed", metavar="POLICY_ID", multiple=True, help="Try without this policy.")
@click.option("--agent", help="Id or name: the new policy is for it, and its requests alone are judged.")
@click.option("--days", type=click.IntRange(1, 3650), default=30, show_default=True, help="How far back.")
@click.option("--limit", type=click.IntRange(1, 5000), default=1000, show_default=True, help="The newest so many.")
@operator
def replay(
    context: Context,
    api: Api,
    changes: str | None,
    kind: str | None,
    updated: str | None,
    rules: str | None,
    removed: tuple[str, ...],
    agent: str | None,
    days: int,
    limit: int,
) -> None:
    """Judge past requests again as if the policies were others; nothing is changed."""
    agent_id = find_agent(api, agent)["id"] if agent else None
    body = {
        "changes": read_list(changes) if changes else _changes(kind, updated, rules, removed, agent_id),
        "agentId": agent_id,
        "since": context.clock.now() - days * DAY,
        "limit": limit,
    }
    context.note(f"Judging up to {limit} requests of {days} days again …")
    found = api.call("POST", "/v1/policies/replay", body=body, wait=REPLAY_SECONDS)
    context.answer({"replay": found}, _replayed(found))


def _changes(
    kind: str | None, updated: str | None, rules: str | None, removed: tuple[str, ...], agent_id: str | None
) -> list[dict[str, Any]]:
    """The candidate that the flags describe; UsageWrong for none, or for rules without a place."""
    if (rules is None) != (kind is None and updated is None) or (kind and updated):
        raise UsageWrong("Give --rules with either --type or --update.")
    found: list[dict[str, Any]] = [{"op": "remove", "id": policy_id} for policy_id in removed]
    if rules is not None and kind is not None:
        made = {"type": kind, "rules": read_object(rules)}
        found.append({"op": "add", "policy": made | ({"agentId": agent_id} if agent_id else {})})
    elif rules is not None:
        found.append({"op": "update", "id": updated, "rules": read_object(rules)})
    if not found:
        raise UsageWrong("Say what would be otherwise: --changes, --type, --update or --remove.")
    return found


def _replayed(found: dict[str, Any]) -> "RenderableType":
    """How many requests were judged, what passes then and now, and a line per flip."""
    from rich.console import Group as Both

    was, now = found["allowed"]["was"], found["allowed"]["now"]
    more = ", the first of them shown" if found["truncated"] else ""
    summary = (
        f"{found['evaluated']} requests: {was} passed, {now} would pass; {times(len(found['flips']), 'flip')}{more}."
    )
    lines = [{**flip, "was": _verdict(flip["was"]), "now": _verdict(flip["now"])} for flip in found["flips"]]
    if not lines:
        return summary
    return Both(table(lines, "createdAt", "transactionId", "type", "amount", "asset", "was", "now"), summary)


def _verdict(verdict: dict[str, Any]) -> str:
    """`INSTANT`, or the code of a refusal."""
    return str(verdict["tier"] or verdict["code"])
