"""How bad the way to the nodes is at present: what happens to each exchange, and which endpoint lies."""

from collections import Counter

from waiaas.cli.torture.chance import Chance
from waiaas.cli.torture.exchange import Exchange, Reply
from waiaas.cli.torture.faults import FAULTS
from waiaas.cli.torture.lies import LIES

#: share of exchanges that something happens to
CALM, FLAKY, HOSTILE = 0.0, 0.04, 0.12
KINDS = ((CALM, 3), (FLAKY, 5), (HOSTILE, 2))
LYING_SHARE = 0.25


class Weather:
    """Shared by all proxies of a run; `turn` makes a new one, `clear` ends it for good."""

    def __init__(self, chance: Chance) -> None:
        self._chance = chance
        self._share = CALM
        self._liar: int | None = None
        #: name of a fault or lie → how often it was done
        self.done: Counter[str] = Counter()

    def turn(self) -> None:
        """New faults, and perhaps another of two endpoints that lies."""
        self._share = self._chance.weighted(KINDS)
        self._liar = self._chance.pick([0, 1]) if self._chance.happens(0.4) else None

    def clear(self) -> None:
        """Everything works, and everybody tells the truth."""
        self._share, self._liar = CALM, None

    async def pass_on(self, endpoint: int, exchange: Exchange) -> Reply | None:
        """What comes back from the node; None if the connection breaks."""
        if self._share and self._chance.happens(self._share):
            fault = self._chance.weighted(FAULTS)
            self.done[fault.__name__] += 1
            return await fault(exchange, self._chance)
        if endpoint == self._liar and self._chance.happens(LYING_SHARE):
            for lie in self._chance.shuffled(LIES):
                if lie.method in exchange.methods:
                    self.done[lie.tell.__name__] += 1
                    return exchange.reply(await lie.told(exchange))
        return exchange.reply(await exchange.forward())
