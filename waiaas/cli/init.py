"""`waiaas init`: the wallet, made once; what a crash left half done is finished by running it again."""

import asyncio

import click

from waiaas import __version__
from waiaas.cli.context import Command, Context
from waiaas.cli.password import PasswordOptions, choose_password, generate_password, password_options
from waiaas.config.edit import render_default
from waiaas.files import write_atomic
from waiaas.lifecycle import hold, holder
from waiaas.paths import create


@click.command(cls=Command)
@click.option("--generate-password", is_flag=True, help="Make a random password and keep it in .master-password.")
@password_options
def init(context: Context, generate_password: bool, password: PasswordOptions) -> None:
    """Create the wallet: data directory, keystore and database."""
    if context.data.initialised:
        already(context)
    else:
        make(context, None if generate_password else choose_password(context, password))


def make(context: Context, secret: str | None) -> None:
    """Everything, under the lock; another `init` may have been quicker."""
    create(context.data)
    with hold(context.data.lock, holder(context.clock.now(), __version__)):
        if context.data.initialised:
            already(context)
        else:
            fill(context, secret)
            report(context, generated=secret is None)


def fill(context: Context, secret: str | None) -> None:
    """Settings, password file, database and, last, the master key."""
    from waiaas.app import initialise

    if not context.data.config.exists():
        write_atomic(context.data.config, render_default().encode())
    config = context.config()
    chosen = secret or generate_password(context)
    asyncio.run(initialise(context.data, config, chosen, clock=context.clock))


def already(context: Context) -> None:
    """Nothing is touched."""
    fields = {"dataDir": str(context.data.root), "alreadyInitialized": True}
    context.answer(fields, f"There is a wallet in {context.data.root} already; nothing was changed.")


def report(context: Context, *, generated: bool) -> None:
    """What was made, and what to do next."""
    fields = {"dataDir": str(context.data.root), "alreadyInitialized": False}
    if generated:
        fields["passwordFile"] = str(context.data.password_file)
        context.note(f"The master password is in {context.data.password_file}: keep a copy of it elsewhere.")
    context.answer(fields, f"Created the wallet in {context.data.root}.")
    context.note("Next: waiaas serve")
