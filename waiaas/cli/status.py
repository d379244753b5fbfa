"""`waiaas status`."""

from typing import Any

import click

from waiaas.cli.client import Api, base_url
from waiaas.cli.context import Command, Context
from waiaas.cli.show import fields
from waiaas.errors import WaiaasError
from waiaas.lifecycle import is_held, read_holder


@click.command(cls=Command)
@click.option("--base-url", "url", metavar="URL", help="Where the daemon is (WAIAAS_BASE_URL).")
def status(context: Context, url: str | None) -> None:
    """Tell whether the daemon runs and how it is."""
    if not is_held(context.data.lock):
        context.answer({"running": False}, "The daemon is not running.")
        return
    found = read_holder(context.data.lock)
    told: dict[str, Any] = {
        "running": True,
        "pid": found.pid if found else None,
        "startedAt": found.started_at if found else None,
        "address": base_url(context, url),
    }
    told |= health(told["address"])
    context.answer(told, fields(told))


def health(address: str) -> dict[str, Any]:
    """The answer of GET /health, and whether there was one."""
    try:
        with Api(address) as api:
            return {"healthy": True, **api.call("GET", "/health")}
    except WaiaasError as error:
        return {"healthy": False, "warnings": [error.message]}
