"""One run: a wallet and its nodes, the lives of its daemon, and what callers, operator and weather do meanwhile."""

import asyncio
import traceback
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import structlog

from tests import signed
from tests.simulation.acts import Acts, Kill
from tests.simulation.bounds import ETHER, MINT, SOL
from tests.simulation.chance import stream
from tests.simulation.contracts import State
from tests.simulation.engine import Disk, Engine
from tests.simulation.evm import EvmChain
from tests.simulation.faults import Profile, Weather
from tests.simulation.loop import EPOCH, Killed, SimClock, SimLoop, collect, graveyard
from tests.simulation.mirrors import is_true, untrue
from tests.simulation.node import Node
from tests.simulation.programs import Account, a_holder, a_mint
from tests.simulation.solana import Cluster
from tests.simulation.wallet import EVM, SOLANA, Wallet, config
from tests.simulation.watch import Watch
from tests.simulation.wire import Wire
from waiaas import app, paths
from waiaas.domain.chain import Network
from waiaas.errors import StorageBusy, StorageFull

#: virtual seconds at which a run begins
BEGINS = 1000.0


class Broken(AssertionError):
    """An invariant does not hold, or the run cannot end; says how to see it again."""

    def __init__(self, told: str, invariant: str = "") -> None:
        super().__init__(told)
        self.invariant = invariant


class Scenario(Protocol):
    """What happens in the lives of a daemon; `is_over` once a life may be the last."""

    is_over: bool

    async def live(self, world: "World", daemon: app.Daemon) -> None:
        """One life, begun where the last one ended; returns when the daemon is to be stopped."""
        ...


class World:
    """Everything that outlives a process."""

    def __init__(
        self,
        seed: int | str,
        profile: Profile,
        kills: list[Kill],
        wallet: Wallet,
        files: Path,
        *,
        ordered: bool = False,
    ) -> None:
        self.seed, self.wallet, self.files = seed, wallet, files
        self.acts = Acts(kills)
        self.weather = Weather(profile, stream(seed, "faults"))
        self.schedule = stream(seed, "schedule")
        self.disk = Disk(wallet.image)
        self.cluster = Cluster(str(seed), self.accounts(), self.weather.slots)
        self.evm = EvmChain(str(seed), self.state(), self.weather.blocks, self.weather.prices)
        self.nodes: dict[Network, Node] = {SOLANA: Node(self.cluster), EVM: Node(self.evm)}
        self.watch = Watch(self)
        self.ordered = ordered
        self.now = BEGINS
        #: how far the wall clock is ahead of virtual time
        self.ahead_seconds = 0.0
        self.lives = 0
        self.loop: SimLoop
        self._dead: list[SimLoop] = []

    def accounts(self) -> dict[str, Account]:
        """What there is on Solana at first."""
        members = [member.address for member in self.wallet.of(SOLANA)]
        holders = {signed.associated(one, MINT): a_holder(one, MINT, 10**9) for one in members}
        return {one: Account(300 * SOL) for one in members} | holders | {MINT: a_mint(6, 10**12)}

    def state(self) -> State:
        """What there is on EVM at first."""
        members = [member.address.lower() for member in self.wallet.of(EVM)]
        return State(dict.fromkeys(members, 300 * ETHER), {}, dict.fromkeys(members, 10**9), {})

    def wall(self) -> float:
        """What a right clock shows."""
        return EPOCH + self.loop.time() + self.ahead_seconds

    def run(self, scenario: Scenario) -> None:
        """Every life until the scenario is over and its daemon has stopped by itself."""
        try:
            while not (self._one_life(scenario) and scenario.is_over):
                pass
        finally:
            if not self.loop.is_closed():
                self.loop.kill()
                self._dead.append(self.loop)
            collect(self._dead)

    def _one_life(self, scenario: Scenario) -> bool:
        """Whether the daemon stopped by itself."""
        self._begin_life()
        try:
            self.loop.run_until_complete(self._live(scenario))
        except Killed:
            if self.acts.broken:
                raise AssertionError(self.acts.broken) from None
            self._end_life()
            return False
        except Exception as error:
            if not all(isinstance(one, StorageBusy | StorageFull) for one in leaves(error)):
                raise
            # it does not start, nor stop, where it cannot write
            self.acts.note("the daemon gives up")
            self.loop.kill()
            self._end_life()
            return False
        self.now = self.loop.time()
        self._check_complaints()
        self.loop.close()
        return True

    def _begin_life(self) -> None:
        self.loop = SimLoop(self.now, None if self.ordered else self.schedule)
        self.acts.loop = self.loop
        self.lives += 1
        self.acts.note(f"life {self.lives}")
        self.watch.life_begins()

    def _end_life(self) -> None:
        self._check_complaints()
        self._dead.append(self.loop)
        kill, self.acts.fatal = self.acts.fatal, None
        if kill is not None and kill.power:
            self.disk.power_fails(self.weather.chance)
        self.now = self.loop.time() + self.weather.chance.choice((0.1, 1.0, 5.0, 30.0, 120.0))

    def _check_complaints(self) -> None:
        if self.loop.complaints:
            raise Broken("\n".join(self.loop.complaints))

    async def _live(self, scenario: Scenario) -> None:
        clock = SimClock(self.loop, self.ahead_seconds)
        async with app.open_daemon(
            paths.DataDir(self.files),
            config(),
            self.wallet.unlock(self.files),
            clock=clock,
            options=app.Options(accept_clock=True),
            transports={
                network: Wire(network, node, self.weather, self.acts, self.watch.leaves)
                for network, node in self.nodes.items()
            },
            engine=Engine(self.disk, self.schedule, self.acts, self.watch.committed, self.weather.refusal),
        ) as daemon:
            await scenario.live(self, daemon)
            self.acts.must_hold(is_true, await untrue(daemon.core))


def leaves(error: BaseException) -> list[BaseException]:
    """The errors in a group of groups."""
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    return [leaf for one in error.exceptions for leaf in leaves(one)]


@contextmanager
def quiet() -> Iterator["Logged"]:
    """Inside, nothing is logged, and what nobody expects is kept."""
    logged, before = Logged(), structlog.get_config()
    structlog.configure(
        processors=[logged], logger_factory=structlog.ReturnLoggerFactory(), cache_logger_on_first_use=False
    )
    try:
        with graveyard():
            yield logged
    finally:
        structlog.configure(**before)


#: what is logged when a step fails in a way that it should not
FAILURES = frozenset({"step_failed", "worker_failed", "rpc failed", "listener_failed", "not_signed_yet"})


class Logged:
    """The log of a run: failures that nobody expects are kept, everything else is dropped."""

    def __init__(self) -> None:
        self.failures: list[str] = []

    def __call__(self, _: Any, __: str, event: MutableMapping[str, Any]) -> str:
        is_dead = asyncio._get_running_loop() is None
        if not is_dead and event["event"] in FAILURES and (found := event.get("exc_info")):
            error = found if isinstance(found, BaseException) else None
            self.failures.append("".join(traceback.format_exception(error)) if error else traceback.format_exc())
        raise structlog.DropEvent

    def check(self) -> None:
        """Only what the product calls an error of its own may have been raised."""
        unknown = [text for text in self.failures if "waiaas.errors." not in text.rstrip().splitlines()[-1]]
        if unknown:
            raise Broken(unknown[0])
