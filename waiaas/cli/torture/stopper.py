"""Whoever stops things: throws the kill switch and lifts it, suspends agents and resumes them, and watches meanwhile.

What must hold is looked at from outside: the signed bytes on disk and what is in blocks, between the answer to the stop
and the request to go on.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from waiaas.cli.torture import books
from waiaas.cli.torture.books import Row
from waiaas.cli.torture.chance import Chance
from waiaas.cli.torture.daemon import STOPPED, Said
from waiaas.cli.torture.facts import Seen
from waiaas.cli.torture.hosts import Host
from waiaas.cli.torture.journal import Journal
from waiaas.cli.torture.operator import Operator
from waiaas.cli.torture.owner import Owner
from waiaas.cli.torture.pauses import pause
from waiaas.cli.torture.stage import Stage

#: between two stops, on average
PAUSE_SECONDS = 8.0
#: of all stops, those of everything; of these, those by an owner
SWITCH_SHARE, OWNER_SHARE = 0.5, 0.5
HELD_SECONDS = (0.2, 2.5)
SUSPENDED_SECONDS = (0.1, 1.0)
#: what was on its way to an endpoint when the switch was thrown has arrived by then
GRACE_SECONDS = 1.5
AGAIN_SECONDS = 0.1
PATH = "/v1/admin/kill-switch"
#: states of signed bytes that may land
OPEN = {"LIVE", "REPLACED"}


class Stopper:
    """One for a run; one stop at a time."""

    def __init__(self, stage: Stage, operator: Operator, owners: Sequence[Owner], journal: Journal) -> None:
        self._stage, self._operator, self._owners, self._journal = stage, operator, owners, journal
        self._chance: Chance = stage.chance.apart("stopper")
        #: held by whoever stops something, and by whoever lets it go on
        self.turn = asyncio.Lock()
        self._told: set[str] = set()
        #: how often everything was stopped, and an agent
        self.throws = self.suspensions = 0

    async def work(self, stop: asyncio.Event) -> None:
        """One stop after the other until told to stop."""
        while not stop.is_set():
            await pause(stop, self._chance.exponential(PAUSE_SECONDS))
            if self._chance.happens(SWITCH_SHARE):
                await self.throw()
            else:
                await self.suspend(self._chance.pick(self._owners))

    async def throw(self) -> None:
        """Stop everything, see that it stands still, and lift the switch again, however often the daemon dies."""
        async with self.turn:
            manifest = await self._thrown()
            self.throws += 1
            self._stage.witness.expect_silence(self._stage.clock.monotonic() + GRACE_SECONDS)
            signed = self._signed()
            landed = await self._landed(signed.values())
            self._note_cancelled()
            await asyncio.sleep(self._chance.between(*HELD_SECONDS))
            self._compare("switch", signed, self._signed())
            if manifest is not None:
                now = await self._landed(signed.values())
                self._compare_manifest(manifest, signed, now - landed)
            self._stage.witness.expect_silence(None)
            await self._lifted()

    async def suspend(self, owner: Owner) -> None:
        """Stop one agent, see that nothing is signed for it, and let it go on."""
        async with self.turn:
            agent = owner.agent.id
            await self._insist(f"/v1/agents/{agent}/suspend", "AGENT_SUSPENDED")
            self.suspensions += 1
            before = self._sends_of(agent)
            await asyncio.sleep(self._chance.between(*SUSPENDED_SECONDS))
            self._compare("suspension", before, self._sends_of(agent))
            await self._insist(f"/v1/agents/{agent}/resume", "AGENT_NOT_SUSPENDED")

    def close(self) -> None:
        """No line follows."""
        self._journal.close()

    async def _thrown(self) -> set[str] | None:
        """What may still land, by transaction; None if the answer that says so was lost."""
        by_owner = self._chance.happens(OWNER_SHARE)
        while True:
            said = await self._throw_once(self._chance.pick(self._owners) if by_owner else None)
            if said is not None and said.ok:
                return {item["id"] for item in said.body["inFlight"]}
            if said is not None and said.code == STOPPED:
                return None
            await asyncio.sleep(AGAIN_SECONDS)

    async def _throw_once(self, owner: Owner | None) -> Said | None:
        if owner is not None:
            return await owner.stop_everything()
        return await self._operator.try_once("POST", PATH, {"reason": "torture"})

    async def _lifted(self) -> None:
        while True:
            said = await self._operator.try_once("POST", "/v1/admin/recover")
            if said is not None and (said.ok or said.code == "KILL_SWITCH_NOT_ACTIVE"):
                return
            await asyncio.sleep(AGAIN_SECONDS)

    async def _insist(self, path: str, done: str) -> None:
        """Ask until it is done; whose answer was lost finds it done."""
        said = await self._operator.ask("POST", path, {})
        if not said.ok and said.code != done:
            self._stage.witness.find(f"stop: {path}: {said.status} {said.body}")

    def _signed(self) -> dict[str, Row]:
        return {row["tx_hash"]: row for row in books.read_signed(self._stage.place.database)}

    def _sends_of(self, agent: str) -> dict[str, Row]:
        return {key: row for key, row in self._signed().items() if (row["agent_id"], row["kind"]) == (agent, "SEND")}

    def _compare(self, what: str, before: dict[str, Row], after: dict[str, Row]) -> None:
        for key in after.keys() - before.keys():
            self._stage.witness.find(f"{what}: {key} of transaction {after[key]['tx_id']} was signed after the stop")

    def _compare_manifest(self, manifest: set[str], signed: dict[str, Row], landed: set[str]) -> None:
        for key, row in signed.items():
            if (row["status"] in OPEN or key in landed) and row["tx_id"] not in manifest:
                how = "landed" if key in landed else f"is {row['status']}"
                self._stage.witness.find(f"switch: {key} of transaction {row['tx_id']} {how} and was not told of")

    def _note_cancelled(self) -> None:
        """What it cancelled stays cancelled: that is looked at in the end."""
        for transaction in books.read_stopped(self._stage.place.database):
            if transaction not in self._told:
                self._told.add(transaction)
                self._journal.write(Seen(transaction, "CANCELLED"))

    async def _landed(self, signed: Any) -> set[str]:
        """Which of those that may land are in a block."""
        hashes: defaultdict[str, list[str]] = defaultdict(list)
        for row in signed:
            if row["status"] in OPEN:
                hashes[row["network"]].append(row["tx_hash"])
        found: set[str] = set()
        for host in self._stage.hosts:
            found |= await landed_of(host, hashes[host.kind.network])
        return found


async def landed_of(host: Host, hashes: list[str]) -> set[str]:
    """Which of these are in a block of the chain."""
    return await host.kind.known.landed(host.node, hashes) if hashes else set()
