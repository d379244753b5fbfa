"""The operator of a tortured daemon: agents, their sessions, and limits that are raised when they are used up."""

from typing import Any

import msgspec

from waiaas.cli.torture.chance import Chance
from waiaas.cli.torture.daemon import Caller, Said
from waiaas.cli.torture.facts import Effect
from waiaas.cli.torture.hosts import Kind
from waiaas.cli.torture.limits import PER_TRANSACTION, WINDOW
from waiaas.clock import Clock
from waiaas.errors import StartError

#: in the unit of the network: while no more than the first is under way a send goes at once, then it waits a moment
BOUNDS = {"instant_max": 20_000_000, "notify_max": 20_000_000, "delay_max": 10**9, PER_TRANSACTION: 100_000_000}
DELAY_SECONDS = 1
#: by how much a limit is raised, in that unit: it is always near
SLICE = 80_000_000


class Agent(msgspec.Struct, frozen=True):
    """An agent of the daemon, its limit and the network that it lives on."""

    id: str
    address: str
    kind: Kind
    policy: str


class Session(msgspec.Struct, frozen=True):
    """A bearer token and the id it is revoked by."""

    id: str
    token: str


class Operator:
    """Whoever holds the master password."""

    def __init__(self, url: str, password: str, clock: Clock, chance: Chance) -> None:
        self._calls = Caller(url, {"X-Master-Password": password}, clock, chance)
        self._limits: dict[str, int] = {}
        #: every session token that was ever shown
        self.tokens: list[str] = []
        #: calls under way that make or change something outside the pipeline
        self.busy = 0

    async def drop_first_policy(self) -> None:
        """The limit that every wallet begins with has longer delays than a run has time for."""
        for policy in await self._done("GET", "/v1/policies"):
            await self._done("DELETE", f"/v1/policies/{policy['id']}")

    async def make_agent(self, kind: Kind, name: str) -> Agent:
        """An agent that has money, and a limit of its own; only while the daemon is left alone."""
        made = await self._done("POST", "/v1/agents", {"name": name, "chain": kind.chain, "network": kind.network})
        first = SLICE * kind.unit
        asked = {"agentId": made["id"], "type": "SPENDING_LIMIT", "rules": rules(kind, first)}
        policy = await self._done("POST", "/v1/policies", asked)
        self._limits[policy["id"]] = first
        return Agent(made["id"], made["publicKey"], kind, policy["id"])

    async def try_agent(self, kind: Kind, name: str) -> None:
        """Ask for an agent once: the daemon may die over it."""
        asked = {"name": name, "chain": kind.chain, "network": kind.network}
        self.busy += 1
        try:
            await self._calls.once("POST", "/v1/agents", asked)
        finally:
            self.busy -= 1

    async def make_session(self, agent: Agent) -> Session:
        """A session that can send."""
        made = await self._done("POST", "/v1/sessions", {"agentId": agent.id, "ttl": 86400})
        self.tokens.append(made["token"])
        return Session(made["id"], made["token"])

    async def revoke(self, session: Session) -> None:
        """End a session, and what of it is not signed."""
        await self._done("DELETE", f"/v1/sessions/{session.id}")

    async def raise_limit(self, agent: Agent, was: int) -> None:
        """Allow some more, unless somebody has done so since the limit was `was`."""
        if self._limits[agent.policy] == was:
            total = was + SLICE * agent.kind.unit
            self._limits[agent.policy] = total
            await self._done("PUT", f"/v1/policies/{agent.policy}", {"rules": rules(agent.kind, total)})

    def would_allow(self, agent: Agent, effects: tuple[Effect, ...]) -> bool:
        """Whether it is only the total that stands against this."""
        return max(effect.amount for effect in effects) <= BOUNDS[PER_TRANSACTION] * agent.kind.unit

    def limit(self, agent: Agent) -> int:
        """What the agent may spend in all, as it was set last."""
        return self._limits[agent.policy]

    async def close(self) -> None:
        """No call follows."""
        await self._calls.close()

    async def _done(self, method: str, path: str, body: Any = None) -> Any:
        said: Said = await self._calls.insist(method, path, body)
        if not said.ok:
            raise StartError(f"{method} {path} was refused: {said.status} {said.body}")
        return said.body


def rules(kind: Kind, total: int) -> dict[str, Any]:
    """The rules of an agent's SPENDING_LIMIT that allows `total` a day."""
    amounts = {name: amount * kind.unit for name, amount in BOUNDS.items()} | {WINDOW: total}
    return {**{name: str(amount) for name, amount in amounts.items()}, "delay_seconds": DELAY_SECONDS}
