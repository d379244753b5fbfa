"""Reading one JSON object strictly: every key known and given once, everything that is wrong collected."""

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, TypeVar

from waiaas.domain.money import parse_amount
from waiaas.errors import ValidationFailed

T = TypeVar("T")


class Fields:
    """The keys of one JSON object, each taken once, in snake_case or camelCase; what is wrong is collected."""

    def __init__(
        self,
        raw: object,
        path: str,
        names: tuple[str, ...],
        issues: list[tuple[str, str]],
        *,
        ignore_unknown: bool = False,
    ) -> None:
        self._path = path
        self._issues = issues
        self._ignore_unknown = ignore_unknown
        self._values: dict[str, Any] = {}
        spellings = {spelling: name for name in names for spelling in (name, camel(name))}
        if not isinstance(raw, Mapping):
            self.refuse(None, "must be an object")
            return
        for key, value in raw.items():
            if (name := spellings.get(key)) is None:
                if not ignore_unknown:
                    self.refuse(str(key)[:64], "unknown field")
            elif name in self._values:
                self.refuse(name, "given twice, in snake_case and in camelCase")
            else:
                self._values[name] = value

    def refuse(self, name: str | None, message: str) -> None:
        """Note that the field (None: the object itself) is wrong."""
        self._issues.append((self.path(name) if name else self._path, message))

    def path(self, name: str) -> str:
        """Where a field stands in the request."""
        return f"{self._path}.{name}" if self._path else name

    def get(self, name: str) -> Any:
        """The value as sent; None where the field is absent or null."""
        return self._values.get(name)

    def read(self, name: str, parse: Callable[[Any], Any]) -> Any:
        """The parsed value; None where it is absent, null or refused by a ValueError of `parse`."""
        if (value := self._values.get(name)) is None:
            return None
        try:
            return parse(value)
        except ValueError as error:
            self.refuse(name, str(error))
            return None

    def need(self, name: str, parse: Callable[[Any], Any]) -> Any:
        """As `read`, of a field that must be there."""
        if self._values.get(name) is None:
            self.refuse(name, "required")
        return self.read(name, parse)

    def items(self, name: str, least: int, most: int) -> list[Any]:
        """The elements of a list of so many; empty, with the issue noted, where it is absent or anything else."""
        value = self._values.get(name)
        if value is None:
            self.refuse(name, "required")
        elif not isinstance(value, list) or not least <= len(value) <= most:
            self.refuse(name, f"must be a list of {least} to {most}")
        else:
            return value
        return []

    def each(self, name: str, least: int, most: int, parse: Callable[[Any], Any]) -> tuple[Any, ...]:
        """The parsed elements of a list of so many; each refusal is noted at its own place."""
        parsed = []
        for place, value in enumerate(self.items(name, least, most)):
            try:
                parsed.append(parse(value))
            except ValueError as error:
                self.refuse(f"{name}.{place}", str(error))
        return tuple(parsed)

    def entries(self, name: str, of: str) -> Iterator[tuple[str, Any]]:
        """The keys and values of an object `of` such things; none, with the issue noted, where it is anything else."""
        value = self._values.get(name)
        if isinstance(value, Mapping):
            yield from ((str(key), entry) for key, entry in value.items())
        elif value is not None:
            self.refuse(name, f"must be an object of {of}")

    def inside(self, name: str, raw: object, names: tuple[str, ...]) -> "Fields":
        """The keys of an object that stands in this one, at `name` or, in a list, at `name.0`."""
        return Fields(raw, self.path(name), names, self._issues, ignore_unknown=self._ignore_unknown)


def parse_object(raw: object, path: str, names: tuple[str, ...], read: Callable[[Fields], T]) -> T:
    """What `read` makes of the object's keys; ValidationFailed with every issue it noted."""
    issues: list[tuple[str, str]] = []
    fields = Fields(raw, path, names, issues)
    made = read(fields) if isinstance(raw, Mapping) else None
    if issues or made is None:
        raise ValidationFailed(*issues)
    return made


@cache
def camel(name: str) -> str:
    """`instant_max` is `instantMax`."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def digits(largest: int) -> Callable[[Any], int]:
    """A parser of base units from a digit string of at most `largest`."""

    def parse(value: Any) -> int:
        if not isinstance(value, str):
            raise ValueError("must be a string of decimal digits, in base units")
        return parse_amount(value, largest)

    return parse


def integer(least: int, most: int) -> Callable[[Any], int]:
    """A parser of a JSON integer within both bounds."""

    def parse(value: Any) -> int:
        if type(value) is not int or not least <= value <= most:
            raise ValueError(f"must be an integer from {least} to {most}")
        return value

    return parse


def boolean(value: Any) -> bool:
    """A JSON true or false; ValueError if it is neither."""
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def text(most: int, least: int = 1) -> Callable[[Any], str]:
    """A parser of a string of so many characters."""

    def parse(value: Any) -> str:
        if not isinstance(value, str) or not least <= len(value) <= most:
            raise ValueError(f"must be a string of {least} to {most} characters")
        return value

    return parse
