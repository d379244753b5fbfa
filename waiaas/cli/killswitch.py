"""`waiaas kill-switch …` and `waiaas recover`."""

from typing import Any

import click

from waiaas.cli.client import Api, base_url, operator, path
from waiaas.cli.context import Command, Context, Group
from waiaas.cli.show import fields, table, text

#: of the manifest
COLUMNS = ("id", "network", "txHash", "lastValidBlockHeight", "nonce")


@click.group("kill-switch", cls=Group)
def kill_switch() -> None:
    """The kill switch: stop everything at once."""


@kill_switch.command()
@click.option("--reason", help="Why; for the audit log.")
@operator
def on(context: Context, api: Api, reason: str | None) -> None:
    """Stop everything: sessions revoked, agents suspended, nothing signed or sent; tell what may still land."""
    done = api.call("POST", path("admin", "kill-switch"), body={"reason": reason})
    if not done["stored"]:
        context.warn("The disk takes nothing: the switch holds in memory only, and a restart would end it.")
    told = {name: value for name, value in done.items() if name != "inFlight"}
    context.answer({"killSwitch": done}, fields(told))
    if done["inFlight"] and not context.json:
        context.note("These were signed before and may still land:")
        context.answer({}, table(done["inFlight"], *COLUMNS))


@kill_switch.command()
@click.option("--base-url", "url", metavar="URL", help="Where the daemon is (WAIAAS_BASE_URL).")
def status(context: Context, url: str | None) -> None:
    """Tell whether it is on, since when and by whom."""
    with Api(base_url(context, url)) as api:
        found = api.call("GET", path("admin", "kill-switch"))
    context.answer({"killSwitch": found}, fields(found))


@click.command(cls=Command)
@operator
def recover(context: Context, api: Api) -> None:
    """Lift the kill switch: the agents that it stopped act again, sessions stay revoked."""
    done: dict[str, Any] = api.call("POST", path("admin", "recover"))
    told = fields(done)
    if done["state"] == "RECOVERING":
        told = f"Recovery has begun. Call again at {text('At', done['eligibleAt'])} UTC, in {done['retryAfter']} s."
    context.answer({"recovery": done}, told)
