"""Tiers: how a request that is allowed goes on."""

from enum import StrEnum


class Tier(StrEnum):
    """How a request that is allowed goes on, in rising severity."""

    #: at once
    INSTANT = "INSTANT"
    #: at once, and the channels hear of it
    NOTIFY = "NOTIFY"
    #: after a delay in which it can be cancelled
    DELAY = "DELAY"
    #: after the owner's signature
    APPROVAL = "APPROVAL"

    @property
    def severity(self) -> int:
        """0 for INSTANT to 3 for APPROVAL."""
        return _SEVERITY[self]


_SEVERITY = {tier: place for place, tier in enumerate(Tier)}


def stricter(first: Tier, second: Tier) -> Tier:
    """The more severe of two tiers."""
    return first if first.severity >= second.severity else second


#: tiers that wait before they are executed
QUEUING = frozenset({Tier.DELAY, Tier.APPROVAL})
