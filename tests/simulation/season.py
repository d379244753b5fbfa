"""A seeded run: callers and operator act while faults happen; then faults stop, and everything must end."""

import asyncio

from tests.simulation.acts import Kill
from tests.simulation.chance import stream
from tests.simulation.faults import PROFILES, Profile
from tests.simulation.founding import wallet
from tests.simulation.hands import Hands, Journal
from tests.simulation.run import simulate
from tests.simulation.shrink import Case
from tests.simulation.stories import until_final
from tests.simulation.workload import Want, wants
from tests.simulation.world import World
from waiaas import app

#: acts between two kills, on average
ACTS = 90
HAS = "SELECT 1 FROM transactions WHERE id = ?"


class Season:
    """Over when everything was asked for, faults have stopped, and nothing is under way any more."""

    def __init__(self, wants: list[Want]) -> None:
        self.journal = Journal(wants)
        self.is_over = False

    async def live(self, world: World, daemon: app.Daemon) -> None:
        """Go on with what is not done; where endpoints lied the daemon is started once more."""
        hands = Hands(world, daemon, self.journal)
        if not world.weather.is_still:
            weather = asyncio.create_task(change(world))
            await hands.work()
            weather.cancel()
            world.weather.still(list(world.nodes.values()))
            world.acts.note("faults stop")
            if world.weather.profile.lies:
                # an endpoint that was found to lie is not believed again before a restart
                return
        await hands.lift()
        await until_final(world)
        for number, tx_id in self.journal.answers.items():
            found = world.disk.connection.execute(HAS, (tx_id,)).fetchone()
            assert found, f"I1: want {number} was answered with {tx_id}, which is not there"
        self.is_over = True


async def change(world: World) -> None:
    """Other weather every few seconds."""
    chance = world.weather.chance
    while True:
        await asyncio.sleep(2 + chance.random() * 15)
        for network, node in world.nodes.items():
            node.catch_up(world.loop.time())
            if changed := world.weather.turn(node):
                world.acts.note(f"{network}: {changed}")


def kills_of(seed: int | str, profile: Profile) -> list[Kill]:
    """When the process dies: at acts by chance."""
    chance = stream(seed, "kills")
    act, kills = 0, []
    for _ in range(chance.randint(0, profile.kills)):
        act += 1 + int(chance.expovariate(1 / ACTS))
        kills.append(Kill(act, after=chance.random() < 0.5, power=profile.power and chance.random() < 0.5))
    return kills


def profile_of(seed: int) -> Profile:
    """Each in its turn."""
    return list(PROFILES.values())[seed % len(PROFILES)]


def case_of(seed: int) -> Case:
    """Everything that the seed decides before the run begins."""
    profile = profile_of(seed)
    drawn = wants(wallet(), profile, stream(seed, "workload"))
    return Case(seed, profile, tuple(drawn), tuple(kills_of(seed, profile)))


def play(case: Case) -> World:
    """The run of a case; Broken if anything is."""
    return simulate(case.seed, case.profile, Season(list(case.wants)), kills=list(case.kills))
