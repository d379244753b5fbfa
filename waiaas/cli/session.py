"""`waiaas session …`."""

from typing import Any

import click
import msgspec

from waiaas.cli.client import Api, find_agent, operator, path, session_or_operator
from waiaas.cli.context import Context, Group, read_object
from waiaas.cli.show import fields, table


@click.group(cls=Group)
def session() -> None:
    """Session tokens for programs that act for an agent."""


def token_alone(made: dict[str, Any]) -> str:
    """The bare token, for `$(…)`."""
    return str(made["token"])


def as_environment(made: dict[str, Any]) -> str:
    """Lines for a shell or an env file."""
    return f"WAIAAS_SESSION_TOKEN={made['token']}\nWAIAAS_AGENT_ID={made['agentId']}"


def as_json(made: dict[str, Any]) -> str:
    """The daemon's answer as it came."""
    return msgspec.json.encode(made).decode()


FORMATS = {"text": fields, "token": token_alone, "json": as_json, "env": as_environment}


@session.command()
@click.option("--agent", required=True, help="Id or name.")
@click.option("--ttl", type=int, metavar="SECONDS", help="How long it lives, else security.session_ttl.")
@click.option("--max-renewals", type=int, help="Else security.default_max_renewals.")
@click.option("--constraints", metavar="JSON|@FILE", help="What the session is limited to.")
@click.option("--output", type=click.Choice(list(FORMATS)), default="text", help="What is printed.")
@operator
def create(
    context: Context,
    api: Api,
    agent: str,
    ttl: int | None,
    max_renewals: int | None,
    constraints: str | None,
    output: str,
) -> None:
    """Issue a session; its token is shown this once."""
    limits = read_object(constraints) if constraints else {}
    if max_renewals is not None:
        limits = {**limits, "maxRenewals": max_renewals}
    body = {"agentId": find_agent(api, agent)["id"], "ttl": ttl, "constraints": limits or None}
    made = api.call("POST", "/v1/sessions", body=body)
    context.answer({"session": made}, FORMATS[output](made))


@session.command()
@click.argument("session_id")
@click.option("--ttl", type=int, metavar="SECONDS", help="As long as its parent, unless said otherwise.")
@click.option("--constraints", metavar="JSON|@FILE", help="What it is limited to beside its parent's limits.")
@click.option("--name", help="What it is called.")
@click.option("--output", type=click.Choice(list(FORMATS)), default="text", help="What is printed.")
@session_or_operator
def attenuate(
    context: Context,
    api: Api,
    session_id: str,
    ttl: int | None,
    constraints: str | None,
    name: str | None,
    output: str,
) -> None:
    """Issue a child of a session: it may do no more than its parent and dies with it."""
    body = {"ttl": ttl, "constraints": read_object(constraints) if constraints else None, "name": name}
    made = api.call("POST", path("sessions", session_id, "attenuate"), body=body)
    context.answer({"session": made}, FORMATS[output](made))


@session.command()
@click.argument("session_id")
@session_or_operator
def show(context: Context, api: Api, session_id: str) -> None:
    """Show a session, what it and its children have used."""
    shown = api.call("GET", path("sessions", session_id))
    context.answer({"session": shown}, fields(shown))


@session.command("list")
@click.option("--agent", help="Id or name; all agents, unless said otherwise.")
@operator
def list_sessions(context: Context, api: Api, agent: str | None) -> None:
    """List sessions that are not revoked."""
    query = {"agentId": find_agent(api, agent)["id"] if agent else None}
    items = api.call("GET", "/v1/sessions", query=query)
    context.answer({"items": items}, table(items, "id", "agentId", "status", "renewalCount", "expiresAt", "createdAt"))


@session.command()
@click.argument("session_id")
@operator
def revoke(context: Context, api: Api, session_id: str) -> None:
    """Revoke a session and its children; their tokens are refused at once."""
    revoked = api.call("DELETE", path("sessions", session_id))
    context.answer({"session": revoked}, fields(revoked))
