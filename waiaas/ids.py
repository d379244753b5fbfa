"""The only source of ids and of random bytes."""

import os

import uuid_utils


def new_id() -> str:
    """A UUID v7 (RFC 9562) in text; ids of one process sort by the time they were made."""
    return str(uuid_utils.uuid7())


def entropy(size: int) -> bytes:
    """`size` bytes from the operating system's generator."""
    return os.urandom(size)
