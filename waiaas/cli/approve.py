"""`waiaas approve`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from waiaas.cli.client import Api, base_url, path
from waiaas.cli.context import Command, Context
from waiaas.cli.show import fields
from waiaas.cli.signing import must_say, signed, signing_options

#: items of a batch that the text spells out; the digest covers them all
SPELLED = 5


@click.command(cls=Command)
@click.argument("transaction_id")
@click.option("--reject", is_flag=True, help="Say no: it is cancelled for good.")
@signing_options
@click.option("--base-url", "url", metavar="URL", help="Where the daemon is (WAIAAS_BASE_URL).")
def approve(
    context: Context, transaction_id: str, reject: bool, key_file: Path | None, yes: bool, url: str | None
) -> None:
    """Decide a transaction as the agent's owner: the text is shown, then signed."""
    action = "reject" if reject else "approve"
    with Api(base_url(context, url)) as api:
        told = api.call("GET", path("transactions", transaction_id, "approval-message"), query={"action": action})
        check(told, transaction_id, action)
        for effect in told["effects"]:
            context.note(f"- {effect['display']}")
        headers = signed(context, told, key_file, yes=yes)
        decided = api.call("POST", path("transactions", transaction_id, action), headers=headers)
    context.answer({"transaction": decided}, fields(decided))


def check(told: Mapping[str, Any], transaction_id: str, action: str) -> None:
    """DaemonSilent unless the text says this transaction, this action, and the effects and digest beside it."""
    subject = transaction_id.lower()
    must_say(
        told,
        f"\n{action.capitalize()} transaction {subject} of agent {told['agentId']}: ",
        f"/v1/transactions/{subject}/{action}\n",
        f"Digest {told['digest']}.\n",
        f"\nNonce: {told['nonce']}\n",
        *(effect["display"] for effect in told["effects"][:SPELLED]),
    )
