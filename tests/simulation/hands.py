"""What the wants of a run come to, in one life of the daemon."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from tests.simulation.bounds import narrower
from tests.simulation.door import OWNERS, Door, Refusal
from tests.simulation.strangers import spend_elsewhere
from tests.simulation.wallet import EVM, Member
from tests.simulation.workload import Want
from tests.simulation.world import BEGINS, World
from waiaas import app
from waiaas.domain.chain import chain_of

#: seconds between two tries, and after how many somebody gives up
AGAIN, TRIES = 1.0, 60
#: answers that another try would not change soon enough
ENDED = {"AGENT_TERMINATED"}
NO = {"RATE_LIMIT_EXCEEDED", "SPENDING_LIMIT_EXCEEDED", "SESSION_LIMIT_EXCEEDED", "KILL_SWITCH_ACTIVE"}


class Journal:
    """What callers and operator know of what they did, over all lives."""

    def __init__(self, wants: list[Want]) -> None:
        self.wants = wants
        self.done: set[int] = set()
        #: want → the transaction that it was answered with, and (member, key) → the same
        self.answers: dict[int, str] = {}
        self.keys: dict[tuple[int, str], str] = {}
        #: member → id and token of a later session, and for a while of one with constraints
        self.sessions: dict[int, tuple[str, str]] = {}
        self.limited: dict[int, tuple[str, list[str]]] = {}


class Hands:
    """Carries wants out on one daemon."""

    def __init__(self, world: World, daemon: app.Daemon, journal: Journal) -> None:
        self._world, self._core, self._door, self._journal = world, daemon.core, Door(daemon), journal
        self._ways: dict[str, Callable[[Want], Awaitable[None]]] = {
            "send": self._send,
            "again": self._send,
            "conflict": self._send,
            "cancel": self._cancel,
            "speed up": self._speed_up,
            "cancel on chain": self._cancel_on_chain,
            "cap": self._cap,
            "limit": self._limit,
            "unlimit": self._unlimit,
            "uncap": self._uncap,
            "revoke": self._revoke,
            "approve": self._decide,
            "reject": self._decide,
            "switch": self._switch,
            "suspend": self._suspend,
            "owner": self._hand_over,
            "terminate": self._terminate,
            "clock": self._clock,
            "stranger": self._stranger,
        }

    async def work(self) -> None:
        """Everything that is not done yet, each at its time or now."""
        await asyncio.gather(
            *(self._try(want) for want in self._journal.wants if want.number not in self._journal.done)
        )

    async def lift(self) -> None:
        """The kill switch is off when this returns, and everybody has a session that lives."""
        await self._insist("KILL_SWITCH_NOT_ACTIVE", "POST", "/v1/admin/recover")
        for place, member in enumerate(self._world.wallet.members):
            if not await self._is_live(place):
                await self._renew(place, member)

    async def _try(self, want: Want) -> None:
        await asyncio.sleep(max(0.0, BEGINS + want.at - self._world.loop.time()))
        for _ in range(TRIES):
            try:
                await self._ways[want.kind](want)
            except Refusal as refusal:
                self._world.acts.note(f"want {want.number} ({want.kind}): {refusal}")
                if refusal.retryable and refusal.code not in NO:
                    await asyncio.sleep(AGAIN)
                    continue
            break
        self._journal.done.add(want.number)

    # --- callers ----------------------------------------------------------------------------------

    async def _send(self, want: Want) -> None:
        journal = self._journal
        tx_id = await self._door.send(self._token(want.member, want.number), want.body or {}, want.key)
        self._world.acts.note(f"want {want.number} ({want.kind}) is {tx_id}")
        journal.answers[want.number] = tx_id
        if want.key is not None:
            before = journal.keys.setdefault((want.member, want.key), tx_id)
            self._world.acts.must_hold(same, want.key, before, tx_id)

    async def _cancel(self, want: Want) -> None:
        await self._about(want, "cancel", None)

    async def _speed_up(self, want: Want) -> None:
        await self._about(want, "speed-up", {})

    async def _cancel_on_chain(self, want: Want) -> None:
        await self._about(want, "cancel", {"onChain": True})

    async def _decide(self, want: Want) -> None:
        if want.of is not None and (tx_id := self._journal.answers.get(want.of)) is not None:
            await self._door.decide(tx_id, want.kind)

    async def _about(self, want: Want, what: str, body: Any) -> None:
        if want.of is not None and (tx_id := self._journal.answers.get(want.of)) is not None:
            token = self._token(want.member, want.number)
            await self._door.session(token, "POST", f"/v1/transactions/{tx_id}/{what}", body)

    def _token(self, member: int, number: int = 0) -> str:
        """Where a session has constraints and a child: one or the other."""
        if member in self._journal.limited:
            tokens = self._journal.limited[member][1]
            return tokens[number % len(tokens)]
        return self._journal.sessions.get(member, ("", self._member(member).token))[1]

    def _session_id(self, member: int) -> str:
        if member in self._journal.limited:
            return self._journal.limited[member][0]
        return self._journal.sessions.get(member, (self._member(member).session_id, ""))[0]

    def _member(self, member: int) -> Member:
        return self._world.wallet.members[member]

    # --- the operator, and others -----------------------------------------------------------------

    async def _cap(self, want: Want) -> None:
        member = self._member(want.member)
        body = {"type": "SPENDING_LIMIT", "agentId": member.agent_id, "rules": want.body}
        await self._door.operator("POST", "/v1/policies", body)

    async def _uncap(self, want: Want) -> None:
        agent_id = self._member(want.member).agent_id
        for policy in await self._door.operator("GET", "/v1/policies"):
            if policy["agentId"] == agent_id:
                await self._door.operator("DELETE", f"/v1/policies/{policy['id']}")
                return

    async def _limit(self, want: Want) -> None:
        """A session with constraints, and with `amount` a child of it, that the agent's programs share from now on."""
        body = {"agentId": self._member(want.member).agent_id, "constraints": want.body}
        made = await self._door.operator("POST", "/v1/sessions", body)
        tokens = [made["token"]]
        if want.amount:
            path, held = f"/v1/sessions/{made['id']}/attenuate", narrower(want.body or {})
            tokens.append((await self._door.session(made["token"], "POST", path, {"constraints": held}))["token"])
        self._journal.limited[want.member] = made["id"], tokens

    async def _unlimit(self, want: Want) -> None:
        if want.member in self._journal.limited:
            session_id, _ = self._journal.limited[want.member]
            await self._insist("SESSION_REVOKED", "DELETE", f"/v1/sessions/{session_id}")
            self._journal.limited.pop(want.member, None)

    async def _revoke(self, want: Want) -> None:
        member = self._member(want.member)
        await self._insist("SESSION_REVOKED", "DELETE", f"/v1/sessions/{self._session_id(want.member)}")
        await self._renew(want.member, member)

    async def _switch(self, want: Want) -> None:
        await self._insist("KILL_SWITCH_ACTIVE", "POST", "/v1/admin/kill-switch", {"reason": f"want {want.number}"})
        await asyncio.sleep(want.amount)
        await self.lift()

    async def _suspend(self, want: Want) -> None:
        path = f"/v1/agents/{self._member(want.member).agent_id}"
        await self._insist("AGENT_SUSPENDED", "POST", f"{path}/suspend", {})
        await asyncio.sleep(want.amount)
        await self._insist("AGENT_NOT_SUSPENDED", "POST", f"{path}/resume")

    async def _hand_over(self, want: Want) -> None:
        member = self._member(want.member)
        owners = OWNERS[chain_of(member.network)]
        await self._door.hand_over(member.agent_id, owners[want.amount % len(owners)].address)

    async def _insist(self, done: str, method: str, path: str, body: Any = None) -> None:
        """What was begun before a crash is ended after it: `done` says that it was."""
        for _ in range(TRIES):
            try:
                await self._door.operator(method, path, body)
            except Refusal as refusal:
                if refusal.code == done or refusal.code in ENDED:
                    return
                self._world.acts.note(f"{method} {path}: {refusal}")
                await asyncio.sleep(AGAIN)
            else:
                return

    async def _is_live(self, place: int) -> bool:
        try:
            await self._door.session(self._token(place), "GET", "/v1/wallet/address")
        except Refusal as refusal:
            return refusal.code not in ("SESSION_REVOKED", "SESSION_NOT_FOUND", "INVALID_TOKEN")
        return True

    async def _renew(self, place: int, member: Member) -> None:
        try:
            made = await self._door.operator("POST", "/v1/sessions", {"agentId": member.agent_id})
        except Refusal as refusal:
            self._world.acts.note(f"no session: {refusal}")
        else:
            self._journal.sessions[place] = made["id"], made["token"]
            self._journal.limited.pop(place, None)

    async def _terminate(self, want: Want) -> None:
        await self._door.operator("DELETE", f"/v1/agents/{self._member(want.member).agent_id}")

    async def _clock(self, want: Want) -> None:
        clock: Any = self._core.clock
        self._world.ahead_seconds += 60 * want.amount
        clock.ahead_seconds = self._world.ahead_seconds

    async def _stranger(self, want: Want) -> None:
        member = self._member(want.member)
        if member.network is EVM:
            spend_elsewhere(self._world, self._core.keystore, member)


def same(key: str, before: str, now: str) -> None:
    """I1: a key stands for one transaction."""
    assert before == now, f"I1: the key {key} was answered with {before} and with {now}"
