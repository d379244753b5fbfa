"""What an agent can ask for, canonical: stored whole, hashed, and replayed from storage."""

import hashlib

import msgspec

from waiaas.domain.chain import Chain, native_asset


class Transfer(msgspec.Struct, frozen=True, tag="TRANSFER", tag_field="type"):
    """Native money to one recipient; `to` is canonical, `amount` is decimal digits in base units."""

    to: str
    amount: str
    memo: str | None = None


Request = Transfer


class Effect(msgspec.Struct, frozen=True):
    """One thing a request does on chain, as policy judges it; `amount` in base units of `asset`."""

    kind: str
    counterparty: str
    asset: str
    amount: int


def canonical(value: object) -> bytes:
    """Canonical JSON: UTF-8, keys sorted, no spaces; the form that is stored and hashed."""
    return msgspec.json.encode(value, order="sorted")


def digest(text: bytes) -> str:
    """SHA-256 of canonical JSON, in hex."""
    return hashlib.sha256(text).hexdigest()


def decode(text: str | bytes) -> Request:
    """A stored request; msgspec.ValidationError if it is not one."""
    return msgspec.json.decode(text, type=Request)


def effects(request: Request, chain: Chain) -> tuple[Effect, ...]:
    """What the request does, one entry per movement of money."""
    return (Effect("TRANSFER", request.to, native_asset(chain), int(request.amount)),)
