"""A program that uses a session: it writes down what it wants before it asks, and asks until it has an answer."""

import asyncio

from waiaas.cli.torture.chance import Chance
from waiaas.cli.torture.daemon import Caller, Said
from waiaas.cli.torture.facts import Answer, Effect, Intent, Renewal, Seen
from waiaas.cli.torture.journal import Journal
from waiaas.cli.torture.operator import Agent, Operator, Session
from waiaas.cli.torture.witness import LIMITED, Witness
from waiaas.clock import Clock
from waiaas.ids import new_id

#: between two requests of one client, on average
THINK_SECONDS = 0.25
FOLLOW_SECONDS = 20
#: a renewal is asked for so often at once
TIMES = 2
FINAL = {"CONFIRMED", "FAILED", "CANCELLED", "EXPIRED", "PARTIAL_FAILURE"}
#: refusals that mean: the token is void, not the request
VOID = {"SESSION_REVOKED", "SESSION_NOT_FOUND", "TOKEN_EXPIRED"}


class Client:
    """One client, its agent, its session and its journal."""

    def __init__(
        self,
        url: str,
        agent: Agent,
        operator: Operator,
        journal: Journal,
        witness: Witness,
        clock: Clock,
        chance: Chance,
    ) -> None:
        self.agent, self.operator, self.chance = agent, operator, chance
        self.journal, self._witness, self._clock = journal, witness, clock
        self._calls = Caller(url, {}, clock, chance)
        self.session: Session | None = None

    def intend(self, operation: str, *payments: tuple[str, str, int], keyed: bool = True) -> Intent:
        """What is wanted (asset, recipient, amount), written down before anything else happens."""
        network = self.agent.kind.network
        intent = Intent(
            id=new_id(),
            operation=operation,
            agent_id=self.agent.id,
            key=new_id() if keyed else None,
            effects=tuple(Effect(network, self.agent.address, *payment) for payment in payments),
        )
        self.journal.write(intent)
        return intent

    async def send(self, intent: Intent, body: dict[str, object], session: Session | None = None) -> str | None:
        """Ask for it, with a key again and again until it is answered; the transaction, None if it was refused.

        With another session than the client's own as long as that is good.
        """
        with self._witness.asking(intent):
            limit = self.operator.limit(self.agent)
            said = await self._said(intent, body, session)
            if said is None:
                return None
            answer = self._note(intent, said)
        if answer.code in LIMITED and self.operator.would_allow(self.agent, intent.effects):
            await self.operator.raise_limit(self.agent, limit)
        return answer.transaction

    async def ask(self, transaction: str, what: str, body: object = None) -> None:
        """Ask that it be cancelled or hurried; whether that came in time shows at the end."""
        said = await self._with_session("POST", f"/v1/transactions/{transaction}/{what}", body or {})
        if not said.ok:
            self._witness.note_refusal(said)
        elif said.body["status"] in FINAL:
            self.journal.write(Seen(transaction, said.body["status"]))

    async def follow(self, transaction: str) -> None:
        """Wait until it is final, some time at most, and write down how it ended."""
        until = self._clock.monotonic() + FOLLOW_SECONDS
        while self._clock.monotonic() < until:
            said = await self._with_session("GET", f"/v1/transactions/{transaction}?wait=2")
            if not said.ok:
                self._witness.note_refusal(said)
                return
            if said.body["status"] in FINAL:
                self.journal.write(Seen(transaction, said.body["status"]))
                return

    async def renew(self) -> None:
        """Ask twice at once for the client's session to go on under another token; it may be too early, or lost."""
        if (session := self.session) is None:
            return
        self.session = None
        path, bearer = f"/v1/sessions/{session.id}/renew", f"Bearer {session.token}"
        for _ in range(TIMES):
            self.journal.write(Renewal(session.id))
        said = await asyncio.gather(*(self._calls.once("PUT", path, Authorization=bearer) for _ in range(TIMES)))
        renewed = [one.body["token"] for one in said if one is not None and one.ok]
        self.operator.tokens += renewed
        for _ in renewed:
            self.journal.write(Renewal(session.id, done=True))
        if renewed:
            self.session = Session(session.id, renewed[0])
        elif all(one is not None and one.code == "RENEWAL_TOO_EARLY" for one in said):
            self.session = session
        if len(renewed) > 1:
            self._witness.find(f"session: {session.id} was renewed twice with one token")
        for refusal in (one for one in said if one is not None and not one.ok):
            self._witness.note_refusal(refusal)

    async def attenuate(self, parent: Session, **constraints: str) -> Session | None:
        """A child of a session with less than it has; None if the parent is void."""
        path, body = f"/v1/sessions/{parent.id}/attenuate", {"constraints": constraints}
        said = await self._calls.insist("POST", path, body, Authorization=f"Bearer {parent.token}")
        if not said.ok:
            self._witness.note_refusal(said)
            return None
        self.operator.tokens.append(said.body["token"])
        return Session(said.body["id"], said.body["token"])

    async def think(self) -> None:
        """Some time passes."""
        await asyncio.sleep(self.chance.exponential(THINK_SECONDS))

    async def close(self) -> None:
        """No line and no call follows."""
        self.journal.close()
        await self._calls.close()

    async def _said(self, intent: Intent, body: dict[str, object], session: Session | None) -> Said | None:
        path = "/v1/transactions/send"
        if session is not None and intent.key is not None:
            headers = {"Idempotency_Key": intent.key, "Authorization": f"Bearer {session.token}"}
            said = await self._calls.insist("POST", path, body, **headers)
            if said.code not in VOID:
                return said
        if intent.key is not None:
            return await self._with_session("POST", path, body, Idempotency_Key=intent.key)
        # without a key of its own nobody may ask twice
        return await self._calls.once("POST", path, body, Authorization=await self._bearer())

    async def _with_session(self, method: str, path: str, body: object = None, **headers: str) -> Said:
        """Insist, with a new session whenever the present one has been ended."""
        while True:
            session = self.session
            said = await self._calls.insist(method, path, body, Authorization=await self._bearer(), **headers)
            if said.code not in VOID:
                return said
            if self.session is session:
                self.session = None

    async def _bearer(self) -> str:
        if self.session is None:
            self.session = await self.operator.make_session(self.agent)
        return f"Bearer {self.session.token}"

    def _note(self, intent: Intent, said: Said) -> Answer:
        if said.ok:
            answer = Answer(intent.id, said.status, transaction=said.body["id"])
            self._witness.accepted(intent, said.status)
        else:
            answer = Answer(intent.id, said.status, code=said.code)
            self._witness.note_refusal(said)
        self.journal.write(answer)
        return answer
