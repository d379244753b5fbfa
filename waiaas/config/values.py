"""One value of one key: its type, how text is read as it, and what is said when it does not fit."""

import json
import re
from typing import Any

import msgspec
from msgspec.inspect import BoolType, IntType, LiteralType, StrType, Type, VarTupleType

from waiaas.config import Key

INTEGER = re.compile(r"-?[0-9]+", re.ASCII)
BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


def from_toml(key: Key, value: Any) -> Any:
    """A value of a TOML document, unchanged but for a single endpoint; ValueError if it has another type."""
    if key.is_endpoints and isinstance(value, str):
        return (value,) if value else ()
    if not fits(key.kind, value):
        raise ValueError(f"must be {type_name(key)}: write {spelling(key, value)}")
    return tuple(value) if isinstance(value, list) else value


def from_text(key: Key, text: str) -> Any:
    """A value written as plain text, read by the key's type; ValueError if it cannot be."""
    match key.kind:
        case IntType() if INTEGER.fullmatch(text):
            return int(text)
        case BoolType() if text in BOOLEANS:
            return BOOLEANS[text]
        case StrType() | LiteralType():
            return text
        case VarTupleType():
            return list_from_text(key, text)
    raise ValueError(f"must be {type_name(key)}, not {text!r}")


def list_from_text(key: Key, text: str) -> tuple[str, ...]:
    """A JSON array of strings, or strings between commas."""
    if not text.lstrip().startswith("["):
        return tuple(part.strip() for part in text.split(",") if part.strip())
    try:
        return tuple(msgspec.json.decode(text, type=list[str]))
    except msgspec.MsgspecError:
        raise ValueError(f"must be {type_name(key)}, not {text!r}") from None


def check(key: Key, value: Any) -> None:
    """ValueError unless the value lies in the key's range."""
    match key.kind:
        case IntType(ge=int(low), le=int(high)) if not low <= value <= high:
            raise ValueError(f"must be {low} to {high}, not {value}")
        case LiteralType() if value not in key.choices:
            raise ValueError(f"must be {' or '.join(key.choices)}, not {value!r}")
        case StrType(pattern=str(pattern)) if not re.search(pattern, value):
            raise ValueError(f"must be written like {key.default!r}, not {value!r}")
        case StrType(min_length=int(shortest)) if len(value) < shortest:
            raise ValueError("must not be empty")
        case VarTupleType():
            check_list(key, value)


def check_list(key: Key, value: tuple[str, ...]) -> None:
    """ValueError unless there are few enough items and each has its form."""
    assert isinstance(key.kind, VarTupleType)
    if key.kind.max_length is not None and len(value) > key.kind.max_length:
        raise ValueError(f"takes at most {key.kind.max_length} entries, not {len(value)}")
    assert isinstance(key.kind.item_type, StrType)
    assert key.kind.item_type.pattern is not None
    for item in value:
        if not re.search(key.kind.item_type.pattern, item):
            raise ValueError(f"holds {item!r}, which is not written like {key.default[0]!r}")


def fits(kind: Type, value: Any) -> bool:
    """Whether a TOML value has the type of a key; nothing is coerced."""
    match kind:
        case BoolType():
            return isinstance(value, bool)
        case IntType():
            return isinstance(value, int) and not isinstance(value, bool)
        case VarTupleType():
            return isinstance(value, list) and all(isinstance(item, str) for item in value)
    return isinstance(value, str)


def type_name(key: Key) -> str:
    """The type, in words."""
    match key.kind:
        case BoolType():
            return "true or false"
        case IntType():
            return "an integer"
        case VarTupleType():
            return "a string or a list of strings" if key.is_endpoints else "a list of strings"
    return "a string"


def spelling(key: Key, value: Any) -> str:
    """How a value of another type would be written rightly, else how the default is."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    try:
        right = from_text(key, text) if isinstance(value, str | bool | int | float) else key.default
    except ValueError:
        right = key.default
    return f"{key.name} = {to_toml(right)}, not {key.name} = {to_toml(value)}"


def plain(key: Key, value: Any) -> Any:
    """As TOML and JSON hold it: lists for tuples, a single endpoint as a string."""
    if not isinstance(value, tuple):
        return value
    if key.is_endpoints and len(value) <= 1:
        return value[0] if value else ""
    return list(value)


def to_toml(value: Any) -> str:
    """The value on one line of TOML; strings, integers, booleans and lists are written as in JSON."""
    return json.dumps(value, ensure_ascii=False, default=str)


def bounds(key: Key) -> str:
    """The range, in words; empty if the type says it all."""
    match key.kind:
        case IntType(ge=int(low), le=int(high)):
            return f"{low} to {high}"
        case LiteralType():
            return " or ".join(key.choices)
        case BoolType():
            return "true or false"
    return ""
