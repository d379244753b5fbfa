"""`waiaas config …`: read and edit config.toml, keeping its comments."""

import os
import sys
from typing import Any

import click

from waiaas.cli.context import Context, Group
from waiaas.config import KEYS, Key
from waiaas.config.edit import with_value, without
from waiaas.config.load import Loaded, assemble, load, nearest, parse, read_text
from waiaas.config.values import from_text, plain, to_toml
from waiaas.errors import ConfigInvalid, NotInitialised
from waiaas.files import write_atomic

AT_NEXT_START = "It is taken up at the next start."


@click.group(cls=Group)
def config() -> None:
    """Read and edit config.toml."""


@config.command("get")
@click.argument("key", metavar="SECTION.KEY")
def get(context: Context, key: str) -> None:
    """Print the value in force."""
    found, loaded = find(key), current(context)
    value = value_of(loaded, found)
    source = loaded.sources.get(key, "default")
    context.answer({"key": key, "value": value, "source": source}, value if isinstance(value, str) else to_toml(value))


@config.command("set")
@click.argument("key", metavar="SECTION.KEY")
@click.argument("value")
def set_value(context: Context, key: str, value: str) -> None:
    """Set a key, read by its type; - takes the value from standard input."""
    found = find(key)
    text = sys.stdin.readline().rstrip("\r\n") if value == "-" else value
    try:
        meant = from_text(found, text)
    except ValueError as error:
        raise ConfigInvalid(f"{key} {error}.") from error
    write(context, with_value(parse(read_text(context.data.config), context.data.config), found, meant))
    shown = plain(found, meant)
    context.answer({"key": key, "value": shown}, f"{key} = {to_toml(shown)}. {AT_NEXT_START}")


@config.command()
@click.argument("key", metavar="SECTION.KEY")
def unset(context: Context, key: str) -> None:
    """Take a key out of the file, so that its default holds."""
    found = find(key)
    write(context, without(parse(read_text(context.data.config), context.data.config), found))
    shown = plain(found, found.default)
    context.answer({"key": key, "value": shown}, f"{key} = {to_toml(shown)}, its default. {AT_NEXT_START}")


@config.command("list")
def list_values(context: Context) -> None:
    """List every key with its value and where that comes from."""
    from waiaas.cli.show import table

    loaded = current(context)
    shown = {
        dotted: {"value": value_of(loaded, key), "source": loaded.sources.get(dotted, "default")}
        for dotted, key in KEYS.items()
    }
    rows = [{"key": dotted, **entry} for dotted, entry in shown.items()]
    context.answer({"config": shown}, table(rows, "key", "value", "source"))


@config.command("check")
def check(context: Context) -> None:
    """Tell whether file and environment can be used."""
    notices = current(context).notices
    for notice in notices:
        context.warn(notice)
    context.answer({"path": str(context.data.config), "notices": notices}, f"{context.data.config} can be used.")


@config.command("path")
def path(context: Context) -> None:
    """Print where config.toml is, or would be."""
    context.answer({"path": str(context.data.config)}, str(context.data.config))


def find(dotted: str) -> Key:
    """The key of that name; ConfigInvalid with the nearest one."""
    if dotted not in KEYS:
        raise ConfigInvalid(f"There is no key {dotted}{nearest(dotted)}")
    return KEYS[dotted]


def current(context: Context) -> Loaded:
    """What file and environment give now."""
    return load(context.data.config, os.environ)


def value_of(loaded: Loaded, key: Key) -> Any:
    """The value in force, as TOML and JSON hold it."""
    return plain(key, getattr(getattr(loaded.config, key.section), key.name))


def write(context: Context, text: str) -> None:
    """Put the text in place if the whole of it can be used; ConfigInvalid, and nothing changed, if not."""
    if not context.data.root.is_dir():
        raise NotInitialised(f"There is no directory {context.data.root}.")
    assemble(text, context.data.config, os.environ)
    write_atomic(context.data.config.resolve(), text.encode())
