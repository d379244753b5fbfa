"""`waiaas secret …`."""

import click

from waiaas.cli.client import Api, operator, path
from waiaas.cli.context import Context, Group
from waiaas.cli.show import fields


@click.group(cls=Group)
def secret() -> None:
    """The secret that session tokens are signed with."""


@secret.command()
@operator
def rotate(context: Context, api: Api) -> None:
    """Sign tokens with a new secret; those that are out are good for five more minutes."""
    rotated = api.call("POST", path("admin", "rotate-secret"))
    context.answer(rotated, fields(rotated))
