"""The operator of a tortured daemon: agents, their sessions, and limits that are raised when they are used up."""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec

from waiaas.cli.torture.chance import Chance
from waiaas.cli.torture.daemon import Caller, Said
from waiaas.cli.torture.erc20 import DECIMALS, SYMBOL
from waiaas.cli.torture.facts import Effect
from waiaas.cli.torture.hosts import Host, Kind
from waiaas.cli.torture.limits import PER_TRANSACTION, WINDOW
from waiaas.clock import Clock
from waiaas.errors import StartError

#: in the unit of the asset: while no more than the first is under way a send goes at once, then it waits a moment, and
#: beyond the third it waits for the owner
BOUNDS = {"instant_max": 20_000_000, "notify_max": 20_000_000, "delay_max": 45_000_000, PER_TRANSACTION: 100_000_000}
DELAY_SECONDS, APPROVAL_SECONDS = 1, 180
#: what an agent has of the token of its chain: never the reason of a refusal
TOKENS = 10**15
#: a client's session can be renewed when half of this is over
SESSION_SECONDS = 300
#: until a suspended agent is looked at again
LOOK_SECONDS = 0.2
#: by how much a limit is raised, in that unit: it is always near
SLICE = 80_000_000


class Agent(msgspec.Struct, frozen=True):
    """An agent of the daemon, its limit and the chain that it lives on."""

    id: str
    address: str
    host: Host
    policy: str

    @property
    def kind(self) -> Kind:
        """Of its chain."""
        return self.host.kind

    def unit(self, asset: str) -> int:
        """Amounts are millions of so many base units."""
        return self.kind.unit if asset == self.host.native else 1

    @property
    def token(self) -> dict[str, Any]:
        """The token of its chain, as requests name it."""
        return {"address": self.host.bank.token, "decimals": DECIMALS, "symbol": SYMBOL}


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

    async def allow(self, hosts: Sequence[Host]) -> None:
        """The tokens, the programs that clients call and the spenders that they let spend, for every agent."""
        lists: dict[str, dict[str, Any]] = {
            "ALLOWED_TOKENS": {"tokens": [{**place(host, host.bank.token), "symbol": SYMBOL} for host in hosts]},
            "CONTRACT_WHITELIST": {
                "contracts": [
                    {**place(host, host.kind.known.callee(host.bank.token)), "name": "callee"} for host in hosts
                ]
            },
            "APPROVED_SPENDERS": {"spenders": [{**place(host, host.bank.spender), "name": "bank"} for host in hosts]},
            "APPROVE_AMOUNT_LIMIT": {"maxAmount": str(TOKENS), "blockUnlimited": True},
            "APPROVE_TIER_OVERRIDE": {"tier": "NOTIFY"},
        }
        for kind, rules in lists.items():
            await self._done("POST", "/v1/policies", {"type": kind, "rules": rules})

    async def make_agent(self, host: Host, name: str) -> Agent:
        """An agent that has money and tokens, and a limit of its own; only while the daemon is left alone."""
        kind = host.kind
        made = await self._done("POST", "/v1/agents", {"name": name, "chain": kind.chain, "network": kind.network})
        await host.bank.give(made["publicKey"], TOKENS)
        asked = {"agentId": made["id"], "type": "SPENDING_LIMIT", "rules": rules(host, SLICE)}
        policy = await self._done("POST", "/v1/policies", asked)
        self._limits[policy["id"]] = SLICE
        return Agent(made["id"], made["publicKey"], host, policy["id"])

    async def own(self, agent: Agent, owner: str, **signed: str) -> Said:
        """Register an owner; one that has proved the key has `signed` it."""
        return await self.ask("PUT", f"/v1/agents/{agent.id}/owner", {"owner_address": owner}, **signed)

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Said:
        """One call, repeated until it is answered."""
        return await self._calls.insist(method, path, body, **headers)

    async def try_once(self, method: str, path: str, body: Any = None, **headers: str) -> Said | None:
        """One call, whatever becomes of its answer."""
        changes = method != "GET" and "/transactions/" not in path
        self.busy += changes
        try:
            return await self._calls.once(method, path, body, **headers)
        finally:
            self.busy -= changes

    async def try_agent(self, kind: Kind, name: str) -> None:
        """Ask for an agent once: the daemon may die over it."""
        asked = {"name": name, "chain": kind.chain, "network": kind.network}
        await self.try_once("POST", "/v1/agents", asked)

    async def make_session(self, agent: Agent, **constraints: str) -> Session:
        """A session that can send."""
        asked = {"agentId": agent.id, "ttl": SESSION_SECONDS, "constraints": constraints or None}
        while True:
            said = await self.ask("POST", "/v1/sessions", asked)
            if said.code == "SESSION_LIMIT_EXCEEDED":
                await self._end_sessions(agent)
            elif said.code == "AGENT_SUSPENDED":
                await asyncio.sleep(LOOK_SECONDS)
            else:
                break
        made = done("POST", "/v1/sessions", said)
        self.tokens.append(made["token"])
        return Session(made["id"], made["token"])

    async def revoke(self, session: Session) -> None:
        """End a session, and what of it is not signed."""
        await self._done("DELETE", f"/v1/sessions/{session.id}")

    async def _end_sessions(self, agent: Agent) -> None:
        """Every answer that was lost has left a session that nobody can use."""
        for session in await self._done("GET", f"/v1/sessions?agentId={agent.id}&status=active"):
            await self._done("DELETE", f"/v1/sessions/{session['id']}")

    async def raise_limit(self, agent: Agent, was: int) -> None:
        """Allow some more, unless somebody has done so since the limit was `was`."""
        if self._limits[agent.policy] == was:
            total = was + SLICE
            self._limits[agent.policy] = total
            await self._done("PUT", f"/v1/policies/{agent.policy}", {"rules": rules(agent.host, total)})

    def would_allow(self, agent: Agent, effects: tuple[Effect, ...]) -> bool:
        """Whether it is only the total that stands against this."""
        return all(effect.amount <= BOUNDS[PER_TRANSACTION] * agent.unit(effect.asset) for effect in effects)

    def limit(self, agent: Agent) -> int:
        """What the agent may spend in all of each asset, in units, as it was set last."""
        return self._limits[agent.policy]

    async def close(self) -> None:
        """No call follows."""
        await self._calls.close()

    async def _done(self, method: str, path: str, body: Any = None) -> Any:
        return done(method, path, await self.ask(method, path, body))


def done(method: str, path: str, said: Said) -> Any:
    """The body of the answer; StartError if it is a refusal, which nothing here can go on with."""
    if not said.ok:
        raise StartError(f"{method} {path} was refused: {said.status} {said.body}")
    return said.body


def rules(host: Host, total: int) -> dict[str, Any]:
    """The rules of an agent's SPENDING_LIMIT that allows `total` units a day of native money and of the token."""
    units = BOUNDS | {WINDOW: total}
    native = {name: str(amount * host.kind.unit) for name, amount in units.items()}
    token = {name: str(amount) for name, amount in units.items()}
    times = {"delay_seconds": DELAY_SECONDS, "approval_timeout": APPROVAL_SECONDS}
    return {**native, **times, "limits": {host.token: {**token, **times}}}


def place(host: Host, address: str) -> dict[str, str]:
    """An address as policies name it."""
    return {"address": address, "chain": host.kind.chain}
