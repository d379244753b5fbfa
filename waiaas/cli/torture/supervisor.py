"""A run: clients that never stop asking, a daemon that is killed and started again, and at the end a verdict."""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec

from waiaas.cli.torture import books
from waiaas.cli.torture.child import Child, Place
from waiaas.cli.torture.client import Client
from waiaas.cli.torture.daemon import Caller
from waiaas.cli.torture.exchange import deliver_all
from waiaas.cli.torture.journal import Journal
from waiaas.cli.torture.judge import judge, truth_of
from waiaas.cli.torture.lives import Life, Tally
from waiaas.cli.torture.operator import Agent, Operator
from waiaas.cli.torture.owner import Owner
from waiaas.cli.torture.points import Schedule
from waiaas.cli.torture.report import Report
from waiaas.cli.torture.stage import Options, Stage, open_stage
from waiaas.cli.torture.stopper import Stopper
from waiaas.cli.torture.stranger import Stranger
from waiaas.cli.torture.targets import APPROVED, Targets
from waiaas.cli.torture.turmoil import Turmoil
from waiaas.cli.torture.workload import ask, close
from waiaas.cli.torture.workload import work as use
from waiaas.clock import Clock
from waiaas.errors import StartError
from waiaas.ids import entropy

#: two clients share an agent, so that they race for its limit
CLIENTS_PER_AGENT = 2
#: addresses on each network that only take money
SINKS = 4
#: after the last kill: until every client has its answers, until every transaction is final. What takes longer never
#: ends: nothing else is waited for then, so that a run is over READY_SECONDS, or one of these, after it has got stuck
CLIENTS_SECONDS = 60
FINAL_SECONDS = 120
LOOK_SECONDS = 0.25


class Cast(msgspec.Struct, frozen=True):
    """Everybody who asks for something."""

    targets: Targets
    clients: list[Client]
    owners: list[Owner]
    stopper: Stopper
    stranger: Stranger
    turmoil: Turmoil

    async def close(self) -> None:
        """No line and no call follows."""
        await asyncio.gather(*(client.close() for client in self.clients), *(owner.close() for owner in self.owners))
        self.stopper.close()
        self.stranger.close()
        self.turmoil.close()


#: told after each kill how many there were, and how often each point was met
Tell = Callable[[int, Counter[str]], None]


async def torture(options: Options, place: Place, clock: Clock, tell: Tell) -> Report:
    """The whole run; StartError if the daemon cannot even be set up."""
    begun = clock.monotonic()
    async with open_stage(options, place, clock) as stage, opened(stage) as (child, looker, operator):
        cast = await settle_in(stage, child, looker, operator, options.clients)
        before = await truth_of(stage, books.read_books(stage.place.database).agents)
        life = Life(stage, child, looker, operator, cast.stopper, Tally())
        work = begin(cast, life)
        try:
            came_to_rest = await live(stage, options, work, tell) and await rest(stage, cast, work)
        finally:
            await work.cancel()
            await cast.close()
        if came_to_rest and (code := await child.stop()) != 0:
            stage.witness.find(f"stop: a graceful stop ended with exit code {code}")
        await child.kill()
        return await judge(
            options, stage, before, operator.tokens, counted(life.tally, cast), clock.monotonic() - begun
        )


def counted(tally: Tally, cast: Cast) -> Tally:
    """With what others have counted."""
    tally.throws, tally.suspensions = cast.stopper.throws, cast.stopper.suspensions
    tally.forks, tally.jumps = cast.turmoil.forks, cast.turmoil.jumps
    return tally


@asynccontextmanager
async def opened(stage: Stage) -> AsyncIterator[tuple[Child, Caller, Operator]]:
    """The daemon to be, somebody who asks whether it is ready, and its operator; closed whatever happens."""
    async with AsyncExitStack() as stack:
        operator = Operator(stage.url, stage.password, stage.clock, stage.chance.apart("operator"))
        stack.push_async_callback(operator.close)
        looker = Caller(stage.url, {}, stage.clock, stage.chance.apart("looker"))
        stack.push_async_callback(looker.close)
        child = Child(stage.place, stage.port, stage.clock)
        stack.push_async_callback(child.kill)
        yield child, looker, operator


async def settle_in(stage: Stage, child: Child, looker: Caller, operator: Operator, count: int) -> Cast:
    """A first life that nobody disturbs: agents with money, limits and owners on every network, and their clients."""
    child.start(None)
    if await child.ready(looker.client) is None:
        raise StartError(f"The daemon did not become ready: see {stage.place.output}.")
    await operator.drop_first_policy()
    await operator.allow(stage.hosts)
    numbers = range(max(len(stage.hosts), -(-count // CLIENTS_PER_AGENT)))
    agents = [await operator.make_agent(stage.hosts[each % len(stage.hosts)], f"agent {each}") for each in numbers]
    chairs = range(max(count, len(agents)))
    clients = [make_client(stage, number, agents[number % len(agents)], operator) for number in chairs]
    owners = [make_owner(stage, number, agent, operator) for number, agent in enumerate(agents)]
    targets = make_targets(stage, agents)
    await asyncio.gather(*(prove(owner, clients, targets) for owner in owners))
    if (code := await child.stop()) != 0:
        raise StartError(f"The daemon did not stop as it should: exit code {code}.")
    stopper = Stopper(stage, operator, owners, Journal(stage.place.root / "stopper.journal"))
    stranger = Stranger(stage, operator, agents, Journal(stage.place.root / "stranger.journal"), targets)
    turmoil = Turmoil(stage, Journal(stage.place.root / "turmoil.journal"))
    return Cast(targets, clients, owners, stopper, stranger, turmoil)


def make_client(stage: Stage, number: int, agent: Agent, operator: Operator) -> Client:
    """The n-th client, with its own chance and journal."""
    written = Journal(stage.place.root / f"client-{number}.journal")
    chance = stage.chance.apart(f"client {number}")
    return Client(stage.url, agent, operator, written, stage.witness, stage.clock, chance)


def make_owner(stage: Stage, number: int, agent: Agent, operator: Operator) -> Owner:
    """The owner of the n-th agent, likewise."""
    written = Journal(stage.place.root / f"owner-{number}.journal")
    chance = stage.chance.apart(f"owner {number}")
    return Owner(stage.url, agent, operator, written, stage.witness, stage.clock, chance)


async def prove(owner: Owner, clients: Sequence[Client], targets: Targets) -> None:
    """The owner signs once, so that from then on nothing goes without it that needs it."""
    await owner.register()
    client = next(client for client in clients if client.agent is owner.agent)
    transaction = await ask(client, "proof", targets.payment(client, APPROVED))
    if transaction is None or not await owner.reject(transaction):
        raise StartError(f"The owner of agent {owner.agent.id} could not prove its key.")


def make_targets(stage: Stage, agents: Sequence[Agent]) -> Targets:
    """Where money may go on each network: agents, and addresses that nobody has the key of."""
    hosts = {host.kind.network: host for host in stage.hosts}
    return Targets(
        {network: [agent.address for agent in agents if agent.host is host] for network, host in hosts.items()},
        {network: host.kind.known.recipients([entropy(32) for _ in range(SINKS)]) for network, host in hosts.items()},
        itertools.count(1),
    )


async def close_allowances(cast: Cast) -> None:
    """One client of each agent takes back what the bank may still take, when everything else is over."""
    last = {client.agent.id: client for client in cast.clients}
    await asyncio.gather(*(close(client, cast.targets) for client in last.values()))


class Work:
    """What is under way in a run, and how it is told to end: the unnatural first, those who ask next, owners last."""

    def __init__(self, life: Life) -> None:
        self.life = life
        self.quiet, self.stop, self.enough = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.disturbing: list[asyncio.Task[None]] = []
        self.asking: list[asyncio.Task[None]] = []
        self.deciding: list[asyncio.Task[None]] = []

    async def cancel(self) -> None:
        """End what has not ended."""
        left = [*self.disturbing, *self.asking, *self.deciding, *self.life.throwing]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)


def begin(cast: Cast, life: Life) -> Work:
    """Set everybody to work."""
    work, turn, start = Work(life), asyncio.Lock(), asyncio.create_task
    work.disturbing = [
        start(cast.turmoil.work(turn, work.quiet)),
        start(cast.stranger.work(turn, work.quiet)),
    ]
    work.asking = [start(use(client, cast.targets, work.stop)) for client in cast.clients]
    work.asking.append(start(cast.stopper.work(work.stop)))
    work.deciding = [start(owner.work(work.enough)) for owner in cast.owners]
    work.deciding.append(start(cast.stranger.forgive(cast.stopper.turn, work.enough)))
    return work


async def live(stage: Stage, options: Options, work: Work, tell: Tell) -> bool:
    """As many lives as there are kills, and one more that is left alone; whether that one began."""
    life, schedule = work.life, Schedule(stage.chance.apart("schedule"), options.points)
    for number in range(1, options.kills + 1):
        await life.live(schedule.next())
        tell(number, life.tally.hits)
        if life.is_stuck:
            break
    work.quiet.set()
    return await finish(stage, "turmoil", work.disturbing) and await life.last()


async def rest(stage: Stage, cast: Cast, work: Work) -> bool:
    """Everybody ends what they are at, and everything becomes final; False with a finding if that takes too long."""
    work.stop.set()
    if not await finish(stage, "clients", [*work.asking, *work.life.throwing]):
        return False
    await deliver_all()
    if not await until_final(stage, cast):
        return False
    await close_allowances(cast)
    ended = await until_final(stage, cast)
    work.enough.set()
    return await finish(stage, "owners", work.deciding) and ended


async def finish(stage: Stage, who: str, tasks: Sequence["asyncio.Task[None]"]) -> bool:
    """Let everybody end what they are at; what goes wrong in one is a finding, and so is who never ends."""
    ended, late = await asyncio.wait(tasks, timeout=CLIENTS_SECONDS)
    for task in late:
        stage.witness.find(f"{who}: one was still at it after {CLIENTS_SECONDS} seconds: {task.get_coro()!r:.200}")
    for task in ended:
        if error := task.exception():
            stage.witness.find(f"{who}: {type(error).__name__}: {error}")
    return not late


async def until_final(stage: Stage, cast: Cast) -> bool:
    """Wait until nothing is under way any more; False with a finding if that takes too long (L1 of the invariants)."""
    until, left = stage.clock.monotonic() + FINAL_SECONDS, 0
    while stage.clock.monotonic() < until:
        left = books.count_unfinished(stage.place.database)
        if left == 0 and await cast.stranger.is_told():
            return True
        await asyncio.sleep(LOOK_SECONDS)
    stage.witness.find(
        f"last: after {FINAL_SECONDS} seconds {left} transactions are not final, or a stranger is not told of"
    )
    return False
