"""A run: clients that never stop asking, a daemon that is killed and started again, and at the end a verdict."""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

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
from waiaas.cli.torture.targets import APPROVED, Targets
from waiaas.cli.torture.workload import ask, close, work
from waiaas.clock import Clock
from waiaas.errors import StartError
from waiaas.ids import entropy

#: two clients share an agent, so that they race for its limit
CLIENTS_PER_AGENT = 2
#: addresses on each network that only take money
SINKS = 4
#: after the last kill: until every client has its answers, until every transaction is final
CLIENTS_SECONDS = 100
FINAL_SECONDS = 180
LOOK_SECONDS = 0.25


class Cast(msgspec.Struct, frozen=True):
    """Everybody who asks for something."""

    targets: Targets
    clients: list[Client]
    owners: list[Owner]
    stopper: Stopper

    def working(self, stop: asyncio.Event) -> list[Coroutine[Any, Any, None]]:
        """What clients and the stopper do until told to stop."""
        return [*(work(client, self.targets, stop) for client in self.clients), self.stopper.work(stop)]

    async def close(self) -> None:
        """No line and no call follows."""
        await asyncio.gather(*(client.close() for client in self.clients), *(owner.close() for owner in self.owners))
        self.stopper.close()


#: told after each kill how many there were, and how often each point was met
Tell = Callable[[int, Counter[str]], None]


async def torture(options: Options, place: Place, clock: Clock, tell: Tell) -> Report:
    """The whole run; StartError if the daemon cannot even be set up."""
    begun = clock.monotonic()
    async with open_stage(options, place, clock) as stage, opened(stage) as (child, looker, operator):
        cast = await settle_in(stage, child, looker, operator, options.clients)
        before = await truth_of(stage, books.read_books(stage.place.database).agents)
        stop, enough, tally = asyncio.Event(), asyncio.Event(), Tally()
        working = [asyncio.create_task(task) for task in cast.working(stop)]
        deciding = [asyncio.create_task(owner.work(enough)) for owner in cast.owners]
        try:
            try:
                await live(stage, options, Life(stage, child, looker, operator, cast.stopper, tally), tell)
            finally:
                stop.set()
                await finish(stage, working)
            await deliver_all()
            await close_allowances(stage, cast)
            await until_final(stage)
        finally:
            enough.set()
            await finish(stage, deciding)
            await cast.close()
        if (code := await child.stop()) != 0:
            stage.witness.find(f"stop: a graceful stop ended with exit code {code}")
        tally.throws, tally.suspensions = cast.stopper.throws, cast.stopper.suspensions
        return await judge(options, stage, before, operator.tokens, tally, clock.monotonic() - begun)


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
    clients = [make_client(stage, number, agents[number % len(agents)], operator) for number in range(count)]
    owners = [make_owner(stage, number, agent, operator) for number, agent in enumerate(agents)]
    targets = make_targets(stage, agents)
    await asyncio.gather(*(prove(owner, clients, targets) for owner in owners))
    if (code := await child.stop()) != 0:
        raise StartError(f"The daemon did not stop as it should: exit code {code}.")
    stopper = Stopper(stage, operator, owners, Journal(stage.place.root / "stopper.journal"))
    return Cast(targets, clients, owners, stopper)


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


async def close_allowances(stage: Stage, cast: Cast) -> None:
    """One client of each agent takes back what the bank may still take, when everything else is over."""
    await until_final(stage)
    last = {client.agent.id: client for client in cast.clients}
    await asyncio.gather(*(close(client, cast.targets) for client in last.values()))


async def live(stage: Stage, options: Options, life: Life, tell: Tell) -> None:
    """As many lives as there are kills, and one more that is left alone."""
    schedule = Schedule(stage.chance.apart("schedule"), options.points)
    for number in range(1, options.kills + 1):
        await life.live(schedule.next())
        tell(number, life.tally.hits)
    await life.last()


async def finish(stage: Stage, working: Sequence["asyncio.Task[None]"]) -> None:
    """Let every client end what it is at; what goes wrong in one is a finding."""
    _, late = await asyncio.wait(working, timeout=CLIENTS_SECONDS)
    for task in late:
        task.cancel()
        stage.witness.find(f"clients: one had no answer after {CLIENTS_SECONDS} seconds")
    for outcome in await asyncio.gather(*working, return_exceptions=True):
        if isinstance(outcome, Exception):
            stage.witness.find(f"clients: {type(outcome).__name__}: {outcome}")


async def until_final(stage: Stage) -> None:
    """Wait until nothing is under way any more; how long that may take is L1 of the invariants."""
    until = stage.clock.monotonic() + FINAL_SECONDS
    while stage.clock.monotonic() < until:
        if books.count_unfinished(stage.place.database) == 0:
            return
        await asyncio.sleep(LOOK_SECONDS)
