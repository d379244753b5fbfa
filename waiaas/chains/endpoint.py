"""One endpoint of a network: JSON-RPC exchanges over HTTP, and what is known of its health.

Whatever a hostile or broken node does (silence, a slow drip, a bomb, a redirect, nonsense) ends as
Transient within the deadline, and as one counted failure.
"""

import asyncio
import zlib
from collections.abc import Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import httpx
import msgspec
import structlog

from waiaas.chains.call import MANY, ONE, Call, Reply
from waiaas.clock import Clock
from waiaas.errors import Transient

log = structlog.get_logger(__name__)
T = TypeVar("T")

#: zlib also reads gzip; 32 + MAX_WBITS recognises both
INFLATABLE = ("gzip", "x-gzip", "deflate")
HEADERS = {"Content-Type": "application/json", "Accept": "application/json", "Accept-Encoding": "gzip"}
#: what an endpoint answers that is behind, rate limited or starved: agave's NodeUnhealthy, and what providers use
UNABLE = frozenset({-32005, 429, -32429})
PAUSE_SECONDS = 5.0
LONGEST_PAUSE_SECONDS = 600.0
COOLDOWN_FACTORS = (1, 2, 4, 8, 10)
#: a wrong identity is looked for this often
IDENTITY_SECONDS = 600.0


class Limits(msgspec.Struct, frozen=True):
    """How long, how much and how often in a row an endpoint may fail us."""

    request_timeout_seconds: float = 10
    max_response_bytes: int = 16_777_216
    breaker_failures: int = 5
    breaker_cooldown_seconds: float = 30


class Endpoint:
    """One URL; `name` is safe to show (host and port, never path, query or password)."""

    def __init__(self, name: str, url: str, client: httpx.AsyncClient, limits: Limits, clock: Clock) -> None:
        self.name = name
        self.quarantined: str | None = None
        self.batches = True
        self.checking = asyncio.Lock()
        self.verified_at: float | None = None
        #: too far behind the best endpoint to be asked; it may still be sent to
        self.lagging = False
        self.requests = 0
        self.failures = 0
        self.latency_seconds = 0.0
        self._url = url
        self._client = client
        self._limits = limits
        self._clock = clock
        self._failures_in_a_row = 0
        self._openings = 0
        self._rests_until = 0.0

    @property
    def usable(self) -> bool:
        """Neither quarantined, nor paused by a 429, nor behind an open breaker."""
        return self.quarantined is None and self._clock.monotonic() >= self._rests_until

    @property
    def unverified(self) -> bool:
        """Who answers there has not been checked since the last failure, or for ten minutes."""
        return self.verified_at is None or self._clock.monotonic() - self.verified_at >= IDENTITY_SECONDS

    def succeeded(self) -> None:
        """It answered as a node should."""
        self._failures_in_a_row = self._openings = 0

    def failed(self, reason: str, pause_seconds: float = 0.0) -> Transient:
        """Count a failure, rest if there were too many in a row; the error to raise."""
        now = self._clock.monotonic()
        self.failures += 1
        self._failures_in_a_row += 1
        self.verified_at = None
        rested = now >= self._rests_until
        if rested and self._failures_in_a_row >= self._limits.breaker_failures:
            pause_seconds = max(pause_seconds, self._cooldown())
        self._rests_until = max(self._rests_until, now + pause_seconds)
        log.warning("endpoint failed", endpoint=self.name, reason=reason, rests_seconds=pause_seconds)
        return Transient(f"{self.name}: {reason}")

    def quarantine(self, reason: str) -> None:
        """Never use it again in this process."""
        if self.quarantined is None:
            self.quarantined = reason
            log.error("endpoint quarantined", endpoint=self.name, reason=reason)

    async def exchange(self, calls: Sequence[Call[Any]]) -> dict[int, Reply]:
        """Replies by id, in one HTTP exchange where the endpoint takes batches; Transient if all of it failed."""
        if len(calls) > 1 and self.batches:
            replies = await self._batch(calls)
            if replies is not None:
                return replies
        if len(calls) == 1:
            return {calls[0].id: await self._single(calls[0])}
        answers = await asyncio.gather(*map(self._single, calls), return_exceptions=True)
        found = {call.id: answer for call, answer in zip(calls, answers, strict=True) if isinstance(answer, Reply)}
        if not found:
            raise next(answer for answer in answers if isinstance(answer, BaseException))
        return found

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    def _cooldown(self) -> float:
        """Doubles with each opening, up to ten times."""
        factor = COOLDOWN_FACTORS[self._openings]
        self._openings = min(self._openings + 1, len(COOLDOWN_FACTORS) - 1)
        return self._limits.breaker_cooldown_seconds * factor

    async def _single(self, call: Call[Any]) -> Reply:
        timeout = self._limits.request_timeout_seconds * (2 if call.slow else 1)
        status, body = await self._post(call.body, timeout)
        reply = self._decode(ONE, status, body)
        if reply.id != call.id:
            raise self.failed("the reply has another id")
        return reply

    async def _batch(self, calls: Sequence[Call[Any]]) -> dict[int, Reply] | None:
        """None: it does not take batches, now and later."""
        body = b"[" + b",".join(call.body for call in calls) + b"]"
        status, text = await self._post(body, self._limits.request_timeout_seconds * 2)
        if status >= 400 or text.lstrip()[:1] == b"{":
            self._no_batches(text)
            return None
        replies = self._decode(MANY, status, text)
        found = {reply.id: reply for reply in replies if reply.id is not None}
        if len(found) != len(replies) or not found.keys() <= {call.id for call in calls}:
            raise self.failed("the replies have other ids")
        return found

    def _no_batches(self, text: bytes) -> None:
        try:
            fault = ONE.decode(text).error
        except (ValueError, RecursionError):
            fault = None
        if fault and fault.code in UNABLE:
            raise self.failed(f"answers {fault.code}", PAUSE_SECONDS)
        self.batches = False
        log.info("endpoint takes no batches", endpoint=self.name)

    def _decode(self, decoder: "msgspec.json.Decoder[T]", status: int, body: bytes) -> T:
        try:
            return decoder.decode(body)
        except (ValueError, RecursionError) as error:
            reason = f"HTTP {status}" if status >= 400 else "unreadable reply"
            raise self.failed(reason) from error

    async def _post(self, body: bytes, timeout: float) -> tuple[int, bytes]:
        """Status below 500 and body of one exchange; the deadline covers all of it, a slow drip included."""
        self.requests += 1
        started = self._clock.monotonic()
        try:
            async with (
                asyncio.timeout(timeout),
                self._client.stream("POST", self._url, content=body, headers=HEADERS) as response,
            ):
                self._check_status(response)
                text = await self._read(response)
        except TimeoutError as error:
            raise self.failed(f"no answer within {timeout:g} s") from error
        except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, OSError, zlib.error) as error:
            raise self.failed(type(error).__name__) from error
        self.latency_seconds = self._clock.monotonic() - started
        return response.status_code, text

    def _check_status(self, response: httpx.Response) -> None:
        status = response.status_code
        if status == 429 or (status == 503 and "retry-after" in response.headers):
            raise self.failed(f"HTTP {status}", self._pause(response))
        if 300 <= status < 400 or status >= 500:
            raise self.failed(f"HTTP {status}")

    def _pause(self, response: httpx.Response) -> float:
        """Seconds of Retry-After (RFC 9110, 10.2.3: a number or a date), within reason."""
        text: str = response.headers.get("retry-after", "")
        if text.isascii() and text.isdigit():
            return min(int(text), LONGEST_PAUSE_SECONDS)
        try:
            until = parsedate_to_datetime(text).replace(tzinfo=UTC).timestamp()
        except (ValueError, OverflowError):
            return PAUSE_SECONDS
        return min(max(until - self._clock.wall(), 0.0), LONGEST_PAUSE_SECONDS)

    async def _read(self, response: httpx.Response) -> bytes:
        """The body, inflated here so that a bomb stops at the cap and not behind it."""
        encoding = response.headers.get("content-encoding", "identity").lower()
        if encoding not in ("identity", *INFLATABLE):
            raise self.failed("unknown content encoding")
        cap = self._limits.max_response_bytes
        inflate = zlib.decompressobj(32 + zlib.MAX_WBITS) if encoding in INFLATABLE else None
        body = bytearray()
        async for chunk in response.aiter_raw() if inflate else response.aiter_bytes():
            body += inflate.decompress(chunk, cap - len(body) + 1) if inflate else chunk
            if len(body) > cap:
                raise self.failed(f"more than {cap} bytes")
        return bytes(body)
