"""What every body has in common, and the types of their fields."""

import unicodedata
from typing import Annotated

import msgspec
from msgspec import Meta


class Body(msgspec.Struct, frozen=True, rename="camel"):
    """Keys in camelCase; unknown ones are ignored when it is read."""


class StrictBody(Body, frozen=True, forbid_unknown_fields=True):
    """Unknown keys are refused."""


UUID = "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$"
#: a UUID of any version; the length keeps out a newline behind it, which the pattern's $ lets pass
Id = Annotated[str, Meta(pattern=UUID, max_length=36, description="UUID")]
DIGITS = "^[0-9]{1,78}$"
Digits = Annotated[str, Meta(pattern=DIGITS, max_length=78, description="base units, decimal digits")]
Name = Annotated[str, Meta(description="1 to 100 characters after trimming, no control characters")]
Limit = Annotated[int, Meta(ge=1, le=100)]
Seconds = Annotated[int, Meta(description="epoch seconds")]

LONGEST_NAME = 100


def trimmed_name(text: str) -> str:
    """A name without the blanks around it; ValueError says what is wrong with it."""
    name = text.strip()
    if not 1 <= len(name) <= LONGEST_NAME:
        raise ValueError(f"must have 1 to {LONGEST_NAME} characters after trimming")
    if any(unicodedata.category(character) in ("Cc", "Zl", "Zp") for character in name):
        raise ValueError("must not hold control characters")
    return name
