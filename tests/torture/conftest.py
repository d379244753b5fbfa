"""A small world in which everything agrees: journals, database and chain of one agent that has sent a few payments."""

import json
from typing import Any

import pytest
from solders.hash import Hash
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from waiaas.cli.torture.books import Books
from waiaas.cli.torture.compare import Verdict, compare
from waiaas.cli.torture.facts import Answer, Decided, Decision, Effect, Intent, Landed, Seen, Truth
from waiaas.cli.torture.journal import Records
from waiaas.cli.torture.solana import NATIVE, asset_of

NETWORK, FEE, GIFT = "localnet", 5000, 100_000_000
LIMIT, LARGEST = 50_000_000, 20_000_000
TOKEN = asset_of("mint")


class World:
    """One agent; `send` adds a payment as it ends when all is well, and tests then spoil something."""

    def __init__(self) -> None:
        self.key, self.to = Keypair(), str(Pubkey.new_unique())
        self.address = str(self.key.pubkey())
        agent = {"id": "agent", "network": NETWORK, "public_key": self.address, "status": "ACTIVE"}
        caps = {"daily_total": str(LIMIT), "per_transaction": str(LARGEST)}
        rules = json.dumps({**caps, "limits": {TOKEN: caps}})
        policy = {"agent_id": "agent", "type": "SPENDING_LIMIT", "rules": rules, "enabled": 1}
        self.books = Books([agent], [], [], [], [policy], [], [], [], [], [])
        self.records = Records({}, {}, {}, {}, {}, {}, {}, set())
        self.before, self.truth = self.say(), self.say()
        self.sent = 0

    def say(self) -> Truth:
        """What the chain says of an agent that nobody has used: it has native money and tokens."""
        holds = {(NETWORK, self.address, asset): GIFT for asset in (NATIVE, TOKEN)}
        return Truth({}, holds, {NETWORK: NATIVE}, {NETWORK: TOKEN})

    def verdict(self) -> Verdict:
        return compare(self.records, self.books, self.before, self.truth)

    def intend(self, amount: int) -> Intent:
        self.sent += 1
        effect = Effect(NETWORK, self.address, NATIVE, self.to, amount)
        intent = Intent(f"intent {self.sent}", "transfer", "agent", f"key {self.sent}", (effect,))
        self.records.intents[intent.id] = intent
        return intent

    def send(self, amount: int, status: str = "CONFIRMED", code: str | None = None) -> dict[str, Any]:
        """A payment that was accepted and ended so; its row."""
        intent = self.intend(amount)
        row = self.row(intent, status, code)
        self.records.answers[intent.id] = [Answer(intent.id, 201, transaction=row["id"])]
        self.records.seen[row["id"]] = [Seen(row["id"], status).status]
        if status == "CONFIRMED":
            self.land(self.attempt(row, "LANDED"), amount)
        state, settled = ("SPENT", (amount, FEE)) if status == "CONFIRMED" else ("RELEASED", (None, None))
        for kind, cost in zip(("AMOUNT", "FEE"), settled, strict=True):
            self.book(row, kind, state, cost)
        return row

    def deny(self, amount: int) -> dict[str, Any]:
        """A payment that was refused; its row."""
        intent = self.intend(amount)
        self.records.answers[intent.id] = [Answer(intent.id, 403, code="SPENDING_LIMIT_EXCEEDED")]
        return self.row(intent, "CANCELLED", "SPENDING_LIMIT_EXCEEDED") | {"idempotency_key": None}

    def row(self, intent: Intent, status: str, code: str | None) -> dict[str, Any]:
        request = {"type": "TRANSFER", "to": self.to, "amount": str(intent.effects[0].amount)}
        row = {
            "id": f"tx {len(self.books.transactions) + 1}",
            "agent_id": "agent",
            "session_id": None,
            "parent_id": None,
            "network": NETWORK,
            "type": "TRANSFER",
            "status": status,
            "tier": "INSTANT",
            "request": json.dumps(request),
            "idempotency_key": intent.key,
            "tx_hash": None,
            "error_code": code,
            "created_at": 0,
        }
        self.books.transactions.append(row)
        return row

    def attempt(self, row: dict[str, Any], status: str) -> dict[str, Any]:
        """Really signed bytes."""
        number = sum(one["tx_id"] == row["id"] for one in self.books.attempts) + 1
        amount = int(json.loads(row["request"])["amount"])
        payment = transfer(
            TransferParams(from_pubkey=self.key.pubkey(), to_pubkey=Pubkey.from_string(self.to), lamports=amount)
        )
        message = MessageV0.try_compile(
            self.key.pubkey(), [payment], [], Hash(bytes([len(self.books.attempts) + 1]) * 32)
        )
        signed = VersionedTransaction(message, [self.key])
        attempt = {
            "tx_id": row["id"],
            "number": number,
            "kind": "SEND",
            "network": NETWORK,
            "signer": self.address,
            "tx_hash": str(signed.signatures[0]),
            "raw": bytes(signed),
            "status": status,
            "broadcasts": 1,
        }
        row["tx_hash"] = attempt["tx_hash"]
        self.books.attempts.append(attempt)
        return attempt

    def land(self, attempt: dict[str, Any], amount: int) -> Landed:
        """Into a block with it, and out of the balance."""
        effect = Effect(NETWORK, self.address, NATIVE, self.to, amount)
        landed = Landed(NETWORK, attempt["tx_hash"], self.address, True, FEE, amount + FEE, (effect,))
        self.truth.landed[landed.hash] = landed
        self.truth.balances[(NETWORK, self.address, NATIVE)] -= landed.paid
        return landed

    def decide(self, row: dict[str, Any], action: str, status: int | None = 200) -> None:
        """Its owner says something; None: the answer is lost."""
        decision = Decision(f"decision {len(self.records.decisions) + 1}", row["id"], action)
        self.records.decisions[decision.id] = decision
        if status is not None:
            self.records.decided[decision.id] = Decided(decision.id, status)
        if status == 200:
            stored = {"approved_at": None, "rejected_at": None, f"{action.removesuffix('e')}ed_at": 1}
            self.books.approvals.append({"tx_id": row["id"], **stored})

    def share(self, row: dict[str, Any], session: str, parent: str | None = None, total: int | None = None) -> None:
        """It was sent under a session, of which nobody has heard before."""
        row["session_id"] = session
        constraints = None if total is None else json.dumps({"maxTotalAmount": str(total)})
        self.books.sessions.append(
            {"id": session, "parent_id": parent, "constraints": constraints, "renewal_count": 0, "revoked_at": None}
        )

    def book(self, row: dict[str, Any], kind: str, state: str, cost: int | None) -> None:
        reserved = str(cost or 1)
        settled = None if cost is None else str(cost)
        self.books.ledger.append(
            {
                "agent_id": "agent",
                "tx_id": row["id"],
                "asset": NATIVE,
                "kind": kind,
                "state": state,
                "reserved": reserved,
                "settled": settled,
            }
        )


@pytest.fixture
def world() -> World:
    """Three payments landed, one was denied, one cancelled, one expired with a dead attempt; all agrees."""
    world = World()
    for amount in (1_000_001, 1_000_002, 1_000_003):
        world.send(amount)
    world.deny(90_000_004)
    world.send(1_000_005, "CANCELLED", "CANCELLED_BY_CALLER")
    world.attempt(world.send(1_000_006, "EXPIRED", "BLOCKHASH_EXPIRED"), "DEAD")
    return world
