"""Reads whose refusal says nothing of a transaction, on any chain."""

from collections.abc import Iterator
from contextlib import contextmanager

from waiaas.errors import NodeRefused, Transient


@contextmanager
def reading() -> Iterator[None]:
    """Inside, a refused read tells nothing about a transaction: Transient."""
    try:
        yield
    except NodeRefused as error:
        raise Transient(error.message) from error
