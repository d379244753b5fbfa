"""How clients and the operator call a daemon that may die at any moment: again and again, with the same key."""

import asyncio
from collections.abc import Mapping
from typing import Any

import httpx
import msgspec

from waiaas.cli.torture.chance import Chance
from waiaas.clock import Clock
from waiaas.errors import DaemonSilent

CALL_SECONDS = 10
#: how long a call is repeated before somebody gives up: longer than any restart may take
PATIENCE_SECONDS = 90
PAUSE_SECONDS = (0.02, 0.25)
#: says "not now": the same call again
AGAIN, STOPPED = 503, "KILL_SWITCH_ACTIVE"


class Said(msgspec.Struct, frozen=True):
    """An answer of the daemon."""

    status: int
    body: Any

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def is_not_now(self) -> bool:
        """Whether the same call may be answered otherwise before long."""
        return self.status == AGAIN or self.code == STOPPED

    @property
    def code(self) -> str | None:
        """The code of a refusal."""
        return self.body.get("code") if isinstance(self.body, dict) else None


class Caller:
    """Calls one daemon with some headers."""

    def __init__(self, url: str, headers: Mapping[str, str], clock: Clock, chance: Chance) -> None:
        self.client = httpx.AsyncClient(base_url=url, headers=headers, trust_env=False, timeout=CALL_SECONDS)
        self._clock, self._chance = clock, chance

    async def once(self, method: str, path: str, body: Any = None, **headers: str) -> Said | None:
        """One call; None if no answer came, so that nobody knows what became of it."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            answer = await self.client.request(method, path, json=body, headers=named)
            return Said(answer.status_code, answer.json())
        except (httpx.HTTPError, ValueError):
            return None

    async def insist(self, method: str, path: str, body: Any = None, **headers: str) -> Said:
        """The same call until it is answered with more than "not now"; DaemonSilent after PATIENCE_SECONDS."""
        until = self._clock.monotonic() + PATIENCE_SECONDS
        while self._clock.monotonic() < until:
            said = await self.once(method, path, body, **headers)
            if said is not None and not said.is_not_now:
                return said
            await asyncio.sleep(self._chance.between(*PAUSE_SECONDS))
        raise DaemonSilent(f"{method} {path} was not answered within {PATIENCE_SECONDS} seconds.")

    async def close(self) -> None:
        """No call follows."""
        await self.client.aclose()
