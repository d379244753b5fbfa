"""How the wallet of every run is made: once in a process, and the same in each."""

import asyncio
import atexit
import gc
import shutil
import sqlite3
import tempfile
from functools import cache
from pathlib import Path

from tests.conftest import PASSWORD
from tests.simulation.bounds import UNIT
from tests.simulation.chance import ids_by_chance, stream
from tests.simulation.door import OWNERS, Door
from tests.simulation.faults import CALM
from tests.simulation.loop import EPOCH
from tests.simulation.wallet import EVM, SOLANA, Member, Wallet, config
from tests.simulation.workload import BEYOND_DELAYS, POLICIES, STRANGERS
from tests.simulation.world import World, quiet
from waiaas import app, paths
from waiaas.clock import Clock
from waiaas.domain.chain import chain_of
from waiaas.keystore.master import open_master

#: agents of each network; the first has an owner who has proved the key
AGENTS = 2


class Still(Clock):
    """Stands still at the beginning."""

    def wall(self) -> float:
        return EPOCH


class Founding:
    """The life in which the agents are made."""

    def __init__(self) -> None:
        self.members: list[Member] = []
        self.is_over = False

    async def live(self, world: World, daemon: app.Daemon) -> None:
        door = Door(daemon)
        for network in (SOLANA, EVM):
            for number in range(AGENTS):
                named = {"name": f"{network} {number}", "chain": chain_of(network), "network": network}
                agent = await door.operator("POST", "/v1/agents", named)
                session = await door.operator("POST", "/v1/sessions", {"agentId": agent["id"], "ttl": 604800})
                told = agent["id"], network, agent["publicKey"], session["id"], session["token"]
                self.members.append(member := Member(*told, is_owned=number == 0))
                if member.is_owned:
                    await prove_owner(door, member)
        for kind, rules in POLICIES:
            await door.operator("POST", "/v1/policies", {"type": kind, "rules": rules})
        self.is_over = True


async def prove_owner(door: Door, member: Member) -> None:
    """An owner whose key is known by a no to something that a delay stands in for."""
    await door.hand_over(member.agent_id, OWNERS[chain_of(member.network)][0].address)
    to = STRANGERS[member.network][0]
    asked = await door.send(member.token, {"to": to, "amount": str(BEYOND_DELAYS * UNIT[member.network])}, None)
    await door.decide(asked, "reject")


@cache
def wallet() -> Wallet:
    """Made when a run first needs it."""
    directory = Path(tempfile.mkdtemp(prefix="waiaas-simulation-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    data = paths.DataDir(directory / "wallet")
    with ids_by_chance(stream("wallet", "ids")), quiet():
        paths.create(data)
        asyncio.run(app.initialise(data, config(), PASSWORD, clock=Still()))
        opened = open_master(data.keystore, PASSWORD.encode())
        empty = Wallet(_image(data.within(config().database.path)), directory / "wallet", opened)
        founding = Founding()
        world = World("wallet", CALM, [], empty, directory / "wallet")
        world.run(founding)
    # what is there now stays: collecting the dead need not look at it again
    gc.freeze()
    return Wallet(world.disk.connection.serialize(), directory / "wallet", opened, tuple(founding.members))


def _image(file: Path) -> bytes:
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute("PRAGMA journal_mode=DELETE")
    image = connection.serialize()
    connection.close()
    file.unlink()
    return image
