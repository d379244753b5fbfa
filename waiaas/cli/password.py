"""The master password: where it may come from, in order, and how a new one is chosen."""

import base64
import functools
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import msgspec

from waiaas.cli.context import Context
from waiaas.errors import AuthenticationFailed, PasswordMissing, PasswordRefused
from waiaas.files import read_bytes, write_atomic
from waiaas.ids import entropy

SHORTEST_CHARACTERS = 12
LONGEST_BYTES = 128


class PasswordOptions(msgspec.Struct, frozen=True):
    """Where the command line says the password is."""

    stdin: bool
    file: str | None


def password_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """--password-stdin and --password-file, handed on as `password: PasswordOptions`."""

    @click.option("--password-stdin", is_flag=True, help="Read the master password from standard input.")
    @click.option("--password-file", metavar="PATH", help="Read it from the first line of a file.")
    @functools.wraps(function)
    def wrapper(*args: Any, password_stdin: bool, password_file: str | None, **kwargs: Any) -> Any:
        return function(*args, password=PasswordOptions(password_stdin, password_file), **kwargs)

    return wrapper


def read_password(context: Context, options: PasswordOptions) -> str:
    """The master password from the first source that has it; PasswordMissing (exit 4) if none has."""
    found = without_prompt(context, options)
    if not found and sys.stdin.isatty():
        found = str(click.prompt("Master password", hide_input=True, err=True))
    if not found:
        raise PasswordMissing
    if len(found.encode()) > LONGEST_BYTES:
        raise AuthenticationFailed(f"No master password is longer than {LONGEST_BYTES} bytes.")
    return found


def choose_password(context: Context, options: PasswordOptions) -> str:
    """A new master password from the same sources, asked for twice; PasswordRefused if too short or long."""
    found = without_prompt(context, options)
    if not found and sys.stdin.isatty():
        found = str(click.prompt("New master password", hide_input=True, confirmation_prompt=True, err=True))
    if not found:
        raise PasswordMissing
    check_new(found)
    return found


def check_new(password: str) -> None:
    """PasswordRefused unless it has 12 characters at least and 128 bytes of UTF-8 at most."""
    if len(password) < SHORTEST_CHARACTERS or len(password.encode()) > LONGEST_BYTES:
        raise PasswordRefused


def generate_password(context: Context) -> str:
    """192 random bits in text, in `.master-password`; one that an interrupted `init` left there is used again."""
    path = context.data.password_file
    if not path.exists():
        write_atomic(path, base64.urlsafe_b64encode(entropy(24)) + b"\n")
    return first_line(read_bytes(path))


def without_prompt(context: Context, options: PasswordOptions) -> str | None:
    """Standard input, environment, file or `.master-password`; the variable is removed once read."""
    if options.stdin:
        return first_line(sys.stdin.buffer.readline())
    if given := os.environ.pop("WAIAAS_MASTER_PASSWORD", ""):
        return given
    if named := options.file or os.environ.get("WAIAAS_MASTER_PASSWORD_FILE"):
        return from_file(context, Path(named))
    if context.data.password_file.exists():
        return first_line(read_bytes(context.data.password_file))
    return None


def from_file(context: Context, path: Path) -> str:
    """The first line; a mode wider than 0600 is warned of. PasswordMissing if it cannot be read."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        line = first_line(path.read_bytes())
    except OSError as error:
        raise PasswordMissing(f"The password file {path} cannot be read: {error.strerror}.") from error
    if mode & ~0o600:
        context.warn(f"{path} has mode {mode:04o}: others may read the master password; chmod 600 it")
    return line


def first_line(data: bytes) -> str:
    """The text before the first line break; PasswordRefused if it is not UTF-8."""
    try:
        return data.split(b"\n", 1)[0].rstrip(b"\r").decode()
    except UnicodeDecodeError as error:
        raise PasswordRefused("The master password is not UTF-8 text.") from error
