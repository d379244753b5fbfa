"""A run: clients that never stop asking, a daemon that is killed and started again, and at the end a verdict."""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from waiaas.cli.torture import books
from waiaas.cli.torture.child import Child, Place
from waiaas.cli.torture.client import Client
from waiaas.cli.torture.daemon import Caller
from waiaas.cli.torture.exchange import deliver_all
from waiaas.cli.torture.journal import Journal
from waiaas.cli.torture.judge import judge, truth_of
from waiaas.cli.torture.lives import Life, Tally
from waiaas.cli.torture.operator import Agent, Operator
from waiaas.cli.torture.points import Schedule
from waiaas.cli.torture.report import Report
from waiaas.cli.torture.stage import Options, Stage, open_stage
from waiaas.cli.torture.workload import Targets, work
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

#: told after each kill how many there were, and how often each point was met
Tell = Callable[[int, Counter[str]], None]


async def torture(options: Options, place: Place, clock: Clock, tell: Tell) -> Report:
    """The whole run; StartError if the daemon cannot even be set up."""
    begun = clock.monotonic()
    async with open_stage(options, place, clock) as stage, opened(stage) as (child, looker, operator):
        targets, clients = await settle_in(stage, child, looker, operator, options.clients)
        before = await truth_of(stage, books.read_books(stage.place.database).agents)
        stop, tally = asyncio.Event(), Tally()
        working = [asyncio.create_task(work(client, targets, stop)) for client in clients]
        try:
            await live(stage, options, Life(stage, child, looker, operator, tally), tell)
        finally:
            stop.set()
            await finish(stage, working)
            await asyncio.gather(*(client.close() for client in clients))
        await deliver_all()
        await until_final(stage)
        if (code := await child.stop()) != 0:
            stage.witness.find(f"stop: a graceful stop ended with exit code {code}")
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


async def settle_in(
    stage: Stage, child: Child, looker: Caller, operator: Operator, count: int
) -> tuple[Targets, list[Client]]:
    """A first life that nobody disturbs: agents with money and limits on every network in turn, and their clients."""
    child.start(None)
    if await child.ready(looker.client) is None:
        raise StartError(f"The daemon did not become ready: see {stage.place.output}.")
    await operator.drop_first_policy()
    kinds = [host.kind for host in stage.hosts]
    numbers = range(max(len(kinds), -(-count // CLIENTS_PER_AGENT)))
    agents = [await operator.make_agent(kinds[each % len(kinds)], f"agent {each}") for each in numbers]
    if (code := await child.stop()) != 0:
        raise StartError(f"The daemon did not stop as it should: exit code {code}.")
    clients = [make_client(stage, number, agents[number % len(agents)], operator) for number in range(count)]
    return Targets(addresses(stage, agents), itertools.count(1)), clients


def make_client(stage: Stage, number: int, agent: Agent, operator: Operator) -> Client:
    """The n-th client, with its own chance and journal."""
    written = Journal(stage.place.root / f"client-{number}.journal")
    chance = stage.chance.apart(f"client {number}")
    return Client(stage.url, agent, operator, written, stage.witness, stage.clock, chance)


def addresses(stage: Stage, agents: Sequence[Agent]) -> dict[str, list[str]]:
    """Where money may go on each network: agents, and addresses that nobody has the key of."""
    return {
        host.kind.network: [
            *(agent.address for agent in agents if agent.kind is host.kind),
            *host.kind.known.recipients([entropy(32) for _ in range(SINKS)]),
        ]
        for host in stage.hosts
    }


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
