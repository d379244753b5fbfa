"""Signed bytes that endpoints do not take: for good only if every one of them says so."""

from collections.abc import Callable

from waiaas.errors import ChainError, ChainRejected, NodeRefused, Transient


def judged(error: NodeRefused, meaning: Callable[[NodeRefused], ChainError]) -> ChainError:
    """What a refused broadcast means; ChainRejected only if all endpoints were asked, and each refuses for good."""
    found = meaning(error)
    if not isinstance(found, ChainRejected):
        return found
    if error.by_all and all(isinstance(meaning(one), ChainRejected) for one in error.by_all):
        return found
    return Transient(found.message)
