"""What must hold whatever happened, recomputed from the files alone (I1, I4, I6, ledger and balances of proof.md).

It shares no code with policy/, pipeline/ or repositories/: it reads the database and the chain's own file as anybody
could, decodes the signed bytes again, and knows the law of moves and the format of the audit chain by itself.
"""

import hashlib
import json
import shutil
import sqlite3
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from solders.account import Account
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

SYSTEM_PROGRAM = Pubkey.default()
TRANSFER = (2).to_bytes(4, "little")

START, FINAL = "", {"CONFIRMED", "FAILED", "CANCELLED", "EXPIRED"}
#: what an audit event says of the status of its transaction
BECOMES = {
    ("TX_REQUESTED", "allow"): "PENDING",
    ("TX_REQUESTED", "deny"): "CANCELLED",
    ("TX_QUEUED", None): "QUEUED",
    ("TX_DOWNGRADED", None): "QUEUED",
    ("TX_EXECUTING", None): "EXECUTING",
    ("TX_SUBMITTED", None): "SUBMITTED",
    ("TX_CONFIRMED", None): "CONFIRMED",
    ("TX_FAILED", None): "FAILED",
    ("TX_CANCELLED", None): "CANCELLED",
    ("TX_EXPIRED", None): "EXPIRED",
}
#: every status with those it may become
ARROWS = {
    START: {"PENDING", "CANCELLED"},
    "PENDING": {"QUEUED", "EXECUTING", "CANCELLED", "EXPIRED"},
    "QUEUED": {"EXECUTING", "CANCELLED", "EXPIRED"},
    "EXECUTING": {"SUBMITTED", "FAILED"},
    "SUBMITTED": {"CONFIRMED", "FAILED", "EXPIRED"},
    **{final: set() for final in FINAL},
}
#: audit events that each status of an agent needs at least once
AGENT_TOLD = {
    "CREATING": {"AGENT_CREATED"},
    "ACTIVE": {"AGENT_CREATED", "AGENT_ACTIVATED"},
    "TERMINATING": {"AGENT_CREATED", "AGENT_ACTIVATED", "AGENT_TERMINATING"},
    "TERMINATED": {"AGENT_CREATED", "AGENT_ACTIVATED", "AGENT_TERMINATING", "AGENT_TERMINATED"},
}


class Moved(NamedTuple):
    """A landed transaction: who paid for it, what it moved to whom (nothing if it failed), and its fee."""

    signature: str
    payer: str
    ok: bool
    fee: int
    #: lamports that left the payer besides the fee
    outflow: int
    transfers: tuple[tuple[str, str, int], ...]


class Chain(NamedTuple):
    """The chain's own word: everything that landed, in order, and what every address holds."""

    landed: tuple[Moved, ...]
    balances: dict[str, int]


class Books(NamedTuple):
    """The rows of the database that invariants speak of."""

    installation: str
    agents: list[sqlite3.Row]
    sessions: list[sqlite3.Row]
    policies: list[sqlite3.Row]
    policy_version: int
    transactions: list[sqlite3.Row]
    attempts: list[sqlite3.Row]
    ledger: list[sqlite3.Row]
    audit: list[sqlite3.Row]
    outbox: list[sqlite3.Row]
    last_audit_id: int


def check(database: Path, localnet: Path, *, tampered: bool = False) -> None:
    """AssertionError with everything that is broken; `tampered`: stored requests were changed by hand."""
    books, chain = read_books(database), read_chain(localnet)
    broken = [
        *one_effect(books, chain, tampered=tampered),
        *lawful_moves(books),
        *every_change_told(books),
        *unbroken_chain(books),
        *settled(books, chain),
        *balanced(books, chain),
    ]
    assert not broken, "\n".join(broken)


# --- reading ------------------------------------------------------------------------------------


def read_books(database: Path) -> Books:
    """Everything out of one snapshot."""
    connection = sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
    connection.row_factory = sqlite3.Row
    try:
        connection.execute("BEGIN")
        facts = dict(connection.execute("SELECT key, value FROM key_value_store").fetchall())
        (last,) = connection.execute("SELECT max(seq) FROM sqlite_sequence WHERE name = 'audit_log'").fetchone()

        def rows(table: str, order: str) -> list[sqlite3.Row]:
            return connection.execute(f"SELECT * FROM {table} ORDER BY {order}").fetchall()

        return Books(
            json.loads(facts["installation"]),
            rows("agents", "id"),
            rows("sessions", "id"),
            rows("policies", "id"),
            int(facts["policy_version"]),
            rows("transactions", "id"),
            rows("attempts", "tx_id, number"),
            rows("spend_ledger", "id"),
            rows("audit_log", "id"),
            rows("outbox", "seq"),
            last or 0,
        )
    finally:
        connection.close()


def read_chain(localnet: Path) -> Chain:
    """The chain's file, of which a copy is read: whoever runs the chain holds the file alone."""
    with _copied(localnet / "solana.sqlite") as copy:
        connection = sqlite3.connect(copy)
        try:
            landed = connection.execute("SELECT raw, error, meta FROM transactions ORDER BY id").fetchall()
            accounts = connection.execute("SELECT address, account FROM accounts").fetchall()
        finally:
            connection.close()
    balances = {str(Pubkey(address)): Account.from_bytes(account).lamports for address, account in accounts}
    return Chain(tuple(_moved(*row) for row in landed), balances)


@contextmanager
def _copied(file: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as directory:
        for suffix in ("", "-wal"):
            if (part := file.with_name(file.name + suffix)).exists():
                shutil.copy(part, directory)
        yield Path(directory) / file.name


def _moved(raw: bytes, error: str | None, meta: bytes) -> Moved:
    transaction, told = VersionedTransaction.from_bytes(raw), json.loads(meta)
    keys = [str(key) for key in transaction.message.account_keys]
    outflow = told["preBalances"][0] - told["postBalances"][0] - told["fee"]
    moves = () if error else tuple(_transfers(transaction, keys))
    return Moved(str(transaction.signatures[0]), keys[0], error is None, told["fee"], outflow, moves)


def _transfers(transaction: VersionedTransaction, keys: list[str]) -> Iterator[tuple[str, str, int]]:
    for instruction in transaction.message.instructions:
        program, data = keys[instruction.program_id_index], bytes(instruction.data)
        if program == str(SYSTEM_PROGRAM) and data[:4] == TRANSFER:
            source, target = (keys[place] for place in instruction.accounts[:2])
            yield source, target, int.from_bytes(data[4:12], "little")


# --- invariants ---------------------------------------------------------------------------------


def one_effect(books: Books, chain: Chain, *, tampered: bool) -> Iterator[str]:
    """I1: at most one attempt of a transaction landed, it did what was asked, and nothing else was ever signed."""
    landed = {moved.signature: moved for moved in chain.landed}
    signers = {agent["public_key"] for agent in books.agents}
    asked = {tx["id"]: tx for tx in books.transactions}
    ours: dict[str, str] = {}
    effects: defaultdict[str, list[str]] = defaultdict(list)
    for attempt in books.attempts:
        if str(VersionedTransaction.from_bytes(attempt["raw"]).signatures[0]) != attempt["tx_hash"]:
            yield f"I1: attempt {attempt['id']} holds other bytes than those of its hash"
        ours[attempt["tx_hash"]] = attempt["tx_id"]
        if attempt["tx_hash"] in landed:
            effects[attempt["tx_id"]].append(attempt["tx_hash"])
    for tx_id, hashes in effects.items():
        if len(hashes) > 1:
            yield f"I1: transaction {tx_id} landed {len(hashes)} times"
        if not tampered:
            yield from _as_asked(asked[tx_id], landed[hashes[0]])
    for moved in chain.landed:
        if moved.payer in signers and moved.signature not in ours:
            yield f"I1: {moved.signature} landed for agent {moved.payer} and belongs to no attempt"
    for tx in books.transactions:
        if tx["status"] == "CONFIRMED" and not any(landed[one].ok for one in effects.get(tx["id"], ())):
            yield f"I1: transaction {tx['id']} is CONFIRMED and never landed"
        if tx["status"] in ("CANCELLED", "EXPIRED") and effects.get(tx["id"]):
            yield f"I1: transaction {tx['id']} is {tx['status']} and landed"
        if tx["status"] == "FAILED" and any(landed[one].ok for one in effects.get(tx["id"], ())):
            yield f"I1: transaction {tx['id']} is FAILED and did what it should not have done"


def _as_asked(tx: sqlite3.Row, moved: Moved) -> Iterator[str]:
    request = json.loads(tx["request"])
    said = [(target, amount) for _, target, amount in moved.transfers]
    if moved.ok and said != [(request["to"], int(request["amount"]))]:
        yield f"I1: transaction {tx['id']} asked for {request['amount']} to {request['to']}, and landed as {said}"


def lawful_moves(books: Books) -> Iterator[str]:
    """I4 and I6: the audit rows of a transaction are a path of allowed moves that ends where the row stands."""
    told: defaultdict[str, list[tuple[int, str, str | None]]] = defaultdict(list)
    for row in books.audit:
        details = json.loads(row["details"])
        outcome = details.get("outcome") if row["event_type"] == "TX_REQUESTED" else None
        if (becomes := BECOMES.get((row["event_type"], outcome))) is not None:
            told[row["tx_id"]].append((row["id"], becomes, details.get("was")))
    for tx in books.transactions:
        now = START
        for number, becomes, was in told.pop(tx["id"], []):
            if becomes not in ARROWS[now]:
                yield f"I4: transaction {tx['id']} went from {now or 'nothing'} to {becomes} (audit row {number})"
            if was is not None and was != now:
                yield f"I6: audit row {number} says that {tx['id']} was {was}, it was {now}"
            now = becomes
        if now != tx["status"]:
            yield f"I6: transaction {tx['id']} is {tx['status']}, its audit rows say {now or 'nothing'}"
        if (tx["finished_at"] is not None) != (tx["status"] in FINAL):
            yield f"I4: transaction {tx['id']} is {tx['status']} with finished_at {tx['finished_at']}"
    yield from (f"I6: audit rows speak of a transaction {tx_id} that is not there" for tx_id in told)


def every_change_told(books: Books) -> Iterator[str]:
    """I6: agents, sessions, policies and signatures have their audit rows; every end has its event."""
    of_agent, of_session, of_tx = (_events(books.audit, column) for column in ("agent_id", "session_id", "tx_id"))
    for agent in books.agents:
        if missing := AGENT_TOLD.get(agent["status"], {"AGENT_CREATED"}) - of_agent[agent["id"]].keys():
            yield f"I6: agent {agent['id']} is {agent['status']} without {sorted(missing)}"
    for session in books.sessions:
        if of_session[session["id"]].get("SESSION_ISSUED", 0) != 1:
            yield f"I6: session {session['id']} was issued without an audit row"
        stopped = of_session[session["id"]].keys() & {"SESSION_REVOKED"} or (
            of_agent[session["agent_id"]].keys() & {"AGENT_TERMINATING"}
        )
        if (session["revoked_at"] is not None) != bool(stopped):
            yield f"I6: session {session['id']} has revoked_at {session['revoked_at']}, audited: {bool(stopped)}"
    written = sum(row["event_type"] in ("POLICY_CREATED", "POLICY_UPDATED", "POLICY_DELETED") for row in books.audit)
    if written != books.policy_version:
        yield f"I6: policy_version is {books.policy_version}, audit rows tell of {written} writes"
    signed: defaultdict[str, int] = defaultdict(int)
    for attempt in books.attempts:
        signed[attempt["tx_id"]] += 1
    events = _events(books.outbox, "tx_id")
    for tx in books.transactions:
        found, emitted = of_tx[tx["id"]], events[tx["id"]]
        if signed[tx["id"]] != found.get("TX_SUBMITTED", 0) + found.get("TX_REPLACED", 0):
            yield f"I6: transaction {tx['id']} was signed {signed[tx['id']]} times, audited: {dict(found)}"
        if tx["status"] in FINAL and emitted.get(f"TX_{tx['status']}", 0) != 1:
            yield f"I6: transaction {tx['id']} is {tx['status']} with events {dict(emitted)}"


def _events(rows: Iterable[sqlite3.Row], column: str) -> defaultdict[str, dict[str, int]]:
    found: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for row in rows:
        if row[column] is not None:
            known = found[row[column]]
            known[row["event_type"]] = known.get(row["event_type"], 0) + 1
    return found


def unbroken_chain(books: Books) -> Iterator[str]:
    """I6: each hash covers its row and the hash before it, ids have no gap, and no row was cut off the end."""
    previous = hashlib.sha256(f"waiaas audit v1|{books.installation}".encode()).hexdigest()
    for number, row in enumerate(books.audit, 1):
        *fields, stored = tuple(row)[1:]
        text = json.dumps([previous, *fields], separators=(",", ":"), ensure_ascii=False)
        previous = hashlib.sha256(text.encode()).hexdigest()
        if row["id"] != number or previous != stored:
            yield f"I6: the audit chain breaks at row {row['id']}"
            return
    if books.last_audit_id != len(books.audit):
        yield f"I6: {books.last_audit_id} audit rows were written, {len(books.audit)} are there"


def settled(books: Books, chain: Chain) -> Iterator[str]:
    """The ledger nets to zero for every final transaction, settled once and as the chain says."""
    landed = {moved.signature: moved for moved in chain.landed}
    rows: defaultdict[str, dict[str, sqlite3.Row]] = defaultdict(dict)
    for row in books.ledger:
        if row["kind"] in rows[row["tx_id"]]:
            yield f"ledger: transaction {row['tx_id']} has two rows of {row['kind']}"
        rows[row["tx_id"]][row["kind"]] = row
        if row["state"] == "SPENT" and int(row["settled"]) > int(row["reserved"]):
            yield f"ledger: {row['kind']} of {row['tx_id']} cost {row['settled']}, {row['reserved']} was set aside"
    for tx in books.transactions:
        found = {kind: row["state"] for kind, row in rows[tx["id"]].items()}
        if found != (wanted := _wanted(tx)):
            yield f"ledger: transaction {tx['id']} is {tx['status']} ({tx['error_code']}): {found}, not {wanted}"
        elif (moved := landed.get(tx["tx_hash"])) is not None and tx["status"] in FINAL:
            paid = {kind: int(row["settled"] or 0) for kind, row in rows[tx["id"]].items()}
            if paid != {"AMOUNT": moved.outflow if moved.ok else 0, "FEE": moved.fee}:
                yield f"ledger: transaction {tx['id']} cost {moved.outflow} and {moved.fee}, booked: {paid}"


def _wanted(tx: sqlite3.Row) -> dict[str, str]:
    """What the states of AMOUNT and FEE must be."""
    if tx["status"] == "CONFIRMED":
        return {"AMOUNT": "SPENT", "FEE": "SPENT"}
    if tx["status"] == "FAILED" and tx["error_code"] == "ONCHAIN_FAILURE":
        return {"AMOUNT": "RELEASED", "FEE": "SPENT"}
    if tx["status"] not in FINAL:
        return {"AMOUNT": "RESERVED", "FEE": "RESERVED"}
    if tx["tier"] is None:  # denied: nothing was ever set aside
        return {}
    return {"AMOUNT": "RELEASED", "FEE": "RELEASED"}


def balanced(books: Books, chain: Chain) -> Iterator[str]:
    """To the lamport: what an agent got, less what its ledger says it spent and what has landed unsettled, is there."""
    known = {attempt["tx_hash"]: attempt["tx_id"] for attempt in books.attempts}
    final = {tx["id"] for tx in books.transactions if tx["status"] in FINAL}
    for agent in books.agents:
        address = agent["public_key"]
        got = sum(
            amount
            for moved in chain.landed
            for source, target, amount in moved.transfers
            if target == address and source != address
        )
        spent = sum(
            int(row["settled"])
            for row in books.ledger
            if row["agent_id"] == agent["id"] and row["state"] == "SPENT" and row["asset"] == "native:solana"
        )
        unsettled = sum(
            moved.outflow + moved.fee
            for moved in chain.landed
            if moved.payer == address and known.get(moved.signature) not in final
        )
        if got - spent - unsettled != chain.balances.get(address, 0):
            yield (
                f"balance: agent {agent['id']} got {got}, spent {spent}, {unsettled} is landed and not settled yet: "
                f"{got - spent - unsettled}, and the chain holds {chain.balances.get(address, 0)}"
            )
