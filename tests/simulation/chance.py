"""Chance by the seed: a stream for each thing that is left to it, so that editing one reshuffles no other."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from types import SimpleNamespace
from unittest.mock import patch

from waiaas import ids


def stream(seed: int | str, name: str) -> Random:
    """The stream of that name; the same in every process."""
    return Random(f"{seed}:{name}")


@contextmanager
def ids_by_chance(chance: Random, made: int = 0) -> Iterator[None]:
    """Inside, `waiaas.ids` is fed by `chance`; ids sort by their making, as UUIDs of version 7 do, after `made`."""

    def new_id() -> uuid.UUID:
        nonlocal made
        made += 1
        fields = (made << 80) | (7 << 76) | (chance.getrandbits(12) << 64) | (2 << 62) | chance.getrandbits(62)
        return uuid.UUID(int=fields)

    uuids, system = SimpleNamespace(uuid7=new_id), SimpleNamespace(urandom=chance.randbytes)
    with patch.object(ids, "uuid_utils", uuids), patch.object(ids, "os", system):
        yield
