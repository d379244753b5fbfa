"""The composition root: every part is required, and torn down by indentation."""

import asyncio
import logging
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import cast

import httpx
import hypercorn.asyncio
import hypercorn.config
import msgspec
import structlog
from hypercorn.typing import ASGIFramework
from starlette.types import ASGIApp

from waiaas import __version__
from waiaas.api.app import create_app
from waiaas.auth.failures import Failures
from waiaas.auth.operator import OperatorAuth
from waiaas.auth.sessions import SessionAuth
from waiaas.auth.tokens import Tokens
from waiaas.chains.endpoint import Limits
from waiaas.chains.pool import EMBEDDED, Pool
from waiaas.clock import Clock
from waiaas.config import Config
from waiaas.db import Database, Statement
from waiaas.db.migrate import Report, migrate
from waiaas.db.migrations import find_sql, load
from waiaas.domain.chain import Network
from waiaas.domain.event import SYSTEM, AuditEvent
from waiaas.domain.policy import Policy, PolicyType, parse_rules
from waiaas.errors import ExtraMissing, PortTaken
from waiaas.ids import new_id
from waiaas.keystore import KdfParams, Keystore, create
from waiaas.paths import DataDir
from waiaas.pipeline.core import Core
from waiaas.pipeline.landing.recover import close_networks, first_prices
from waiaas.pipeline.registry.unlock import open_keys as open_keys
from waiaas.repositories import agents, audit, policies, settings
from waiaas.workers.marker import first_mark, open_marker
from waiaas.workers.staff import working

#: what a first run allows without asking: instant, notify and delay bounds of native money, in base units
FIRST_LIMITS = {
    "limits": {
        "native:solana": {"instant_max": "1000000000", "notify_max": "10000000000", "delay_max": "50000000000"},
        "native:ethereum": {
            "instant_max": "100000000000000000",
            "notify_max": "1000000000000000000",
            "delay_max": "5000000000000000000",
        },
    }
}
#: opens the database of a data directory, ready to be used
Engine = Callable[[DataDir, Config, Clock], AbstractAsyncContextManager[Database]]

NO_TRANSPORTS: Mapping[Network, httpx.AsyncBaseTransport] = MappingProxyType({})
#: seconds that requests under way have after a stop was asked for
LAST_REQUESTS_SECONDS = 10

log = structlog.get_logger()


class Options(msgspec.Struct, frozen=True):
    """What the command line adds to the configuration for one run."""

    accept_clock: bool = False


class Daemon(msgspec.Struct, frozen=True):
    """A running daemon without its socket: tests call `app` through httpx.ASGITransport."""

    core: Core
    app: ASGIApp
    #: set by a signal or the shutdown route
    stop: asyncio.Event


async def initialise(data: DataDir, config: Config, password: str, *, clock: Clock) -> None:
    """Make database and keystore in a prepared directory; run again after a crash it finishes what is missing.

    `master.json` is written last: its presence is what "initialised" means.
    """
    path = data.within(config.database.path)
    report = await asyncio.to_thread(_migrate, path, data, clock, create=True)
    async with _open_database(path, config) as db:
        installation = await settings.find(db, "installation")
        if installation is None:
            installation = new_id()
            await _seed(db, installation, clock.now(), report)
        await first_mark(db, clock, data.epoch, installation)
    params = KdfParams(
        memory_kib=config.keystore.argon2_memory,
        iterations=config.keystore.argon2_time,
        lanes=config.keystore.argon2_parallelism,
    )
    now = clock.now()
    await asyncio.to_thread(create, data.keystore, password, installation=installation, params=params, now=now)


async def _seed(db: Database, installation: str, now: int, report: Report) -> None:
    """First facts and the first policy, all in one commit."""
    policy = Policy(
        id=new_id(),
        agent_id=None,
        type=PolicyType.SPENDING_LIMIT,
        rules=parse_rules(PolicyType.SPENDING_LIMIT, FIRST_LIMITS, chain=None),
        priority=0,
        enabled=True,
        override=False,
        version=1,
        created_at=now,
        updated_at=now,
    )
    await db.commit(
        settings.put("installation", installation, now),
        settings.put("epoch", 0, now),
        policies.create(policy),
        settings.raise_policy_version(now),
        _migrated(report, now),
        audit.record(AuditEvent.POLICY_CREATED, SYSTEM, now, policyId=policy.id, type=policy.type, rules=FIRST_LIMITS),
    )


@asynccontextmanager
async def open_database(data: DataDir, config: Config, clock: Clock) -> AsyncIterator[Database]:
    """The file of a data directory, migrated first; the audit log tells of that."""
    path = data.within(config.database.path)
    report = await asyncio.to_thread(_migrate, path, data, clock)
    async with _open_database(path, config) as db:
        if report.applied:
            await db.commit(_migrated(report, clock.now()))
        yield db


@asynccontextmanager
async def open_daemon(
    data: DataDir,
    config: Config,
    keystore: Keystore,
    *,
    clock: Clock,
    options: Options,
    transports: Mapping[Network, httpx.AsyncBaseTransport] = NO_TRANSPORTS,
    engine: Engine = open_database,
) -> AsyncIterator[Daemon]:
    """Everything but the socket, started in the order of its needs and stopped the other way round.

    `transports` says what "embedded" stands for on a network; where it says nothing, a chain is started here.
    `engine` opens the database that everything is kept in.
    """
    stop = asyncio.Event()
    async with open_core(data, config, keystore, clock=clock, transports=transports, engine=engine) as core:
        db = core.db
        marker = await open_marker(core, data.epoch, accept_clock=options.accept_clock)
        await open_keys(core)
        failures = Failures(db, clock)
        operator = await OperatorAuth.load(db, clock, keystore, failures)
        tokens = await Tokens.load(db, keystore, clock)
        await close_networks(core)
        await first_prices(core)
        app = create_app(core, operator, SessionAuth(tokens, core.sessions), tokens, failures, shutdown=stop.set)
        async with working(core, minutely=(marker.note, failures.settle)):
            began = {"version": __version__, "port": config.daemon.port, "agents": await agents.count(db)}
            await db.commit(audit.record(AuditEvent.DAEMON_STARTED, SYSTEM, clock.now(), **began))
            await marker.note()
            try:
                yield Daemon(core, app, stop)
            finally:
                core.stopping = True
                core.watch.close()
        await failures.settle()
        await db.commit(
            audit.record(AuditEvent.KEYSTORE_LOCKED, SYSTEM, clock.now()),
            audit.record(AuditEvent.DAEMON_STOPPED, SYSTEM, clock.now()),
        )
        await marker.close()
        keystore.lock()


@asynccontextmanager
async def open_core(
    data: DataDir,
    config: Config,
    keystore: Keystore,
    *,
    clock: Clock,
    transports: Mapping[Network, httpx.AsyncBaseTransport] = NO_TRANSPORTS,
    engine: Engine = open_database,
) -> AsyncIterator[Core]:
    """Database and chains of a directory, as the steps of the pipeline need them; nothing runs by itself."""
    async with (
        engine(data, config, clock) as db,
        _open_chains(data, config, db, clock, transports) as chains,
    ):
        yield Core(db, clock, config, keystore, chains)


def _migrate(path: Path, data: DataDir, clock: Clock, *, create: bool = False) -> Report:
    now = clock.now()
    return migrate(path, load(find_sql()), backups=data.backups, now=now, program=__version__, create=create)


def _migrated(report: Report, now: int) -> Statement:
    versions = {"from": report.from_version, "to": report.to_version}
    return audit.record(AuditEvent.DATABASE_MIGRATED, SYSTEM, now, **versions)


def _open_database(path: Path, config: Config) -> AbstractAsyncContextManager[Database]:
    settings_ = config.database
    return Database.open(
        path,
        readers=settings_.readers,
        busy_timeout_ms=settings_.busy_timeout,
        cache_size_kib=settings_.cache_size,
        mmap_size=settings_.mmap_size,
        functions=audit.FUNCTIONS,
    )


@asynccontextmanager
async def _open_chains(
    data: DataDir,
    config: Config,
    db: Database,
    clock: Clock,
    given: Mapping[Network, httpx.AsyncBaseTransport],
) -> AsyncIterator[Pool]:
    """The configured networks; "embedded" ones are reached like any node, once they are started."""
    endpoints = {network: config.endpoints(network) for network in Network}
    identity = await settings.find(db, f"genesis:{Network.LOCALNET}")
    outside = EMBEDDED not in endpoints[Network.LOCALNET]
    limits = Limits(
        request_timeout_seconds=config.rpc.request_timeout_seconds,
        max_response_bytes=config.rpc.max_response_bytes,
        breaker_failures=config.rpc.breaker_failures,
        breaker_cooldown_seconds=config.rpc.breaker_cooldown_seconds,
    )
    async with AsyncExitStack() as stack:
        transports = dict(given)
        if not outside and Network.LOCALNET not in transports:
            from waiaas.localnet import open_solana

            facade = await stack.enter_async_context(open_solana(data.localnet, clock))
            transports[Network.LOCALNET] = httpx.ASGITransport(app=facade)
        if EMBEDDED in endpoints[Network.ETHEREUM_LOCALNET] and Network.ETHEREUM_LOCALNET not in transports:
            from waiaas.localnet import open_evm
            from waiaas.localnet.ondemand import OnDemand, has_evm

            transports[Network.ETHEREUM_LOCALNET] = OnDemand(lambda: open_evm(data.localnet, clock))
            if not has_evm():
                log.info("no_embedded_evm", hint=ExtraMissing.hint)
                del endpoints[Network.ETHEREUM_LOCALNET]
        yield await stack.enter_async_context(
            Pool(
                endpoints,
                clock=clock,
                limits=limits,
                solana_max_priority_fee_lamports=config.rpc.solana_max_priority_fee_lamports,
                evm_max_fee_gwei=config.rpc.evm_max_fee_gwei,
                transports=transports,
                # the chain inside this process is what it is; a node outside must stay the one that was met first
                identities={Network.LOCALNET: identity} if identity and outside else {},
            )
        )


async def run(
    data: DataDir, config: Config, password: str, options: Options, *, ready: Callable[[], None], clock: Clock
) -> int:
    """Serve until SIGTERM, SIGINT or the shutdown route; 0, or 1 if stopping took too long.

    The caller holds the data directory's lock. WrongPassword, KeystoreCorrupted, MigrationError, PortTaken and other
    WaiaasErrors tell why it could not start.
    """
    keystore = await asyncio.to_thread(Keystore.unlock, data.keystore, password)
    listener = listen(config.daemon.hostname, config.daemon.port)
    try:
        async with open_daemon(data, config, keystore, clock=clock, options=options) as daemon:
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, _asked_to_stop, daemon, number)
            ready()
            await _serve(daemon, listener)
    except BaseExceptionGroup as group:
        # a worker ended the daemon: its own error tells why, and with which exit code
        raise group.exceptions[0] from group
    finally:
        listener.close()
        keystore.lock()
    return 0


def listen(hostname: str, port: int) -> socket.socket:
    """A listening socket; PortTaken if another program has the port."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((hostname, port))
        listener.listen(1024)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise PortTaken(f"{hostname}:{port} cannot be used: {error.strerror}.") from error
    return listener


def server_settings(listener: socket.socket) -> hypercorn.config.Config:
    """How hypercorn serves on a listening socket."""
    server = hypercorn.config.Config()
    # hypercorn closes the descriptor that it is given
    server.bind = [f"fd://{listener.detach()}"]
    server.include_server_header = False
    server.graceful_timeout = LAST_REQUESTS_SECONDS
    server.accesslog = None
    server.errorlog = logging.getLogger("hypercorn.error")
    return server


async def _serve(daemon: Daemon, listener: socket.socket) -> None:
    server = server_settings(listener)
    app = cast(ASGIFramework, daemon.app)
    await hypercorn.asyncio.serve(app, server, shutdown_trigger=lambda: _stopping(daemon))


async def _stopping(daemon: Daemon) -> None:
    await daemon.stop.wait()
    limit = daemon.core.config.daemon.shutdown_timeout
    asyncio.get_running_loop().call_later(limit, _give_up, daemon.core.keystore)
    daemon.core.stopping = True
    daemon.core.watch.close()


def _asked_to_stop(daemon: Daemon, number: signal.Signals) -> None:
    log.info("stop_asked", signal=number.name, again=daemon.stop.is_set())
    daemon.stop.set()


def _give_up(keystore: Keystore) -> None:
    """Stopping took too long: nothing is lost, the rows are the queue."""
    keystore.lock()
    log.critical("stop_took_too_long")
    os._exit(1)
