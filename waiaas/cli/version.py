"""`waiaas version`."""

import click

from waiaas import __version__
from waiaas.cli.context import Command, Context


@click.command(cls=Command)
def version(context: Context) -> None:
    """Tell the version."""
    context.answer({"version": __version__}, f"waiaas {__version__}")
