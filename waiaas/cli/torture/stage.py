"""All that outlives the daemon: chains, the endpoints in front of them, the weather between, and a directory."""

import asyncio
import functools
import itertools
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec

from waiaas.cli.torture.chance import Chance
from waiaas.cli.torture.child import Place, prepare
from waiaas.cli.torture.hosts import Host, open_hosts
from waiaas.cli.torture.points import Point
from waiaas.cli.torture.proxy import Proxy
from waiaas.cli.torture.weather import Weather
from waiaas.cli.torture.witness import Witness
from waiaas.clock import Clock
from waiaas.domain.chain import Network
from waiaas.ids import entropy

#: proxies of a network: one may lie while the other does not
ENDPOINTS = 2


class Options(msgspec.Struct, frozen=True):
    """What a run is asked to be; `points` None: all of them, and random moments between."""

    seed: int
    kills: int
    clients: int
    elsewhere: Mapping[Network, str]
    points: Sequence[Point] | None


class Stage(msgspec.Struct, frozen=True):
    """What a run plays on."""

    place: Place
    hosts: list[Host]
    proxies: list[Proxy]
    weather: Weather
    witness: Witness
    chance: Chance
    clock: Clock
    port: int
    password: str

    @property
    def url(self) -> str:
        """Where the daemon answers."""
        return f"http://127.0.0.1:{self.port}"


@asynccontextmanager
async def open_stage(options: Options, place: Place, clock: Clock) -> AsyncIterator[Stage]:
    """Chains, two endpoints in front of each, and a wallet whose daemon has never run."""
    chance = Chance(options.seed)
    weather = Weather(chance.apart("weather"))
    place.chains.mkdir(mode=0o700)
    async with AsyncExitStack() as stack:
        hosts = await stack.enter_async_context(open_hosts(place.chains, options.elsewhere))
        witness = Witness([host.kind for host in hosts], clock)
        proxies: list[Proxy] = []
        endpoints: dict[str, list[str]] = {}
        for host, number in itertools.product(hosts, range(ENDPOINTS)):
            proxy = Proxy(number, host.node, weather, functools.partial(witness.look, host.kind.network))
            await stack.enter_async_context(proxy.serving())
            proxies.append(proxy)
            endpoints.setdefault(host.kind.setting, []).append(proxy.url)
        password = f"torture {entropy(16).hex()}"
        port = await asyncio.to_thread(prepare, place, password, endpoints)
        yield Stage(place, hosts, proxies, weather, witness, chance, clock, port, password)
