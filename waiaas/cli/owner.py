"""`waiaas owner …`."""

from pathlib import Path
from typing import Any

import click

from waiaas.cli.client import Api, find_agent, operator, path
from waiaas.cli.context import Context, Group, confirm
from waiaas.cli.show import fields
from waiaas.cli.signing import must_say, signed, signing_options
from waiaas.domain.address import canonical_address
from waiaas.errors import DaemonRefused, OwnerAlreadyConnected

SHOWN = ("id", "name", "network", "ownerAddress", "ownerState", "updatedAt")


@click.group(cls=Group)
def owner() -> None:
    """Owners: whose wallet has the last word on an agent's money."""


@owner.command()
@click.argument("agent")
@operator
def show(context: Context, api: Api, agent: str) -> None:
    """Show an agent's owner, and whether that one has proved the key."""
    _answer(context, api.call("GET", path("agents", find_agent(api, agent)["id"])))


@owner.command("set")
@click.argument("agent")
@click.argument("address")
@signing_options
@operator
def set_owner(context: Context, api: Api, agent: str, address: str, key_file: Path | None, yes: bool) -> None:
    """Register an owner; one that has proved the key must sign the change."""
    agent_id = find_agent(api, agent)["id"]
    body = {"owner_address": address}
    try:
        made = api.call("PUT", path("agents", agent_id, "owner"), body=body)
    except DaemonRefused as refusal:
        if refusal.code != OwnerAlreadyConnected.code:
            raise
        told = api.call("GET", path("agents", agent_id, "owner-message"), query={"newOwner": address})
        # EIP-55 may spell it otherwise than it was typed
        new = canonical_address(address) if address.startswith("0x") else address
        owned = path("agents", agent_id, "owner")
        must_say(told, f"\nMake {new} the owner of agent {agent_id} on ", f"{owned}\n", f"\nNonce: {told['nonce']}\n")
        headers = signed(context, told, key_file, yes=yes)
        made = api.call("PUT", path("agents", agent_id, "owner"), body=body, headers=headers)
    _answer(context, made)


@owner.command()
@click.argument("agent")
@click.option("--yes", is_flag=True, help="Do not ask.")
@operator
def remove(context: Context, api: Api, agent: str, yes: bool) -> None:
    """Take an owner away that has not proved the key; what waits for the owner is cancelled."""
    found = find_agent(api, agent)
    confirm(f"Take the owner of {found['name']} away?", yes=yes)
    _answer(context, api.call("DELETE", path("agents", found["id"], "owner")))


def _answer(context: Context, found: dict[str, Any]) -> None:
    shown = {name: found[name] for name in SHOWN}
    context.answer({"owner": shown}, fields(shown))
