"""A run from its beginning to its checked end; a failure tells everything needed to see it again."""

import traceback

from tests.simulation import founding
from tests.simulation.acts import Kill
from tests.simulation.chance import ids_by_chance, stream
from tests.simulation.faults import Profile
from tests.simulation.loop import collect
from tests.simulation.world import Broken, Scenario, World, quiet

#: ids of the wallet are smaller than those of a run
IDS = 10**6


def simulate(
    seed: int | str, profile: Profile, scenario: Scenario, *, kills: list[Kill] | None = None, ordered: bool = False
) -> World:
    """The world as it was left; Broken with seed, act, invariant and the last acts.

    `ordered`: callbacks run in the order in which they became ready.
    """
    wallet = founding.wallet()
    with wallet.copied() as files, ids_by_chance(stream(seed, "ids"), IDS), quiet() as logged:
        world = World(seed, profile, list(kills or ()), wallet, files, ordered=ordered)
        broken = invariant = ""
        try:
            world.run(scenario)
            world.watch.end()
            logged.check()
        except Exception as error:
            broken, invariant = told(world, error), str(error).partition(":")[0] or type(error).__name__
        if broken:
            # the error held on to what the dead have left
            collect([])
            raise Broken(broken, invariant)
        return world


def told(world: World, error: Exception) -> str:
    """Seed, act, what is broken, and the acts before it."""
    acts = "\n".join(world.acts.last)
    said = str(error) if isinstance(error, AssertionError) else "".join(traceback.format_exception(error))
    where = f"seed {world.seed} ({world.weather.profile.name}), act {world.acts.count}"
    return f"{where}: {said}\n{acts}\nagain: python -m tests.simulation --seed {world.seed} --shrink"
