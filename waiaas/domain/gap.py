"""A time of which the database knows nothing, because an older one was put in its place."""

from datetime import UTC, datetime

import msgspec


class Gap(msgspec.Struct, frozen=True, rename="camel"):
    """What may have happened between these seconds is in no row; `noticed_at` is when a start found that out."""

    why: str
    lost_from: int
    lost_to: int
    noticed_at: int

    @property
    def span(self) -> str:
        """From when to when, for people: ISO 8601, UTC."""
        began, ended = (datetime.fromtimestamp(at, UTC).isoformat() for at in (self.lost_from, self.lost_to))
        return f"{began} to {ended}"
