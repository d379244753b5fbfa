"""Chance that a seed decides: the same choices on every machine and in every version."""

import hashlib
import math
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

RESOLUTION = 2**53


class Chance:
    """A row of numbers that follows from its seed alone; `apart` begins another one."""

    def __init__(self, *seed: object) -> None:
        self._seed = seed
        self._drawn = 0

    def apart(self, name: object) -> "Chance":
        """A row of its own, so that what draws from it disturbs nobody."""
        return Chance(*self._seed, name)

    def number(self) -> float:
        """From 0 to below 1."""
        self._drawn += 1
        text = "/".join(map(str, (*self._seed, self._drawn))).encode()
        return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest()) % RESOLUTION / RESOLUTION

    def happens(self, probability: float) -> bool:
        """Whether it does."""
        return self.number() < probability

    def whole(self, lowest: int, highest: int) -> int:
        """An integer in that range, both ends included."""
        return lowest + int(self.number() * (highest - lowest + 1))

    def between(self, lowest: float, highest: float) -> float:
        """A number in that range."""
        return lowest + self.number() * (highest - lowest)

    def exponential(self, mean: float) -> float:
        """The time to the next event that happens on average once in `mean`."""
        return -mean * math.log(1 - self.number())

    def pick(self, things: Sequence[T]) -> T:
        """One of them."""
        return things[self.whole(0, len(things) - 1)]

    def weighted(self, things: Sequence[tuple[T, int]]) -> T:
        """One of them, the likelier the greater its weight."""
        left = self.whole(1, sum(weight for _, weight in things))
        for thing, weight in things:
            left -= weight
            if left <= 0:
                return thing
        raise AssertionError("the weights add up")

    def shuffled(self, things: Sequence[T]) -> list[T]:
        """All of them, in some order."""
        rest, drawn = list(things), []
        while rest:
            drawn.append(rest.pop(self.whole(0, len(rest) - 1)))
        return drawn
