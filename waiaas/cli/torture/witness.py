"""What must never be seen while the daemon runs: answers it may not give, calls it may not make."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog

from waiaas.cli.torture.daemon import Said
from waiaas.cli.torture.facts import Intent
from waiaas.cli.torture.hosts import Kind
from waiaas.clock import Clock

#: refusals that a limit gives
LIMITED = {"SPENDING_LIMIT_EXCEEDED", "BATCH_POLICY_VIOLATION"}
#: refusals that a run may end in; anything else is a finding
EXPECTED = {
    *LIMITED,
    "PENDING_LIMIT_EXCEEDED",
    "TX_ALREADY_PROCESSED",
    "CHAIN_ERROR",
    "SESSION_REVOKED",
    "SESSION_NOT_FOUND",
    "SESSION_LIMIT_EXCEEDED",
    "TOKEN_EXPIRED",
    "RENEWAL_TOO_EARLY",
    "SESSION_RENEWAL_MISMATCH",
    "RENEWAL_LIMIT_REACHED",
    "KILL_SWITCH_ACTIVE",
    "AGENT_SUSPENDED",
    "APPROVAL_TIMEOUT",
    "RECONCILING",
    "STORAGE_UNAVAILABLE",
    "SHUTTING_DOWN",
}
#: of one kind, told
MOST_TOLD = 5

log = structlog.get_logger(__name__)


class Witness:
    """Sees every call to the nodes and every answer to the clients."""

    def __init__(self, kinds: list[Kind], clock: Clock) -> None:
        self._kinds, self._clock = kinds, clock
        self._silent_since: float | None = None
        self.findings: list[str] = []
        #: intents that a client has asked for and heard nothing of
        self.open: dict[str, Intent] = {}
        #: hashes of all bytes that ever reached an endpoint
        self.sent: set[str] = set()
        #: network → signed bytes that the present life of the daemon has not asked the chain about yet
        self._unlooked: dict[str, set[str]] = {}
        self._known: set[str] = set()
        #: how often the daemon has died, and intent → how often it had when it was asked for
        self._lives = 0
        self._asked_in: dict[str, int] = {}

    def new_life(self, live: dict[str, set[str]]) -> None:
        """The daemon died, with these attempts that may land, by network."""
        self._lives += 1
        self._unlooked = {network: set(hashes) for network, hashes in live.items()}
        self._known = set().union(*live.values())

    def expect_silence(self, since: float | None) -> None:
        """From some moment of the clock on no signed bytes may be sent; None: they may again."""
        self._silent_since = since

    def look(self, network: str, call: dict[str, Any]) -> None:
        """A call arrives at an endpoint of a network: note what it sends and what it asks about."""
        known = next(kind.known for kind in self._kinds if kind.network == network)
        unlooked = self._unlooked.get(network, set())
        unlooked.difference_update(known.asked(call))
        if (signature := known.sent(call)) is not None:
            if unlooked and signature not in self._known and signature not in self.sent:
                self.find(f"recovery: {signature} was signed before {len(unlooked)} live attempts were looked at")
            if self._silent_since is not None and self._clock.monotonic() > self._silent_since:
                self.find(f"switch: {signature} was sent while the kill switch was on")
            self.sent.add(signature)

    @contextmanager
    def asking(self, intent: Intent) -> Iterator[None]:
        """While the client waits for its answer."""
        self.open[intent.id] = intent
        self._asked_in[intent.id] = self._lives
        try:
            yield
        finally:
            # the same intent may be asked for twice at once
            self.open.pop(intent.id, None)

    def accepted(self, intent: Intent, status: int) -> None:
        """A client was told yes: by the present daemon, unless it reads now what the last one wrote before it died."""
        if self._asked_in.get(intent.id) != self._lives:
            return
        unlooked = self._unlooked.get(intent.effects[0].network)
        if status == 201 and unlooked:
            self.find(f"recovery: intent {intent.id} was accepted before {len(unlooked)} live attempts were looked at")

    def note_refusal(self, said: Said) -> None:
        """A client was told no."""
        if said.code not in EXPECTED:
            self.find(f"answer: {said.status} {said.code}: {said.body}")

    def find(self, text: str) -> None:
        """Something that must not be."""
        log.error("finding", text=text)
        if sum(found.split(":")[0] == text.split(":")[0] for found in self.findings) < MOST_TOLD:
            self.findings.append(text)
