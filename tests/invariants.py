"""What must hold whatever happened, recomputed from database and chains alone (I1, I4, I6, ledger, balances).

It shares no code with policy/, pipeline/ or repositories/: it reads the database and the chain's own word as anybody
could, decodes the signed bytes again, and knows the law of moves and the format of the audit chain by itself.
"""

import hashlib
import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests import signed
from tests.asked import NATIVE, asked, done, items, nothing, swept
from tests.events import keys_amiss
from tests.ledgers import Books, Chain, Landed, events, read_books, read_solana
from tests.signed import EvmBytes, SolanaBytes

START, FINAL = "", {"CONFIRMED", "FAILED", "CANCELLED", "EXPIRED", "PARTIAL_FAILURE"}
#: what an audit event says of the status of its transaction
BECOMES = {
    ("TX_REQUESTED", "allow"): "PENDING",
    ("TX_REQUESTED", "deny"): "CANCELLED",
    ("TX_QUEUED", None): "QUEUED",
    ("TX_DOWNGRADED", None): "QUEUED",
    ("TX_EXECUTING", None): "EXECUTING",
    ("TX_APPROVED", None): "EXECUTING",
    ("TX_SUBMITTED", None): "SUBMITTED",
    ("TX_CONFIRMED", None): "CONFIRMED",
    ("TX_FAILED", None): "FAILED",
    ("TX_CANCELLED", None): "CANCELLED",
    ("TX_EXPIRED", None): "EXPIRED",
    ("TX_PARTIAL_FAILURE", None): "PARTIAL_FAILURE",
}
ARROWS = {
    START: {"PENDING", "CANCELLED"},
    "PENDING": {"QUEUED", "EXECUTING", "CANCELLED", "EXPIRED"},
    "QUEUED": {"EXECUTING", "CANCELLED", "EXPIRED"},
    "EXECUTING": {"SUBMITTED", "FAILED"},
    "SUBMITTED": {"CONFIRMED", "FAILED", "EXPIRED", "PARTIAL_FAILURE"},
    **{final: set() for final in FINAL},
}
#: audit events that each status of an agent needs at least once
AGENT_TOLD = {
    "CREATING": {"AGENT_CREATED"},
    "ACTIVE": {"AGENT_CREATED", "AGENT_ACTIVATED"},
    "SUSPENDED": {"AGENT_CREATED", "AGENT_ACTIVATED", "AGENT_SUSPENDED"},
    "TERMINATING": {"AGENT_CREATED", "AGENT_ACTIVATED", "AGENT_TERMINATING"},
    "TERMINATED": {"AGENT_CREATED", "AGENT_ACTIVATED", "AGENT_TERMINATING", "AGENT_TERMINATED"},
}
OWNER_TOLD = {"OWNER_SET", "OWNER_VERIFIED", "OWNER_REMOVED"}
#: audit event of the kill switch → from which states it goes, and to which
SWITCH_MOVES = {
    "KILL_SWITCH_ACTIVATED": ({"NORMAL", "RECOVERING"}, "ACTIVATED"),
    "KILL_SWITCH_RECOVERY_STARTED": ({"ACTIVATED"}, "RECOVERING"),
    "KILL_SWITCH_RECOVERED": ({"ACTIVATED", "RECOVERING"}, "NORMAL"),
}
#: audit event → what is delivered with it, each time
DELIVERED = {
    "SESSION_ISSUED": "SESSION_CREATED",
    "SESSION_RENEWED": "SESSION_RENEWED",
    "SESSION_REVOKED": "SESSION_REVOKED",
    **{event: event for event in (*sorted(OWNER_TOLD), "KILL_SWITCH_ACTIVATED", "KILL_SWITCH_RECOVERED")},
}
#: ends of a transaction that landed all the same: its fee is spent
LOST = {"ONCHAIN_FAILURE", "CANCELLED_ON_CHAIN"}


def check(database: Path, localnet: Path, *, tampered: bool = False, strangers: frozenset[str] = frozenset()) -> None:
    """AssertionError with everything that is broken; `tampered`: stored requests were changed by hand.

    `strangers`: hashes of what an agent's key signed elsewhere.
    """
    solana = read_solana(localnet)._replace(strangers=strangers)
    broken = list(breaches(read_books(database), {"solana": solana}, tampered=tampered))
    assert not broken, "\n".join(broken)


def breaches(
    books: Books, chains: Mapping[str, Chain], *, tampered: bool = False, whole: bool = False
) -> Iterator[str]:
    """Everything that is broken, by chain ("solana", "ethereum") where it is of one.

    `whole`: owners and the kill switch too, which many tests change by hand.
    """
    yield from lawful_moves(books)
    yield from every_change_told(books)
    if whole:
        yield from _owners_told(books)
        yield from _switch_told(books)
    yield from events_as_documented(books)
    yield from unbroken_chain(books)
    yield from owners_word(books)
    for name, chain in chains.items():
        mine = of_chain(books, name)
        yield from one_effect(mine, chain, tampered=tampered)
        yield from in_order(mine, chain)
        yield from settled(mine, chain)
        yield from balanced(mine, chain)


def of_chain(books: Books, chain: str) -> Books:
    """The rows of one chain's agents."""
    agents = [agent for agent in books.agents if agent["chain"] == chain]
    transactions = [tx for tx in books.transactions if tx["chain"] == chain]
    ids = {tx["id"] for tx in transactions}
    attempts = [attempt for attempt in books.attempts if attempt["tx_id"] in ids]
    ledger = [row for row in books.ledger if row["tx_id"] in ids]
    return books._replace(agents=agents, transactions=transactions, attempts=attempts, ledger=ledger)


# --- I1 -----------------------------------------------------------------------------------------


def one_effect(books: Books, chain: Chain, *, tampered: bool) -> Iterator[str]:
    """I1: at most one attempt of a transaction landed, it did what was asked, and nothing else was ever signed."""
    landed = {one.hash: one for one in chain.landed}
    signers = {spelled(agent) for agent in books.agents}
    rows = {tx["id"]: tx for tx in books.transactions}
    ours: set[str] = set()
    effects: defaultdict[str, list[sqlite3.Row]] = defaultdict(list)
    for attempt in books.attempts:
        said = read(attempt["raw"])
        ours.add(attempt["tx_hash"])
        if said.hash != attempt["tx_hash"]:
            yield f"I1: attempt {attempt['id']} holds other bytes than those of its hash"
        elif not tampered:
            yield from as_asked(rows[attempt["tx_id"]], attempt, said)
        if attempt["tx_hash"] in landed:
            effects[attempt["tx_id"]].append(attempt)
    for tx_id, found in effects.items():
        if len(found) > 1:
            yield f"I1: transaction {tx_id} landed {len(found)} times"
    for one in chain.landed:
        if one.signer in signers and one.hash not in ours and one.hash not in chain.strangers:
            yield f"I1: {one.hash} landed for agent {one.signer} and belongs to no attempt"
    reorganised = told_of(books, "TX_REORGED")
    for tx in books.transactions:
        if tx["id"] not in reorganised:
            yield from _ended_as_it_landed(tx, effects[tx["id"]], landed)


def _ended_as_it_landed(tx: sqlite3.Row, attempts: list[sqlite3.Row], landed: Mapping[str, Landed]) -> Iterator[str]:
    paid = any(landed[one["tx_hash"]].ok and one["kind"] != "CANCEL" for one in attempts)
    if is_parent(tx):
        return
    if tx["status"] == "CONFIRMED" and not paid:
        yield f"I1: transaction {tx['id']} is CONFIRMED and never landed"
    if tx["status"] in ("CANCELLED", "EXPIRED") and attempts:
        yield f"I1: transaction {tx['id']} is {tx['status']} and landed"
    if tx["status"] == "FAILED" and paid:
        yield f"I1: transaction {tx['id']} is FAILED and did what it should not have done"


def as_asked(tx: sqlite3.Row, attempt: sqlite3.Row, said: SolanaBytes | EvmBytes) -> Iterator[str]:
    """I1: bytes say what the request asks for, or (a cancel) nothing at all."""
    sender = attempt["signer"]
    if is_withdrawal(tx):
        if attempt["tx_hash"] != tx["tx_hash"]:
            # bytes that are dead may have said another amount
            return
        wanted = swept(tx["request"], tx["chain"], sender, tx["amount"])
    else:
        wanted = asked(tx["request"], tx["chain"], sender)
    if attempt["kind"] == "CANCEL":
        wanted = nothing(sender)
    if (found := done(said)) != wanted:
        yield f"I1: transaction {tx['id']} asked for {wanted}, and was signed as {found}"


def in_order(books: Books, chain: Chain) -> Iterator[str]:
    """I1: items of an EVM batch land one after another, each after the one before it."""
    blocks = {one.hash: (one.block, one.said.nonce) for one in chain.landed if isinstance(one.said, EvmBytes)}
    where: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    for attempt in books.attempts:
        if attempt["tx_hash"] in blocks and attempt["kind"] != "CANCEL":
            where[attempt["tx_id"]].append(blocks[attempt["tx_hash"]])
    reorganised = told_of(books, "TX_REORGED")
    parents = {tx["id"] for tx in books.transactions if is_parent(tx)}
    before: dict[str, tuple[int, int]] = {}
    for tx in sorted(books.transactions, key=lambda tx: (tx["parent_id"] or "", tx["batch_index"] or 0)):
        if tx["parent_id"] not in parents or tx["id"] in reorganised:
            continue
        for place in where[tx["id"]]:
            if place < before.get(tx["parent_id"], place):
                yield f"I1: item {tx['batch_index']} of {tx['parent_id']} landed before the one in front of it"
            before[tx["parent_id"]] = place


# --- I4, I6 -------------------------------------------------------------------------------------


def lawful_moves(books: Books) -> Iterator[str]:
    """I4 and I6: the audit rows of a transaction are a path of allowed moves that ends where the row stands."""
    told: defaultdict[str, list[tuple[int, str, str | None]]] = defaultdict(list)
    for row in books.audit:
        details = json.loads(row["details"])
        if (becomes := becoming(row["event_type"], details)) is not None:
            told[row["tx_id"]].append((row["id"], becomes, details.get("was")))
    for tx in books.transactions:
        # an item is told of with its batch
        now = START if tx["parent_id"] is None else "PENDING"
        for number, becomes, was in told.pop(tx["id"], []):
            if becomes not in ARROWS[now] and not (tx["parent_id"] and now == becomes == "PENDING"):
                yield f"I4: transaction {tx['id']} went from {now or 'nothing'} to {becomes} (audit row {number})"
            if was is not None and was != now:
                yield f"I6: audit row {number} says that {tx['id']} was {was}, it was {now}"
            now = becomes
        if now != tx["status"]:
            yield f"I6: transaction {tx['id']} is {tx['status']}, its audit rows say {now or 'nothing'}"
        if (tx["finished_at"] is not None) != (tx["status"] in FINAL):
            yield f"I4: transaction {tx['id']} is {tx['status']} with finished_at {tx['finished_at']}"
    yield from (f"I6: audit rows speak of a transaction {tx_id} that is not there" for tx_id in told)


def becoming(event: str, details: Mapping[str, object]) -> str | None:
    """The status that an audit row tells of; None if it tells of something else."""
    if event != "TX_REQUESTED":
        return BECOMES.get((event, None))
    return "PENDING" if "reset" in details else BECOMES.get((event, str(details.get("outcome"))))


def every_change_told(books: Books) -> Iterator[str]:
    """I6: agents, sessions, policies and signatures have their audit rows; every end has its event."""
    of_agent, of_session, of_tx = (events(books.audit, column) for column in ("agent_id", "session_id", "tx_id"))
    switched = switched_off(books)
    for agent in books.agents:
        told = of_agent.get(agent["id"], {}).keys() | ({"AGENT_SUSPENDED"} if agent["id"] in switched else set())
        if missing := AGENT_TOLD[agent["status"]] - told:
            yield f"I6: agent {agent['id']} is {agent['status']} without {sorted(missing)}"
    for session in books.sessions:
        told = of_session.get(session["id"], {})
        if told.get("SESSION_ISSUED", 0) != 1:
            yield f"I6: session {session['id']} was issued without an audit row"
        stopped = told.keys() & {"SESSION_REVOKED"} or (
            of_agent.get(session["agent_id"], {}).keys() & {"AGENT_TERMINATING"} or session["id"] in switched
        )
        if (session["revoked_at"] is not None) != bool(stopped):
            yield f"I6: session {session['id']} has revoked_at {session['revoked_at']}, audited: {bool(stopped)}"
    written = sum(row["event_type"] in ("POLICY_CREATED", "POLICY_UPDATED", "POLICY_DELETED") for row in books.audit)
    if written != books.policy_version:
        yield f"I6: policy_version is {books.policy_version}, audit rows tell of {written} writes"
    yield from _signatures_told(books, of_tx)
    yield from _events_told(books)


def _signatures_told(books: Books, of_tx: Mapping[str, Mapping[str, int]]) -> Iterator[str]:
    signed_times: defaultdict[str, int] = defaultdict(int)
    for attempt in books.attempts:
        signed_times[attempt["tx_id"]] += 1
    emitted = events(books.outbox, "tx_id")
    for tx in books.transactions:
        found, ends = of_tx.get(tx["id"], {}), emitted.get(tx["id"], {})
        if not is_parent(tx) and signed_times[tx["id"]] != found.get("TX_SUBMITTED", 0) + found.get("TX_REPLACED", 0):
            yield f"I6: transaction {tx['id']} was signed {signed_times[tx['id']]} times, audited: {dict(found)}"
        told = ends.get(f"TX_{tx['status']}", 0) + (
            ends.get("TX_APPROVAL_EXPIRED", 0) if tx["status"] == "EXPIRED" else 0
        )
        if tx["status"] in FINAL and told != 1:
            yield f"I6: transaction {tx['id']} is {tx['status']} with events {dict(ends)}"


def _owners_told(books: Books) -> Iterator[str]:
    """I6: the audit rows of an agent's owners are a path from none to the one that it has."""
    rows: defaultdict[str, list[tuple[int, str, dict[str, object]]]] = defaultdict(list)
    for row in books.audit:
        if row["event_type"] in OWNER_TOLD:
            rows[row["agent_id"]].append((row["id"], row["event_type"], json.loads(row["details"])))
    for agent in books.agents:
        now, verified = None, False
        for number, event, told in rows[agent["id"]]:
            if event != "OWNER_VERIFIED" and told["was"] != now:
                yield f"I6: audit row {number} says that the owner of {agent['id']} was {told['was']}, it was {now}"
            now, verified = told["ownerAddress"], event == "OWNER_VERIFIED" or (verified and event == "OWNER_SET")
        if (agent["owner_address"], bool(agent["owner_verified"])) != (now, verified):
            yield (
                f"I6: the owner of {agent['id']} is {agent['owner_address']}, verified {agent['owner_verified']}: "
                f"its audit rows say {now}, {verified}"
            )


def _switch_told(books: Books) -> Iterator[str]:
    """I6: the audit rows of the kill switch are a path of its moves that ends where it stands."""
    now, thrown = "NORMAL", 0
    for row in books.audit:
        if (moved := SWITCH_MOVES.get(row["event_type"])) is None:
            continue
        before, after = moved
        if now not in before:
            yield f"I6: audit row {row['id']} tells of {row['event_type']} while the kill switch was {now}"
        now, thrown = after, thrown + (after == "ACTIVATED")
    if (books.switch["state"], books.switch["generation"]) != (now, thrown):
        found = books.switch["state"], books.switch["generation"]
        yield f"I6: the kill switch is {found}, its audit rows say {(now, thrown)}"


def _events_told(books: Books) -> Iterator[str]:
    """I6: what is audited of owners, sessions and the switch is delivered as often."""
    audited, emitted = (Counter(row["event_type"] for row in rows) for rows in (books.audit, books.outbox))
    for event, delivered in DELIVERED.items():
        if audited[event] != emitted[delivered]:
            yield f"I6: {event} was audited {audited[event]} times, {delivered} was emitted {emitted[delivered]} times"


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


# --- the owner ----------------------------------------------------------------------------------


def events_as_documented(books: Books) -> Iterator[str]:
    """Each event has the data that docs/events.md says, and no other."""
    for row in books.outbox:
        if amiss := keys_amiss(row["event_type"], json.loads(row["payload"])):
            yield f"events: {row['event_type']} {amiss}"


def owners_word(books: Books) -> Iterator[str]:
    """One decision each, open while QUEUED and no longer; nothing that wants it is signed without it, or dearer."""
    rows = {tx["id"]: tx for tx in books.transactions}
    asked = {approval["tx_id"]: approval for approval in books.approvals}
    for tx_id, approval in asked.items():
        ends = [name for name in ("approved_at", "rejected_at", "closed_at") if approval[name] is not None]
        if len(ends) != (0 if rows[tx_id]["status"] == "QUEUED" else 1):
            yield f"owner: transaction {tx_id} is {rows[tx_id]['status']}, its approval has {ends}"
    for attempt in books.attempts:
        tx = rows[attempt["tx_id"]]
        while tx["parent_id"] is not None:
            tx = rows[tx["parent_id"]]
        word = asked.get(tx["id"])
        approved = word is not None and word["approved_at"] is not None
        if tx["tier"] == "APPROVAL" and not approved:
            yield f"owner: attempt {attempt['id']} was signed without the owner's word"
        dearest = int(word["max_fee"]) if word is not None and approved else None
        if dearest is not None and attempt["kind"] != "CANCEL" and int(attempt["max_fee"]) > dearest:
            yield f"owner: attempt {attempt['id']} may cost {attempt['max_fee']}, signed for was {dearest}"


# --- the ledger ---------------------------------------------------------------------------------


def settled(books: Books, chain: Chain) -> Iterator[str]:
    """The ledger nets to zero for every final transaction, settled once and as the chain says."""
    landed = {one.hash: one for one in chain.landed}
    rows: defaultdict[str, list[sqlite3.Row]] = defaultdict(list)
    for row in books.ledger:
        place = (row["kind"], row["asset"], row["spender"])
        # of an allowance that is taken bit by bit each bit has its row
        if row["kind"] != "ALLOWANCE" and place in [
            (one["kind"], one["asset"], one["spender"]) for one in rows[row["tx_id"]]
        ]:
            yield f"ledger: transaction {row['tx_id']} has two rows of {row['kind']}"
        rows[row["tx_id"]].append(row)
        if row["state"] == "SPENT" and int(row["settled"]) > int(row["reserved"]):
            yield f"ledger: {row['kind']} of {row['tx_id']} cost {row['settled']}, {row['reserved']} was set aside"
    reorganised = told_of(books, "TX_REORGED")
    for tx in books.transactions:
        found: dict[str, set[str]] = defaultdict(set)
        for row in rows[tx["id"]]:
            found[row["kind"]].add(row["state"])
        wanted = _wanted(tx)
        if any(found[kind] - states for kind, states in wanted.items()) or (wanted and "FEE" not in found):
            state = f"{tx['status']} ({tx['error_code']})"
            yield f"ledger: transaction {tx['id']} is {state}: {_told(found)}, not {_told(wanted)}"
        elif not wanted and rows[tx["id"]]:
            yield f"ledger: transaction {tx['id']} is {tx['status']}, nothing should be set aside: {_told(found)}"
        elif is_withdrawal(tx):
            continue
        elif (one := landed.get(tx["tx_hash"])) is not None and tx["status"] in FINAL and tx["id"] not in reorganised:
            yield from _as_paid(tx, one, rows[tx["id"]])


def _as_paid(tx: sqlite3.Row, one: Landed, rows: list[sqlite3.Row]) -> Iterator[str]:
    native = [row for row in rows if row["asset"] == NATIVE[tx["chain"]]]
    amount, fee = (sum(int(row["settled"] or 0) for row in native if row["kind"] == kind) for kind in ("AMOUNT", "FEE"))
    outflow = one.outflow if one.ok else 0
    if amount + fee != outflow + one.fee or fee < one.fee:
        yield f"ledger: transaction {tx['id']} cost {outflow} and {one.fee}, booked: {amount} and {fee}"


def _wanted(tx: sqlite3.Row) -> dict[str, set[str]]:
    """What the states of AMOUNT, FEE and ALLOWANCE may be; nothing where nothing is ever set aside."""
    if tx["tier"] is None or is_parent(tx) or is_withdrawal(tx):
        return {}
    if tx["status"] == "CONFIRMED":
        return {"AMOUNT": {"SPENT"}, "FEE": {"SPENT"}, "ALLOWANCE": {"RESERVED", "RELEASED", "SPENT"}}
    # an approval ends with the code of its reset, and has never been signed itself
    if tx["status"] == "FAILED" and tx["error_code"] in LOST and tx["tx_hash"] is not None:
        return {"AMOUNT": {"RELEASED"}, "FEE": {"SPENT"}, "ALLOWANCE": {"RELEASED"}}
    state = "RELEASED" if tx["status"] in FINAL else "RESERVED"
    return {"AMOUNT": {state}, "FEE": {state}, "ALLOWANCE": {state}}


def _told(states: Mapping[str, set[str]]) -> dict[str, str]:
    return {kind: "/".join(sorted(found)) for kind, found in states.items() if found}


def balanced(books: Books, chain: Chain) -> Iterator[str]:
    """To the unit: what an agent got, less what its ledger says it spent and what has landed unsettled, is there.

    Of what a reorganisation took back the chain's word counts: the ledger holds it spent.
    """
    owner = {attempt["tx_hash"]: attempt["tx_id"] for attempt in books.attempts}
    reorganised = told_of(books, "TX_REORGED")
    booked = {tx["id"] for tx in books.transactions if tx["status"] in FINAL and not is_withdrawal(tx)} - reorganised
    for agent in books.agents:
        address = spelled(agent)
        got = chain.endowed.get(address, 0) + sum(
            amount for one in chain.landed for to, amount in one.incomes() if to == address
        )
        spent = sum(
            int(row["settled"])
            for row in books.ledger
            if row["agent_id"] == agent["id"] and row["state"] == "SPENT" and row["asset"] == NATIVE[agent["chain"]]
            if row["tx_id"] in booked
        )
        unsettled = sum(
            one.outflow + one.fee for one in chain.landed if one.signer == address and owner.get(one.hash) not in booked
        )
        if got - spent - unsettled != chain.balances.get(address, 0):
            yield (
                f"balance: agent {agent['id']} got {got}, spent {spent}, {unsettled} is landed and not settled yet: "
                f"{got - spent - unsettled}, and the chain holds {chain.balances.get(address, 0)}"
            )


# --- small things -------------------------------------------------------------------------------


def read(raw: bytes) -> SolanaBytes | EvmBytes:
    """Signed bytes of either chain: a type 2 transaction begins with 2, a Solana one with the count of signatures."""
    return signed.evm(raw) if raw[:1] == b"\x02" else signed.solana(raw)


def spelled(agent: sqlite3.Row) -> str:
    """An agent's address as chains of this module spell it."""
    return str(agent["public_key"].lower() if agent["chain"] == "ethereum" else agent["public_key"])


def is_withdrawal(tx: sqlite3.Row) -> bool:
    """The operator's, to the owner: the ledger does not speak of it."""
    return bool(tx["origin"] == "withdraw")


def is_parent(tx: sqlite3.Row) -> bool:
    """Whether its items are signed, and not itself."""
    return tx["type"] == "BATCH" and tx["chain"] == "ethereum"


def told_of(books: Books, event: str) -> set[str]:
    """Transactions of which such an audit row tells."""
    return {row["tx_id"] for row in books.audit if row["event_type"] == event}


def switched_off(books: Books) -> set[str]:
    """Agents and sessions that the kill switch, or the start on an older database, says it stopped."""
    stops = ("KILL_SWITCH_ACTIVATED", "DATABASE_RESTORED")
    thrown = [json.loads(row["details"]) for row in books.audit if row["event_type"] in stops]
    return {one for told in thrown for one in (*told["agentsSuspended"], *told["sessionsRevoked"])}


__all__ = ["Books", "Chain", "breaches", "check", "items", "read_books"]
