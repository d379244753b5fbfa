"""The owner of an agent: a program that reads what waits for it, and says yes or no with its wallet's signature."""

import asyncio

from waiaas.cli.torture.chance import Chance
from waiaas.cli.torture.daemon import Caller, Said
from waiaas.cli.torture.facts import Decided, Decision
from waiaas.cli.torture.journal import Journal
from waiaas.cli.torture.operator import Agent, Operator
from waiaas.cli.torture.wallets import Wallet, make_wallet, shown
from waiaas.cli.torture.witness import Witness
from waiaas.clock import Clock
from waiaas.errors import StartError
from waiaas.ids import entropy, new_id

#: between two looks at what waits, on average
LOOK_SECONDS = 0.4
APPROVED_SHARE = 0.7
#: of all decisions: made twice with one signature, raced by the opposite, raced by a cancel of the operator
TWICE_SHARE, TORN_SHARE, CANCELLED_SHARE = 0.15, 0.1, 0.1
#: of all looks: the owner hands over to another wallet
CHANGED_SHARE = 0.03
OPPOSITE = {"approve": "reject", "reject": "approve"}
#: refusals that a decision may meet: somebody was faster, its time is over, its text is void, or its gate says no
EXPECTED = {
    "TX_ALREADY_PROCESSED",
    "APPROVAL_TIMEOUT",
    "INVALID_NONCE",
    "INVALID_SIGNATURE",
    "KILL_SWITCH_ACTIVE",
    "AGENT_SUSPENDED",
    "SESSION_REVOKED",
    "SPENDING_LIMIT_EXCEEDED",
    "SESSION_LIMIT_EXCEEDED",
    "RECONCILING",
    "STORAGE_UNAVAILABLE",
    "SHUTTING_DOWN",
    "CHAIN_ERROR",
    "ADAPTER_NOT_AVAILABLE",
    "KEYSTORE_LOCKED",
}


class Owner:
    """One agent's owner, its wallets and its journal."""

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
        self.agent, self._operator, self._chance = agent, operator, chance
        self._journal, self._witness = journal, witness
        self._calls = Caller(url, {}, clock, chance)
        first = make_wallet(agent.kind.chain, entropy(32))
        self._wallets: dict[str, Wallet] = {first.address: first}
        self.wallet = first

    async def register(self) -> None:
        """Become the owner; only while the daemon is left alone."""
        if not (said := await self._operator.own(self.agent, self.wallet.address)).ok:
            raise StartError(f"The owner was not registered: {said.body}")

    async def reject(self, transaction: str) -> bool:
        """Say no, and whether that counted; only while the daemon is left alone."""
        signed = await self._signed(transaction, "reject")
        return signed is not None and await self._say(transaction, "reject", signed)

    async def work(self, stop: asyncio.Event) -> None:
        """Look at what waits and decide some of it until told to stop."""
        while not stop.is_set():
            await asyncio.sleep(self._chance.exponential(LOOK_SECONDS))
            if self._chance.happens(CHANGED_SHARE):
                await self.change()
            if (transaction := await self._waiting()) is not None:
                await self.decide(transaction)

    async def decide(self, transaction: str) -> None:
        """Say yes or no to it, at times more than once, or while others say something else."""
        action = "approve" if self._chance.happens(APPROVED_SHARE) else "reject"
        if (signed := await self._signed(transaction, action)) is None:
            return
        saying = [self._say(transaction, action, signed)]
        if self._chance.happens(TWICE_SHARE):
            saying.append(self._say(transaction, action, signed))
        if self._chance.happens(TORN_SHARE):
            opposite = await self._signed(transaction, OPPOSITE[action])
            saying += [self._say(transaction, OPPOSITE[action], opposite)] if opposite else []
        if self._chance.happens(CANCELLED_SHARE):
            saying.append(self._cancel(transaction))
        await asyncio.gather(*self._chance.shuffled(saying))

    async def change(self) -> None:
        """Hand over to another wallet, by a signature of the present one; whose agent it is then is looked up."""
        await self._look_up()
        heir = make_wallet(self.agent.kind.chain, entropy(32))
        self._wallets[heir.address] = heir
        text = await self._operator.try_once("GET", f"/v1/agents/{self.agent.id}/owner-message?newOwner={heir.address}")
        if text is not None and text.ok:
            path = f"/v1/agents/{self.agent.id}/owner"
            signed = shown(self.wallet, text.body["message"])
            self._note(await self._operator.try_once("PUT", path, {"owner_address": heir.address}, **signed))
        await self._look_up()

    async def stop_everything(self) -> Said | None:
        """Throw the kill switch with the owner's own word."""
        path = "/v1/admin/kill-switch"
        text = await self._calls.once("GET", f"{path}/message?address={self.wallet.address}")
        if text is None or not text.ok:
            return text
        return await self._calls.once("POST", path, {"reason": "owner"}, **shown(self.wallet, text.body["message"]))

    async def close(self) -> None:
        """No line and no call follows."""
        self._journal.close()
        await self._calls.close()

    async def _waiting(self) -> str | None:
        said = await self._operator.try_once("GET", f"/v1/transactions/pending?agentId={self.agent.id}")
        if said is None or not said.ok:
            return None
        found = [item["id"] for item in said.body["items"] if item["tier"] == "APPROVAL"]
        return self._chance.pick(found) if found else None

    async def _look_up(self) -> None:
        said = await self._operator.ask("GET", f"/v1/agents/{self.agent.id}")
        if (known := self._wallets.get(said.body.get("ownerAddress"))) is None:
            self._witness.find(f"owner: agent {self.agent.id} belongs to {said.body.get('ownerAddress')}")
        else:
            self.wallet = known

    async def _signed(self, transaction: str, action: str) -> dict[str, str] | None:
        said = await self._calls.once("GET", f"/v1/transactions/{transaction}/approval-message?action={action}")
        if said is not None and said.ok:
            return shown(self.wallet, said.body["message"])
        self._note(said)
        return None

    async def _say(self, transaction: str, action: str, signed: dict[str, str]) -> bool:
        decision = Decision(new_id(), transaction, action)
        self._journal.write(decision)
        said = await self._calls.once("POST", f"/v1/transactions/{transaction}/{action}", **signed)
        if said is not None:
            self._journal.write(Decided(decision.id, said.status, said.code))
        self._note(said)
        return said is not None and said.ok

    async def _cancel(self, transaction: str) -> bool:
        said = await self._operator.try_once("POST", f"/v1/transactions/{transaction}/cancel", {})
        self._note(said)
        return said is not None and said.ok

    def _note(self, said: Said | None) -> None:
        if said is not None and not said.ok and said.code not in EXPECTED:
            self._witness.find(f"owner: {said.status} {said.code}: {said.body}")
