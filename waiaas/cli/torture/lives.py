"""One life of the daemon after the other: started in some weather, killed at some point, and looked at while dead."""

import asyncio
from collections import Counter, defaultdict

from waiaas.cli.torture import books
from waiaas.cli.torture.child import READY_SECONDS, Child
from waiaas.cli.torture.classify import classify
from waiaas.cli.torture.daemon import Caller
from waiaas.cli.torture.facts import Intent
from waiaas.cli.torture.hosts import Host
from waiaas.cli.torture.limits import overbooked
from waiaas.cli.torture.operator import Operator
from waiaas.cli.torture.points import RANDOM, Point
from waiaas.cli.torture.proxy import Trap
from waiaas.cli.torture.stage import Stage
from waiaas.cli.torture.stopper import Stopper

#: how long a named point may take to be passed once the daemon is ready
TRIGGER_SECONDS = 6
#: share of deaths that last longer than a blockhash lives, and than half of a session
LEAP_SHARE = 0.1
LEAP_SECONDS = 160
#: share of lives in which chains with a pool make no block, and of their deaths in which bytes are lost from it
HELD_SHARE = 0.25
EVICTED_SHARE = 0.5
#: denials as old as this cannot be those of an answer under way
DENIED_SECONDS = 30
SIGKILLED = -9
#: where a daemon says why it ends, beside its log
OUTPUT = "serve.out and wallet/logs/daemon.log"


class Tally:
    """What is counted over all lives."""

    def __init__(self) -> None:
        #: kills that caught something in each state on disk
        self.hits: Counter[str] = Counter()
        #: kills by what they waited for
        self.triggers: Counter[str] = Counter()
        self.missed = 0
        self.leaps = 0
        self.evicted = 0
        self.throws = self.suspensions = self.forks = self.jumps = 0
        #: seconds from each start to ready
        self.recoveries: list[float] = []
        self.violated_limits: list[str] = []


class Life:
    """Lives of one daemon, in front of one stage."""

    def __init__(
        self, stage: Stage, child: Child, looker: Caller, operator: Operator, stopper: Stopper, tally: Tally
    ) -> None:
        self._stage, self._child, self._looker = stage, child, looker
        self._operator, self._stopper, self.tally = operator, stopper, tally
        #: what throws the switch; it outlives the life in which it began
        self.throwing: set[asyncio.Task[None]] = set()
        #: it was not ready in time once: to kill it again would only hide why
        self.is_stuck = False
        self._chance = stage.chance.apart("lives")
        self._made = self._leapt = 0
        self._held = False

    async def live(self, point: Point) -> None:
        """Start, be killed at this point or soon after it was not met, and leave everything to the next life."""
        self._stage.weather.turn()
        await self._hold(self._chance.happens(HELD_SHARE))
        trap = self._set(point)
        self._child.start(point)
        recovered = asyncio.create_task(self._recover(point))
        met = await self._until(point, trap, recovered)
        asked, busy = list(self._stage.witness.open.values()), self._operator.busy > 0
        await self._child.kill()
        self._release(trap)
        was_ready = await recovered is not None
        self._count(point, met)
        busy = busy or (met and point.is_elsewhere)
        self.tally.hits.update(await self._examine(asked if was_ready else [], busy=busy))

    async def last(self) -> bool:
        """A life in good weather that nobody ends; False with a finding if it does not even begin."""
        self._stage.weather.clear()
        await self._hold(False)
        self._child.start(None)
        ready = await self._recover(Point(RANDOM)) is not None
        if not ready:
            how = f"ended with exit code {self._child.ended}" if self._child.ended is not None else "is not ready"
            self._stage.witness.find(f"last: after the last kill, in good weather, the daemon {how}; see {OUTPUT}")
        return ready

    async def _recover(self, point: Point) -> float | None:
        """Seconds until it was ready; None if it was killed before."""
        seconds = await self._child.ready(self._looker.client)
        if seconds is not None:
            self.tally.recoveries.append(seconds)
            if point.makes_an_agent:
                await self._make_agent()
            if point.throws_the_switch:
                self._throw()
        elif self._child.ended is None:
            self.is_stuck = True
            self._stage.witness.find(f"recovery: not ready within {READY_SECONDS} seconds: {self._child.told}")
        return seconds

    async def _make_agent(self) -> None:
        self._made += 1
        kind = self._chance.pick(self._stage.hosts).kind
        await self._operator.try_agent(kind, f"spare {self._made}")

    def _throw(self) -> None:
        """It outlives this life: whoever throws the switch sees to it until it is off again."""
        self.throwing.add(asyncio.create_task(self._stopper.throw()))

    async def _until(self, point: Point, trap: Trap | None, recovered: "asyncio.Task[float | None]") -> bool:
        """Whether the point was met: the daemon is dead by its own hook, held in a trap, or its time is over."""
        if point.kind == RANDOM:
            ended = await self._child.wait(point.seconds)
        elif trap is not None:
            ended = not await self._sprung(trap, recovered)
        else:
            ended = await self._by_hook(recovered)
            return ended and self._check_end()
        if self._child.ended is not None:
            self._check_end(unasked=True)
        return point.kind == RANDOM or not ended

    async def _sprung(self, trap: Trap, recovered: "asyncio.Task[float | None]") -> bool:
        waiting = asyncio.create_task(trap.sprung.wait())
        await asyncio.wait({waiting, recovered}, return_when=asyncio.FIRST_COMPLETED)
        done, _ = await asyncio.wait({waiting}, timeout=TRIGGER_SECONDS)
        waiting.cancel()
        return bool(done)

    async def _by_hook(self, recovered: "asyncio.Task[float | None]") -> bool:
        waiting = asyncio.create_task(self._child.wait(READY_SECONDS + TRIGGER_SECONDS))
        await asyncio.wait({waiting, recovered}, return_when=asyncio.FIRST_COMPLETED)
        done, _ = await asyncio.wait({waiting}, timeout=TRIGGER_SECONDS)
        waiting.cancel()
        return bool(done) and self._child.ended is not None

    def _check_end(self, *, unasked: bool = False) -> bool:
        """Whether it died of SIGKILL; anything else, or that when nobody sent one, is a finding."""
        if self._child.ended != SIGKILLED or unasked:
            self._stage.witness.find(f"end: the daemon ended by itself with exit code {self._child.ended}")
            return False
        return True

    def _set(self, point: Point) -> Trap | None:
        if point.kind != "rpc":
            return None
        trap = Trap(point.what, point.when, point.count)
        for proxy in self._stage.proxies:
            proxy.trap = trap
        return trap

    def _release(self, trap: Trap | None) -> None:
        if trap is not None:
            trap.open()
        for proxy in self._stage.proxies:
            proxy.trap = None

    def _count(self, point: Point, met: bool) -> None:
        self.tally.triggers[str(point)] += 1
        self.tally.missed += not met

    async def _examine(self, asked: list[Intent], *, busy: bool) -> set[str]:
        """What the dead daemon left; the chains may leap over the time in which its signed bytes could land."""
        stage = self._stage
        state = books.read_state(stage.place.database, stage.clock.now() + self._leapt - DENIED_SECONDS)
        live: defaultdict[str, set[str]] = defaultdict(set)
        for attempt in state.live:
            live[attempt["network"]].add(attempt["tx_hash"])
        landed: set[str] = set()
        for host in stage.hosts:
            if hashes := sorted(live[host.kind.network]):
                in_blocks = await host.kind.known.landed(host.node, hashes)
                landed |= in_blocks
                await self._evict(host, [key for key in hashes if key not in in_blocks])
        stage.witness.new_life(live)
        native = {str(host.kind.network): host.kind.known.NATIVE for host in stage.hosts}
        self.tally.violated_limits += overbooked(state.agents, state.ledger, state.policies, native)
        self._leap()
        return classify(state, asked, stage.witness.sent, landed, elsewhere=busy)

    async def _hold(self, held: bool) -> None:
        if held != self._held:
            self._held = held
            for host in self._stage.hosts:
                await host.kind.known.hold(host.node, held)

    async def _evict(self, host: Host, waiting: list[str]) -> None:
        """Some of what waits is forgotten by the node, as pools do."""
        if waiting and self._held and self._chance.happens(EVICTED_SHARE):
            self.tally.evicted += 1
            await host.kind.known.evict(host.node, self._chance.pick(waiting))

    def _leap(self) -> None:
        if self._chance.happens(LEAP_SHARE):
            self.tally.leaps += 1
            self._leapt += LEAP_SECONDS
            self._child.leap(self._leapt)
            for host in self._stage.hosts:
                if host.clock is not None:
                    host.clock.leap(LEAP_SECONDS)
