"""Every configured network: its endpoints, its adapter, its health."""

import asyncio
import logging
import ssl
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

import httpx
import structlog

from waiaas.chains.base import Chain
from waiaas.chains.endpoint import Endpoint, Limits
from waiaas.chains.evm.networks import DIALECT as EVM_DIALECT
from waiaas.chains.evm.networks import PROFILES
from waiaas.chains.rpc import Quarantined, Rpc
from waiaas.chains.solana.adapter import DIALECT, GENESIS, SolanaChain
from waiaas.clock import Clock
from waiaas.domain.chain import Network
from waiaas.errors import ChainNotSupported

if TYPE_CHECKING:
    from waiaas.chains.evm.adapter import EvmChain

log = structlog.get_logger(__name__)

EMBEDDED = "embedded"
CONNECT_SECONDS = 3.0


class Pool:
    """The networks in `endpoints` that have at least one URL, in order of preference.

    `transports` says what the URL "embedded" of a network stands for; `identities` holds the genesis hashes
    of localnets seen before (EVM chain ids are known). A network's connections are made when somebody first asks for
    its chain.
    """

    def __init__(
        self,
        endpoints: Mapping[Network, Sequence[str]],
        *,
        clock: Clock,
        limits: Limits,
        solana_max_priority_fee_lamports: int,
        evm_max_fee_gwei: int,
        transports: Mapping[Network, httpx.AsyncBaseTransport],
        identities: Mapping[Network, str],
    ) -> None:
        self._urls = {network: urls for network, urls in endpoints.items() if urls}
        self._clock = clock
        self._limits = limits
        self._solana_max_priority_fee = solana_max_priority_fee_lamports
        self._evm_max_fee_gwei = evm_max_fee_gwei
        self._transports = transports
        chain_ids = {network: profile.identity for network, profile in PROFILES.items()}
        self._identities = {**identities, **GENESIS, **chain_ids}
        self._chains: dict[Network, SolanaChain | EvmChain] = {}
        self._ssl: ssl.SSLContext | None = None
        self._told: set[Quarantined] = set()
        # httpx logs every URL it calls, and a provider's URL carries the key
        for name in ("httpx", "httpcore"):
            logging.getLogger(name).setLevel(logging.WARNING)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def networks(self) -> tuple[Network, ...]:
        """Those with an endpoint."""
        return tuple(self._urls)

    def chain(self, network: Network) -> Chain:
        """The adapter of a network; ChainNotSupported if it has no endpoint."""
        if network not in self._chains:
            if network not in self._urls:
                raise ChainNotSupported(f"The network {network} is not configured.")
            self._chains[network] = self._open(network)
        return self._chains[network]

    def health(self) -> dict[str, str]:
        """`ok` or `down` by network; down: every endpoint is quarantined, resting or too far behind."""
        opened = {network: chain.rpc.healthy for network, chain in self._chains.items()}
        return {str(network): "ok" if opened.get(network, True) else "down" for network in self.networks()}

    def endpoints(self) -> dict[Network, tuple[Endpoint, ...]]:
        """The endpoints of every network in use, with what is known of them."""
        return {network: chain.rpc.endpoints for network, chain in self._chains.items()}

    def identities(self) -> dict[Network, str]:
        """Genesis hash or chain id of each network reached; a localnet's is to be stored and handed in at a start."""
        known = {network: chain.rpc.identity for network, chain in self._chains.items() if chain.rpc.used}
        return {network: identity for network, identity in known.items() if identity}

    def divided(self) -> dict[Network, str]:
        """What the endpoints of a network say that cannot all be true, where nobody knows yet which chain it is."""
        found = {network: chain.rpc.divided for network, chain in self._chains.items()}
        return {network: reason for network, reason in found.items() if reason}

    def take_quarantined(self) -> list[Quarantined]:
        """Endpoints quarantined since the last time this was asked."""
        found = [one for chain in self._chains.values() for one in chain.rpc.quarantined() if one not in self._told]
        self._told.update(found)
        return found

    async def watch(self) -> None:
        """One look at every endpoint of the networks in use: head, latency, identity when due."""
        await asyncio.gather(*(chain.rpc.watch() for chain in self._chains.values() if chain.rpc.used))

    async def close(self) -> None:
        """Close every connection; callers still waiting get Transient."""
        await asyncio.gather(*(chain.rpc.close() for chain in self._chains.values()))

    def _open(self, network: Network) -> "SolanaChain | EvmChain":
        urls = self._urls[network]
        endpoints = [
            Endpoint(name, self._address(network, url, name), self._client(network, url), self._limits, self._clock)
            for name, url in zip(names(urls), urls, strict=True)
        ]
        dialect = EVM_DIALECT if network in PROFILES else DIALECT
        rpc = Rpc(network, endpoints, dialect, self._clock, self._identities.get(network))
        return self._open_evm(network, rpc) if network in PROFILES else self._open_solana(network, rpc)

    def _open_solana(self, network: Network, rpc: Rpc) -> SolanaChain:
        return SolanaChain(network, rpc, self._clock, self._solana_max_priority_fee)

    def _open_evm(self, network: Network, rpc: Rpc) -> "EvmChain":
        # RLP and its friends cost 0.1 s of import, which a wallet on Solana alone need not pay
        from waiaas.chains.evm.adapter import EvmChain

        return EvmChain(network, rpc, self._clock, self._evm_max_fee_gwei)

    def _address(self, network: Network, url: str, name: str) -> str:
        return f"http://{network}.{name.replace('#', '-')}/" if url == EMBEDDED else url

    def _client(self, network: Network, url: str) -> httpx.AsyncClient:
        timeout = httpx.Timeout(None, connect=CONNECT_SECONDS)
        if url == EMBEDDED:
            return httpx.AsyncClient(transport=self._transports[network], timeout=timeout, trust_env=False)
        if self._ssl is None:
            self._ssl = httpx.create_ssl_context()
        return httpx.AsyncClient(verify=self._ssl, timeout=timeout, trust_env=False)


def names(urls: Sequence[str]) -> list[str]:
    """What may be shown of each URL: host and port, numbered where they are the same; never a key or password."""
    hosts = [EMBEDDED if url == EMBEDDED else urlsplit(url).netloc.rpartition("@")[2] for url in urls]
    return [
        host if hosts.count(host) == 1 else f"{host}#{hosts[: place + 1].count(host)}"
        for place, host in enumerate(hosts)
    ]
