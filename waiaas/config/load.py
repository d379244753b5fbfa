"""From config.toml, environment and flags to one Config, with every violation told at once."""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec
import tomlkit
from tomlkit.exceptions import ParseError, TOMLKitError

from waiaas.config import KEYS, SECTIONS, Config, Key
from waiaas.config import values as value_rules
from waiaas.errors import ConfigInvalid

VARIABLES = {key.variable: key for key in KEYS.values()}
PREFIXES = tuple(f"WAIAAS_{section}_".upper() for section in SECTIONS)

#: WAIAAS_ variables that other parts read
OTHERS = "DATA_DIR MASTER_PASSWORD MASTER_PASSWORD_FILE BASE_URL SESSION_TOKEN AGENT_ID AGENT_NAME"
OTHER_VARIABLES = {f"WAIAAS_{name}" for name in OTHERS.split()}


class Given(msgspec.Struct, frozen=True):
    """A value that was set somewhere: `place` names the line, variable or flag."""

    key: Key
    value: Any
    source: Literal["file", "env", "flag"]
    place: str


class Violation(msgspec.Struct, frozen=True):
    """What is wrong, and where."""

    place: str
    message: str


class Loaded(msgspec.Struct, frozen=True):
    """The configuration, where each key that is not at its default comes from, and what should be logged."""

    config: Config
    sources: Mapping[str, str]
    notices: tuple[str, ...]


Finding = Given | Violation


def load(path: Path, environ: Mapping[str, str], overrides: Mapping[str, Any] | None = None) -> Loaded:
    """The configuration of the data directory that holds `path`; ConfigInvalid names all that is wrong.

    `overrides` are values from the command line by dotted key; None means not given.
    """
    return assemble(read_text(path), path, environ, overrides)


def assemble(text: str, path: Path, environ: Mapping[str, str], overrides: Mapping[str, Any] | None = None) -> Loaded:
    """The configuration that this text at `path`, this environment and these overrides give."""
    findings = [*from_file(text, path), *from_environment(environ), *from_flags(overrides or {})]
    violations = [found for found in findings if isinstance(found, Violation)]
    given = {found.key.dotted: found for found in findings if isinstance(found, Given)}
    violations += out_of_range(given.values())
    if violations:
        raise invalid(violations)
    config = build(given)
    if crossed := [*crossings(config, given, path.parent)]:
        raise invalid(crossed)
    sources = {dotted: found.source for dotted, found in given.items()}
    return Loaded(config, sources, tuple(notices(config, environ)))


def read_text(path: Path) -> str:
    """The file's text; empty if there is no file."""
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigInvalid(f"{path} cannot be read: {error}.") from error


def parse(text: str, path: Path) -> tomlkit.TOMLDocument:
    """The document, comments and all; ConfigInvalid with line and column of a syntax error."""
    try:
        return tomlkit.parse(text)
    except ParseError as error:
        what, _, _ = str(error).rpartition(" at line")
        raise ConfigInvalid(f"{path.name} line {error.line}, column {error.col}: {what}.") from error
    except TOMLKitError as error:
        raise ConfigInvalid(f"{path.name}: {error}.") from error


def from_file(text: str, path: Path) -> Iterator[Finding]:
    """What each section and key of the file gives."""
    for section, table in parse(text, path).unwrap().items():
        if section not in SECTIONS or not isinstance(table, dict):
            kind = "section" if isinstance(table, dict) else "key"
            yield Violation(place_of(text, path, section), f"there is no {kind} {section}{nearest(section)}")
            continue
        for name, value in table.items():
            yield from_item(f"{section}.{name}", value, place_of(text, path, section, name))


def from_item(dotted: str, value: Any, place: str) -> Finding:
    """One value of the file."""
    if (key := KEYS.get(dotted)) is None:
        kind = "table" if isinstance(value, dict) else "key"
        return Violation(place, f"there is no {kind} {dotted}{nearest(dotted)}")
    try:
        return Given(key, value_rules.from_toml(key, value), "file", place)
    except ValueError as error:
        return Violation(place, f"{dotted} {error}")


def from_environment(environ: Mapping[str, str]) -> Iterator[Finding]:
    """What each variable gives; one of our sections that names no key is a violation, an empty one is unset."""
    for variable in sorted(environ):
        if key := VARIABLES.get(variable):
            if text := environ[variable]:
                yield from_variable(key, text)
        elif variable.startswith(PREFIXES):
            close = difflib.get_close_matches(variable, VARIABLES, n=1)
            yield Violation(variable, f"there is no such setting{f'; did you mean {close[0]}?' if close else ''}")


def from_variable(key: Key, text: str) -> Finding:
    """One variable, read by its key's type."""
    try:
        return Given(key, value_rules.from_text(key, text), "env", key.variable)
    except ValueError as error:
        return Violation(key.variable, f"{key.dotted} {error}")


def from_flags(overrides: Mapping[str, Any]) -> Iterator[Given]:
    """What the command line gives."""
    for dotted, value in overrides.items():
        if value is not None:
            key = KEYS[dotted]
            yield Given(key, value, "flag", f"--{key.name.replace('_', '-')}")


def out_of_range(given: Iterable[Given]) -> Iterator[Violation]:
    """The values in force that lie outside their ranges."""
    for found in given:
        try:
            value_rules.check(found.key, found.value)
        except ValueError as error:
            yield Violation(found.place, f"{found.key.dotted} {error}")


def build(given: Mapping[str, Given]) -> Config:
    """The structs, from valid values."""
    tables: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
    for found in given.values():
        tables[found.key.section][found.key.name] = found.value
    return msgspec.convert(tables, Config)


def crossings(config: Config, given: Mapping[str, Given], root: Path) -> Iterator[Violation]:
    """What no single key can say."""
    security = config.security
    if security.session_ttl > security.session_absolute_lifetime:
        yield Violation(
            places(given, "security.session_ttl", "security.session_absolute_lifetime"),
            f"security.session_ttl ({security.session_ttl}) must not be longer than "
            f"security.session_absolute_lifetime ({security.session_absolute_lifetime})",
        )
    directory = root.resolve()
    if directory not in (root / config.database.path).resolve().parents:
        yield Violation(
            places(given, "database.path"),
            f"database.path must lie inside the data directory, whose lock guards it, not at {config.database.path!r}",
        )


def places(given: Mapping[str, Given], *dotted: str) -> str:
    """Where those of the keys that are set were set."""
    return ", ".join(given[name].place for name in dotted if name in given)


def notices(config: Config, environ: Mapping[str, str]) -> Iterator[str]:
    """What is allowed and worth a line in the log."""
    if config.daemon.hostname == "0.0.0.0":
        yield "daemon.hostname is 0.0.0.0: whoever reaches this machine reaches the API; this is for containers"
    if config.security.allow_nonce_only_owner_signatures:
        yield "security.allow_nonce_only_owner_signatures is on: an owner's signature says who, and not to what"
    for variable in sorted(environ):
        known = variable in OTHER_VARIABLES or variable in VARIABLES or variable.startswith(PREFIXES)
        if variable.startswith("WAIAAS_") and not known:
            yield f"the variable {variable} is read by nothing"


def invalid(violations: list[Violation]) -> ConfigInvalid:
    """The one error that tells them all."""
    lines = [f"{found.place}: {found.message}" for found in violations]
    text = lines[0] if len(lines) == 1 else "\n  ".join([f"{len(lines)} settings cannot be used:", *lines])
    return ConfigInvalid(text, violations=[msgspec.structs.asdict(found) for found in violations])


def nearest(dotted: str) -> str:
    """`; did you mean …?` with the known name closest to this one, in its section or another."""
    section, _, name = dotted.rpartition(".")
    same = [key.dotted for key in KEYS.values() if key.name == (name or dotted)]
    known = [*KEYS] if section else [*SECTIONS]
    close = same[:1] or difflib.get_close_matches(dotted, known, n=1)
    return f"; did you mean {close[0]}?" if close else ""


def place_of(text: str, path: Path, section: str, name: str | None = None) -> str:
    """`config.toml line 3`, the line of the key or, where that is not found, of its section; else the file alone."""
    line = line_of(text, section, name) or (line_of(text, section) if name else None)
    return f"{path.name} line {line}" if line else path.name


def line_of(text: str, section: str, name: str | None = None) -> int | None:
    """Line of `name = …` under `[section]`, or of the section; found by pattern, for tomlkit keeps no positions."""
    current = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(r"""\s*\[+\s*["']?([^\s"'\].]+)["']?\s*(?:\.\s*["']?([^\s"'\].]+))?""", line):
            current = header[1]
            if current == section and (name is None or header[2] == name):
                return number
        elif assigned := re.match(r"""\s*["']?([^\s"'=.#]+)["']?\s*(?:\.\s*["']?([^\s"'=.]+)["']?\s*)?=""", line):
            dotted = (current, assigned[1]) if current else (assigned[1], assigned[2])
            if dotted[0] == section and name in (None, dotted[1]):
                return number
    return None
