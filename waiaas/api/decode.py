"""Bodies and queries into structs; what does not fit, as issues with the path of the field."""

import asyncio
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import accumulate
from typing import Any, get_args, get_type_hints
from urllib.parse import parse_qsl

import msgspec
from msgspec import inspect
from starlette.requests import ClientDisconnect

from waiaas.api.call import AnyCall
from waiaas.errors import BodyTooLarge, BodyTooSlow, ValidationFailed
from waiaas.wire.body import DIGITS, UUID

MOST_BYTES = 262144
#: objects and lists inside one another; a body of fewer brackets cannot be deeper
DEEPEST = 100
#: seconds that a body may take to arrive
BODY_SECONDS = 10
DECIMAL = re.compile(r"-?[0-9]{1,18}", re.ASCII)
BOOLEANS = {"true": True, "false": False}

#: msgspec tells the place at the end of its message, and the name of a missing or unknown field in backquotes
PLACE = re.compile(r"(.*?)(?: - at `\$(.*)`)?", re.DOTALL)
FIELD = re.compile(r"Object (missing required field|contains unknown field) `(.*)`")
PATTERN = re.compile(r"Expected `str` matching regex '(.*)'")
#: what a pattern asks for, in words
MEANINGS = {UUID: "must be a UUID", DIGITS: "must be a string of 1 to 78 decimal digits, in base units"}
STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
#: opening brackets become 2, closing ones 0, everything else is left out
STEPS = bytes.maketrans(b"[{]}", b"\x02\x02\x00\x00")
NO_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")
STEP = re.compile(r"\.?([^.\[\]]+)")


class Nothing(msgspec.Struct, frozen=True):
    """A body that says nothing: an object whose fields are ignored."""


class BodyReader:
    """Reads the body of a route into its struct."""

    def __init__(self, kind: Any) -> None:
        self._kind = kind
        self._decode = msgspec.json.Decoder(kind).decode

    async def read(self, call: AnyCall) -> Any:
        """The decoded body, an empty one as `{}`; ValidationFailed or BodyTooLarge."""
        data = await receive(call) or b"{}"
        if depth(data) > DEEPEST:
            raise ValidationFailed(("", f"must not be nested deeper than {DEEPEST}"))
        try:
            if not data.isascii():
                data.decode()
            return self._decode(data)
        except msgspec.ValidationError as error:
            raise ValidationFailed(issue(str(error), self._kind)) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise ValidationFailed(("", "must be one JSON object in UTF-8")) from None


def depth(data: bytes) -> int:
    """How deep the body is nested, at most: told before it is decoded.

    The decoder goes by Python's recursion limit, which packages raise beyond what the stack of the process holds.
    """
    brackets = data.count(b"[") + data.count(b"{")
    if brackets <= DEEPEST:
        return brackets
    steps = STRINGS.sub(b"", data).translate(STEPS, NO_BRACKETS)
    return max(accumulate(byte - 1 for byte in steps), default=0)


async def receive(call: AnyCall) -> bytes:
    """The whole body; BodyTooLarge, BodyTooSlow, or ClientDisconnect."""
    length = call.headers.get(b"content-length", b"0")
    if not length.isdigit() or int(length) > MOST_BYTES:
        raise BodyTooLarge()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await _chunks(call)
    except TimeoutError:
        raise BodyTooSlow(("", f"did not arrive within {BODY_SECONDS} seconds")) from None


async def _chunks(call: AnyCall) -> bytes:
    data = bytearray()
    more = True
    while more:
        message = await call.receive()
        if message["type"] != "http.request":
            raise ClientDisconnect()
        data += message.get("body", b"")
        if len(data) > MOST_BYTES:
            raise BodyTooLarge()
        more = message.get("more_body", False)
    return bytes(data)


def issue(message: str, kind: Any) -> tuple[str, str]:
    """(path, message) of what msgspec says of a misfit; where a value is none of a few, those are told."""
    found = PLACE.fullmatch(message)
    assert found is not None
    steps = STEP.findall(found[2] or "")
    what, place = found[1], ".".join(steps)
    if pattern := PATTERN.fullmatch(what):
        what = MEANINGS.get(pattern[1], what)
    elif field := FIELD.fullmatch(what):
        place = f"{place}.{field[2]}" if place else field[2]
        what = "required" if field[1].startswith("missing") else "unknown field"
    elif what.startswith("Invalid enum value"):
        what = f"must be one of {', '.join(str(value) for value in choices(described(kind), steps))}"
    return place, what


@cache
def described(kind: Any) -> inspect.Type:
    """What msgspec reads as this kind."""
    return inspect.type_info(kind)


def choices(kind: inspect.Type, steps: Sequence[str]) -> Iterator[object]:
    """The values that may stand where the steps lead to; the keys of a mapping are no steps."""
    match kind:
        case inspect.UnionType(types=kinds):
            for one in kinds:
                yield from choices(one, steps)
        case inspect.StructType(fields=fields) if steps:
            for field in fields:
                if field.encode_name == steps[0]:
                    yield from choices(field.type, steps[1:])
        case inspect.CollectionType(item_type=item) if steps:
            yield from choices(item, steps[1:])
        case inspect.DictType(value_type=value):
            yield from choices(value, steps)
        case inspect.EnumType(cls=members) if not steps:
            yield from (member.value for member in members)
        case inspect.LiteralType(values=values) if not steps:
            yield from values


class QueryReader:
    """Reads the query of a route into its struct; parameters that it does not name are ignored."""

    def __init__(self, kind: type[Any]) -> None:
        self._kind = kind
        self._empty = kind()
        names = dict(zip(kind.__struct_fields__, kind.__struct_encode_fields__, strict=True))
        self._types = {names[field]: flat(hint) for field, hint in get_type_hints(kind).items()}

    def read(self, query: bytes) -> Any:
        """The struct; ValidationFailed at the parameter's own name."""
        if not query:
            return self._empty
        given = dict(parse_qsl(query.decode("latin-1")))
        values = {name: self._value(name, text) for name, text in given.items() if name in self._types}
        return convert(values, self._kind)

    def _value(self, name: str, text: str) -> Any:
        if int in self._types[name] and DECIMAL.fullmatch(text):
            return int(text)
        return BOOLEANS.get(text, text) if bool in self._types[name] else text


def flat(hint: Any) -> tuple[Any, ...]:
    """The members of a union; of any other type that one."""
    return get_args(hint) or (hint,)


def convert(values: Mapping[str, Any], kind: type[Any]) -> Any:
    """The struct of these values; ValidationFailed with the first misfit."""
    try:
        return msgspec.convert(values, kind)
    except msgspec.ValidationError as error:
        raise ValidationFailed(issue(str(error), kind)) from None
