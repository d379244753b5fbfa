"""One endpoint of a network: JSON-RPC exchanges over HTTP, and what is known of its health.

Whatever a hostile or broken node does (silence, a slow drip, a bomb, a redirect, nonsense) ends as
Transient within the deadline, and as one counted failure.
"""

import asyncio
import zlib
from collections.abc import Sequence
from contextlib import aclosing
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import httpx
import msgspec
import structlog

from waiaas.chains.call import BATCH_CALLS, MANY, ONE, Call, Fault, Reply
from waiaas.clock import Clock
from waiaas.errors import Transient

log = structlog.get_logger(__name__)
T = TypeVar("T")

#: zlib also reads gzip; 32 + MAX_WBITS recognises both
INFLATABLE = ("gzip", "x-gzip", "deflate")
HEADERS = {"Content-Type": "application/json", "Accept": "application/json", "Accept-Encoding": "gzip"}
#: what an endpoint answers that is behind, rate limited or starved: agave's NodeUnhealthy, and what providers use
UNABLE = frozenset({-32005, 429, -32429})
#: words for a batch of too many calls: geth, erigon, nethermind and what providers put in front of them
ABOUT_SIZE = ("too large", "limit", "exceed", "maximum", "more than", "size", "too many")
#: geth's word in the place of each answer that would have made the reply too large
RESPONSE_TOO_LARGE = "response too large"
PAUSE_SECONDS = 5.0
LONGEST_PAUSE_SECONDS = 600.0
COOLDOWN_FACTORS = (1, 2, 4, 8, 10)
#: a wrong identity is looked for this often
IDENTITY_SECONDS = 600.0


class TooLarge(Exception):
    """An answer above the cap, ours or the node's own: fewer calls may have smaller ones."""


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
        #: calls that it takes in one exchange; halved when it says that they are too many
        self.most_calls = BATCH_CALLS
        self.checking = asyncio.Lock()
        self.verified_at: float | None = None
        #: too far behind the best endpoint to be asked; it may still be sent to
        self.lagging = False
        self.requests = 0
        self.failures = 0
        self.latency_seconds = 0.0
        self._url = url
        self._client = client
        self._like: httpx.Request | None = None
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

    @property
    def batches(self) -> bool:
        """It takes more than one call at once."""
        return self.most_calls > 1

    async def exchange(self, calls: Sequence[Call[Any]]) -> dict[int, Reply]:
        """Replies by id, in as few HTTP exchanges as the endpoint allows; Transient if all of them failed."""
        groups = [calls[start : start + self.most_calls] for start in range(0, len(calls), self.most_calls)]
        if len(groups) == 1:
            return await self._group(calls)
        answers = await asyncio.gather(*map(self._group, groups), return_exceptions=True)
        found = {key: reply for answer in answers if isinstance(answer, dict) for key, reply in answer.items()}
        if not found:
            raise next(answer for answer in answers if isinstance(answer, BaseException))
        return found

    async def _group(self, calls: Sequence[Call[Any]]) -> dict[int, Reply]:
        """Replies of one exchange, or of smaller ones if it was too much for the endpoint, or its answer for us."""
        if len(calls) == 1:
            return {calls[0].id: await self._single(calls[0])}
        try:
            replies = await self._batch(calls)
        except TooLarge:
            return await self._halves(calls)
        return await self.exchange(calls) if replies is None else replies

    async def _halves(self, calls: Sequence[Call[Any]]) -> dict[int, Reply]:
        """One after the other, until the breaker opens: a single call whose answer is too large is a failure."""
        found: dict[int, Reply] = {}
        problem = Transient()
        for half in (calls[: len(calls) // 2], calls[len(calls) // 2 :]):
            try:
                found |= await self._group(half)
            except Transient as error:
                problem = error
                if not self.usable:
                    break
        if not found:
            raise problem
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
        try:
            status, body = await self._post(call.body, timeout)
        except TooLarge as error:
            raise self.failed(f"more than {self._limits.max_response_bytes} bytes") from error
        reply = self._decode(ONE, status, body)
        if reply.id != call.id:
            raise self.failed("the reply has another id")
        return reply

    async def _batch(self, calls: Sequence[Call[Any]]) -> dict[int, Reply] | None:
        """None: it takes fewer at once (`most_calls`), now and later. TooLarge: its answer is too much."""
        body = b"[" + b",".join(call.body for call in calls) + b"]"
        status, text = await self._post(body, self._limits.request_timeout_seconds * 2)
        if status >= 400 or text.lstrip()[:1] == b"{":
            self._fewer(len(calls), status, text)
            return None
        replies = self._decode(MANY, status, text)
        if len(replies) == 1 and replies[0].error and is_about_size(replies[0].error):
            # geth answers a batch that is too large with one member
            self._halve(len(calls))
            return None
        if any(reply.error and RESPONSE_TOO_LARGE in reply.error.message.lower() for reply in replies):
            raise TooLarge
        found = {reply.id: reply for reply in replies if reply.id is not None}
        if len(found) != len(replies) or not found.keys() <= {call.id for call in calls}:
            raise self.failed("the replies have other ids")
        return found

    def _fewer(self, count: int, status: int, text: bytes) -> None:
        """Whoever refuses a whole batch takes a smaller one, or none at all."""
        try:
            fault = ONE.decode(text).error
        except (ValueError, RecursionError):
            fault = None
        if status == 413 or (fault and is_about_size(fault)):
            self._halve(count)
        elif fault and fault.code in UNABLE:
            raise self.failed(f"answers {fault.code}", PAUSE_SECONDS)
        else:
            self.most_calls = 1
            log.info("endpoint takes no batches", endpoint=self.name)

    def _halve(self, count: int) -> None:
        self.most_calls = min(self.most_calls, max(count // 2, 1))
        log.info("endpoint takes smaller batches", endpoint=self.name, calls=self.most_calls)

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
                aclosing(await self._client.send(self._request(body), stream=True)) as response,
            ):
                self._check_status(response)
                text = await self._read(response)
        except TimeoutError as error:
            raise self.failed(f"no answer within {timeout:g} s") from error
        except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, OSError, zlib.error) as error:
            raise self.failed(type(error).__name__) from error
        self.latency_seconds = self._clock.monotonic() - started
        return response.status_code, text

    def _request(self, body: bytes) -> httpx.Request:
        """Like the first but for its body: address and headers are read and merged once, not for every call."""
        if self._like is None:
            self._like = self._client.build_request("POST", self._url, headers=HEADERS)
            del self._like.headers["content-length"]
        like = self._like
        return httpx.Request(like.method, like.url, headers=like.headers, content=body, extensions=like.extensions)

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
                raise TooLarge
        return bytes(body)


def is_about_size(fault: Fault) -> bool:
    """A refusal of so many calls at once, not of batches as such."""
    said = fault.message.lower()
    return "batch" in said and any(words in said for words in ABOUT_SIZE)
