"""JSON-RPC to one network over its endpoints: coalescing, failover, identity, and proof by all of them.

Calls made in one turn of the event loop leave as one JSON-RPC batch. A read is tried once on each
healthy endpoint in order, three at most; nothing sleeps here, because retries in time belong to the
worker that called. Signed bytes go to the preferred endpoint, and to every other one at once when its
answer is unclear.
"""

import asyncio
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any, TypeVar

import msgspec
import structlog

from waiaas.chains.call import Call, Reply, chunks
from waiaas.chains.endpoint import PAUSE_SECONDS, UNABLE, Endpoint
from waiaas.clock import Clock
from waiaas.domain.chain import Network
from waiaas.errors import Lie, NodeRefused, NoEndpoint, Transient

log = structlog.get_logger(__name__)
T = TypeVar("T")

READ_TRIES = 3
#: refusals that say "not here", not "no": another endpoint may know (no method, no history, slot not reached)
ELSEWHERE = frozenset({-32601, -32603, -32004, -32011, -32014, -32016})

HEAD = msgspec.json.Decoder(int | str)
IDENTITY = msgspec.json.Decoder(str)


class Dialect(msgspec.Struct, frozen=True):
    """How the nodes of a chain tell who they are and how far they have come; `max_lag` in its blocks."""

    identity_method: str
    head_method: str
    max_lag: int


class Quarantined(msgspec.Struct, frozen=True):
    """An endpoint that is not used again, and why; for audit and event RPC_QUARANTINED."""

    network: Network
    endpoint: str
    reason: str


class Lane(Enum):
    """Calls that may share a batch."""

    READ = "read"
    SEND = "send"
    SEND_EVERYWHERE = "send everywhere"


class Witness:
    """One endpoint asked by itself, for evidence that must come from every one of them."""

    def __init__(self, rpc: "Rpc", endpoint: Endpoint) -> None:
        self.name = endpoint.name
        self._rpc = rpc
        self._endpoint = endpoint

    async def call(self, method: str, params: Sequence[Any], decode: Callable[[bytes], T]) -> T:
        """This endpoint's answer; Transient or NodeRefused if it has none."""
        return await self._rpc.call_at(self._endpoint, method, params, decode)

    async def calls(
        self, method: str, many: Sequence[Sequence[Any]], decode: Callable[[bytes], T]
    ) -> list[T | NodeRefused | Transient]:
        """This endpoint's answer to each, asked together; the error where it has none."""
        return await self._rpc.calls_at(self._endpoint, method, many, decode)


class Rpc:
    """The endpoints of one network in order of preference.

    `identity` is the genesis hash or chain id they must have; None takes the word for it that all of them give.
    """

    def __init__(
        self,
        network: Network,
        endpoints: Sequence[Endpoint],
        dialect: Dialect,
        clock: Clock,
        identity: str | None = None,
    ) -> None:
        self.network = network
        self.endpoints = tuple(endpoints)
        self.identity = identity
        #: what each endpoint says, where nobody knows yet which chain this is and they differ
        self.divided: str | None = None
        #: witnesses that a proof needs at least
        self.quorum = min(2, len(self.endpoints))
        self.used = False
        self._dialect = dialect
        self._clock = clock
        self._current: Endpoint | None = None
        self._next_id = 0
        self._queues: dict[Lane, list[Call[Any]]] = {lane: [] for lane in Lane}
        self._running: set[asyncio.Task[None]] = set()

    def call(
        self, method: str, params: Sequence[Any], decode: Callable[[bytes], T], *, slow: bool = False
    ) -> "asyncio.Future[T]":
        """Ask; `decode` reads the result's JSON and raises ValueError if it is not what it should be, Lie if false.

        The future fails with Transient or NodeRefused. `slow` doubles the deadline (simulations).
        """
        call = Call(self._id(), method, params, decode, slow=slow)
        self._enqueue(Lane.READ, call)
        return call.future

    async def send(
        self,
        method: str,
        params: Sequence[Any],
        decode: Callable[[bytes], Any],
        *,
        accepted: Callable[[NodeRefused], bool],
        everywhere: bool = False,
    ) -> str:
        """Hand signed bytes over; the name of the first endpoint that took them."""
        call = Call(self._id(), method, params, decode, accepted=accepted)
        self._enqueue(Lane.SEND_EVERYWHERE if everywhere else Lane.SEND, call)
        await call.future
        return call.endpoint

    async def witnesses(self, *, behind: bool = False) -> list[Witness]:
        """Every endpoint that is healthy and who it should be, at this moment.

        `behind`: those too that seem far behind, for who tells of blocks that are not there makes all others seem so.
        """
        endpoints = [one for one in self.endpoints if one.usable] if behind else self._healthy()
        checks = await asyncio.gather(*map(self._verify, endpoints), return_exceptions=True)
        for check in checks:
            if check is not None and not isinstance(check, Transient):
                raise check
        return [Witness(self, endpoint) for endpoint, check in zip(endpoints, checks, strict=True) if check is None]

    async def call_at(self, endpoint: Endpoint, method: str, params: Sequence[Any], decode: Callable[[bytes], T]) -> T:
        """One endpoint's own answer, no other is asked."""
        call = Call(self._id(), method, params, decode, slow=True)
        for unanswered in await self._ask(endpoint, [call]):
            unanswered.fail(call.doubt)
        return await call.future

    async def calls_at(
        self, endpoint: Endpoint, method: str, many: Sequence[Sequence[Any]], decode: Callable[[bytes], T]
    ) -> list[T | NodeRefused | Transient]:
        """One endpoint's own answer to each, in as few batches as fit."""
        calls: list[Call[T]] = [Call(self._id(), method, params, decode, slow=True) for params in many]
        for group in chunks(calls):
            for unanswered in await self._ask(endpoint, group):
                unanswered.fail(unanswered.doubt)
        outcomes: list[T | NodeRefused | Transient] = []
        for call in calls:
            try:
                outcomes.append(await call.future)
            except (NodeRefused, Transient) as error:
                outcomes.append(error)
        return outcomes

    async def watch(self) -> None:
        """Measure head and latency of every endpoint that may be asked; check who it is when that is due."""
        usable = [endpoint for endpoint in self.endpoints if endpoint.usable]
        heads = await asyncio.gather(*map(self._watch, usable))
        best = max((head for head in heads if head is not None), default=0)
        for endpoint, head in zip(usable, heads, strict=True):
            if head is not None:
                endpoint.lagging = best - head > self._dialect.max_lag

    @property
    def healthy(self) -> bool:
        """There is an endpoint to ask."""
        return bool(self._healthy())

    def quarantined(self) -> list[Quarantined]:
        """What is in quarantine."""
        return [
            Quarantined(self.network, endpoint.name, endpoint.quarantined)
            for endpoint in self.endpoints
            if endpoint.quarantined
        ]

    async def close(self) -> None:
        """Stop asking; callers still waiting get Transient."""
        for queue in self._queues.values():
            self._give_up(queue)
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        for endpoint in self.endpoints:
            await endpoint.close()

    def _id(self) -> int:
        self._next_id += 1
        return self._next_id

    def _healthy(self) -> list[Endpoint]:
        return [endpoint for endpoint in self.endpoints if endpoint.usable and not endpoint.lagging]

    def _enqueue(self, lane: Lane, call: Call[Any]) -> None:
        if not any(self._queues.values()):
            loop = asyncio.get_running_loop()
            # one turn later, so that calls of tasks which this turn starts (gather) come along
            loop.call_soon(loop.call_soon, self._flush)
        self._queues[lane].append(call)

    def _flush(self) -> None:
        queues, self._queues = self._queues, {lane: [] for lane in Lane}
        for lane, calls in queues.items():
            for chunk in chunks([call for call in calls if not call.future.done()]):
                task = asyncio.get_running_loop().create_task(self._run(lane, chunk))
                self._running.add(task)
                task.add_done_callback(self._running.discard)

    async def _run(self, lane: Lane, calls: list[Call[Any]]) -> None:
        """Whatever happens, every call gets an answer or an error."""
        try:
            if lane is Lane.READ:
                await self._read(calls)
            else:
                await self._deliver(calls, everywhere=lane is Lane.SEND_EVERYWHERE)
        except Exception as error:
            log.exception("rpc failed", network=self.network)
            for call in calls:
                call.doubt = error
        finally:
            self._give_up(calls)

    async def _read(self, calls: list[Call[Any]]) -> None:
        for endpoint in self._healthy()[:READ_TRIES]:
            calls = await self._ask(endpoint, calls, switch=True)
            if not calls:
                return

    async def _deliver(self, calls: list[Call[Any]], everywhere: bool) -> None:
        """Lagging endpoints may be sent to, after the others."""
        endpoints = sorted((one for one in self.endpoints if one.usable), key=lambda one: one.lagging)
        if endpoints and not everywhere:
            calls = await self._ask(endpoints.pop(0), calls)
        if calls:
            await asyncio.gather(*(self._ask(one, calls, alone=False) for one in endpoints))

    def _give_up(self, calls: Sequence[Call[Any]]) -> None:
        for call in calls:
            down = isinstance(call.doubt, Transient) and not self.healthy
            call.fail(NoEndpoint(f"No endpoint of {self.network} is healthy.") if down else call.doubt)

    async def _ask(
        self, endpoint: Endpoint, calls: list[Call[Any]], *, switch: bool = False, alone: bool = True
    ) -> list[Call[Any]]:
        """Settle what this endpoint answers; the calls that another endpoint must be asked for.

        `alone`: a refusal is final. Where several are sent the same bytes, one acceptance outweighs it.
        """
        self.used = True
        try:
            await self._verify(endpoint, switch=switch)
            replies = await endpoint.exchange(calls)
        except Transient as error:
            for call in calls:
                call.unclear(error)
            return calls
        return self._settle(endpoint, calls, replies, alone=alone)

    def _settle(
        self, endpoint: Endpoint, calls: list[Call[Any]], replies: dict[int, Reply], *, alone: bool
    ) -> list[Call[Any]]:
        left: list[Call[Any]] = []
        problem: Transient | None = None
        for call in calls:
            try:
                call.answer(self._answer(call, replies.get(call.id)), endpoint.name)
            except NodeRefused as error:
                # whoever has lied is not asked any more, whoever rests may still take it
                call.refused(error, of=sum(one.quarantined is None for one in self.endpoints))
                if alone and error.number not in ELSEWHERE:
                    call.fail(error)
                else:
                    left.append(call)
            except Lie as error:
                endpoint.quarantine(error.message)
                left.append(call)
            except Transient as error:
                problem = error
                call.unclear(error)
                left.append(call)
        if problem is None:
            endpoint.succeeded()
        else:
            endpoint.failed(problem.message, problem.details.get("pause_seconds", 0.0))
        return left

    def _answer(self, call: Call[T], reply: Reply | None) -> T | None:
        """The value; None for a refusal as good as one."""
        if reply is None:
            raise Transient(f"no answer to {call.method}")
        if reply.error is not None:
            error = NodeRefused(reply.error.code, reply.error.message, reply.error.data)
            if call.accepted and call.accepted(error):
                return None
            if error.number in UNABLE:
                raise Transient(f"answers {call.method} with {error}", pause_seconds=PAUSE_SECONDS)
            raise error
        try:
            return call.decode(reply.result)
        except (ValueError, RecursionError) as error:
            raise Transient(f"unreadable answer to {call.method}") from error

    async def _verify(self, endpoint: Endpoint, *, switch: bool = False) -> None:
        """Make sure who answers there: before the first use, after a failure, at a switch, and every ten minutes."""
        if not self._must_check(endpoint, switch):
            return
        async with endpoint.checking:
            if not endpoint.usable:
                raise Transient(f"{endpoint.name}: {endpoint.quarantined or 'resting'}")
            if self._must_check(endpoint, switch):
                await self._identify(endpoint)
                await self._head(endpoint)
            if switch:
                self._current = endpoint

    def _must_check(self, endpoint: Endpoint, switch: bool) -> bool:
        return endpoint.unverified or (switch and endpoint is not self._current)

    async def _watch(self, endpoint: Endpoint) -> int | None:
        try:
            async with endpoint.checking:
                if endpoint.unverified:
                    await self._identify(endpoint)
                return await self._head(endpoint)
        except Transient as error:
            log.info("endpoint not reached", network=self.network, endpoint=endpoint.name, reason=error.message)
            return None

    async def _identify(self, endpoint: Endpoint) -> None:
        if self.identity is None:
            identity = self.identity = await self._learn()
        else:
            identity = await self._who(endpoint)
        if identity != self.identity:
            endpoint.quarantine(f"belongs to another chain ({identity[:64]})")
            raise Transient(f"{endpoint.name}: {endpoint.quarantined}")
        endpoint.verified_at = self._clock.monotonic()

    async def _learn(self) -> str:
        """Which chain this is when nobody knows yet: what every endpoint says; Transient if one is silent or differs.

        It is kept for good, so that one liar at the first meeting would shut out all who tell the truth.
        """
        told = await asyncio.gather(*map(self._who, self.endpoints))
        if len(set(told)) > 1:
            each = (f"{one.name} says {who[:64]}" for one, who in zip(self.endpoints, told, strict=True))
            self.divided = f"endpoints belong to different chains: {', '.join(each)}"
            log.error("endpoints divided", network=self.network, reason=self.divided)
            raise Transient(f"The {self.divided}.")
        self.divided = None
        return told[0]

    async def _who(self, endpoint: Endpoint) -> str:
        return await self._probe(endpoint, self._dialect.identity_method, IDENTITY.decode)

    async def _head(self, endpoint: Endpoint) -> int:
        return await self._probe(endpoint, self._dialect.head_method, height)

    async def _probe(self, endpoint: Endpoint, method: str, decode: Callable[[bytes], T]) -> T:
        reply = (await endpoint.exchange([call := Call(self._id(), method, (), decode)]))[call.id]
        if reply.error is None:
            try:
                return decode(reply.result)
            except (ValueError, RecursionError):
                pass
        raise endpoint.failed(f"no usable answer to {method}")


def height(answer: bytes) -> int:
    """A slot or block number, as a number (Solana) or in hex (EVM)."""
    value = HEAD.decode(answer)
    return value if isinstance(value, int) else int(value, 16)
