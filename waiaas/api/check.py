"""Checks of meaning: each tells its field, and all that fail are told together."""

from collections.abc import Callable
from typing import TypeVar

from waiaas.errors import ValidationFailed
from waiaas.wire.body import trimmed_name

T = TypeVar("T")


class Issues:
    """Collects what is wrong with a request."""

    def __init__(self) -> None:
        self._found: list[tuple[str, str]] = []

    def add(self, path: str, message: str) -> None:
        """One issue."""
        self._found.append((path, message))

    def settle(self) -> None:
        """ValidationFailed if there was any issue."""
        if self._found:
            raise ValidationFailed(*self._found)

    def read(self, path: str, text: str, parse: Callable[[str], T]) -> T | None:
        """The parsed value; None, with the issue noted, where `parse` raises ValueError."""
        try:
            return parse(text)
        except ValueError as error:
            self.add(path, str(error))
            return None

    def given(self, path: str, text: str | None, parse: Callable[[str], T]) -> T | None:
        """The parsed value of a field that must be there."""
        if text is None:
            self.add(path, "required")
            return None
        return self.read(path, text, parse)

    def name(self, path: str, text: str) -> str | None:
        """A name without the blanks around it."""
        return self.read(path, text, trimmed_name)
