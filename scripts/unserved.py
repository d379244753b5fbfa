"""A wallet in this process, without server and workers, for what is measured by itself."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx
import msgspec

from waiaas import app, paths
from waiaas.clock import Clock
from waiaas.config import Config
from waiaas.domain.agent import Agent, AgentStatus
from waiaas.domain.chain import Chain, Network
from waiaas.ids import new_id
from waiaas.keystore import Keystore
from waiaas.pipeline.core import Core
from waiaas.repositories import agents

T = TypeVar("T", bound=msgspec.Struct)

PASSWORD = "a password for the bench"


class Still(Clock):
    """A clock that has stopped."""

    def __init__(self) -> None:
        super().__init__()
        self._at = super().wall()

    def wall(self) -> float:
        """The moment it was made."""
        return self._at

    def monotonic(self) -> float:
        """The moment it was made."""
        return self._at


@asynccontextmanager
async def wallet(directory: Path, node: httpx.AsyncBaseTransport) -> AsyncIterator[Core]:
    """A new wallet whose networks are the node; nothing runs by itself."""
    data, clock, config = paths.DataDir(directory / "wallet"), Still(), Config()
    paths.create(data)
    await app.initialise(data, config, PASSWORD, clock=clock)
    keystore = Keystore.unlock(data.keystore, PASSWORD)
    transports = dict.fromkeys((Network.LOCALNET, Network.ETHEREUM_LOCALNET), node)
    async with app.open_core(data, config, keystore, clock=clock, transports=transports) as core:
        yield core
    keystore.lock()


async def make_agent(core: Core, network: Network) -> Agent:
    """The row of an agent; nothing of it is signed here."""
    now, chain = core.clock.now(), Chain.SOLANA if network is Network.LOCALNET else Chain.ETHEREUM
    agent = Agent(
        new_id(), "bench", chain, network, new_id(), AgentStatus.ACTIVE, None, False, None, 0, None, None, now, now
    )
    await core.db.commit(agents.create(agent), agents.activate(agent.id, now))
    return agent


def row(struct: type[T], /, **columns: Any) -> T:
    """A struct with a fresh id, None in every column that is not given."""
    unset = dict.fromkeys(struct.__struct_fields__)
    return msgspec.convert(unset | {"id": new_id()} | columns, struct)
