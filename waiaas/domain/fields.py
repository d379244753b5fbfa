"""Reading one JSON object strictly: every key known and given once, everything that is wrong collected."""

from collections.abc import Callable, Mapping
from typing import Any

from waiaas.domain.money import parse_amount


class Fields:
    """The keys of one JSON object, each taken once, in snake_case or camelCase; what is wrong is collected."""

    def __init__(self, raw: object, path: str, names: tuple[str, ...], issues: list[tuple[str, str]]) -> None:
        self._path = path
        self._issues = issues
        self._values: dict[str, Any] = {}
        spellings = {spelling: name for name in names for spelling in (name, camel(name))}
        if not isinstance(raw, Mapping):
            self.refuse(None, "must be an object")
            return
        for key, value in raw.items():
            if (name := spellings.get(key)) is None:
                self.refuse(str(key)[:64], "unknown field")
            elif name in self._values:
                self.refuse(name, "given twice, in snake_case and in camelCase")
            else:
                self._values[name] = value

    def refuse(self, name: str | None, message: str) -> None:
        """Note that the field (None: the object itself) is wrong."""
        self._issues.append((f"{self._path}.{name}" if name else self._path, message))

    def path(self, name: str) -> str:
        """Where a field stands in the request."""
        return f"{self._path}.{name}"

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
