"""Journals against database against chain, at the end of a run: what clients wanted, what is booked, what happened.

Nothing here is taken from the daemon's own judgement, pipeline or queries: it reads rows, decodes signed bytes again
and asks the chain itself.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

import msgspec

from waiaas.cli.torture.asked import wanted_by
from waiaas.cli.torture.books import Books, Row
from waiaas.cli.torture.facts import Landed, Truth
from waiaas.cli.torture.hosts import KINDS
from waiaas.cli.torture.journal import Records
from waiaas.cli.torture.limits import overbooked, overspent
from waiaas.cli.torture.money import by_agent, landed_anew, unbalanced, unsettled
from waiaas.cli.torture.rulings import signed_while_stopped, undecided
from waiaas.cli.torture.shares import outlived, overdrawn, renewed_otherwise
from waiaas.cli.torture.thefts import untold, without

FINAL = {"CONFIRMED", "FAILED", "CANCELLED", "EXPIRED", "PARTIAL_FAILURE"}
#: codes of FAILED rows whose bytes are in a block all the same
LANDED_AND_FAILED = {"ONCHAIN_FAILURE", "CANCELLED_ON_CHAIN"}


class Verdict(msgspec.Struct, frozen=True):
    """What does not agree, by kind; a run is good when all are empty."""

    duplicates: list[str]
    lost: list[str]
    violated_limits: list[str]
    unbalanced: list[str]
    others: list[str]

    def findings(self) -> list[str]:
        """All of it."""
        return [*self.duplicates, *self.lost, *self.violated_limits, *self.unbalanced, *self.others]


def compare(records: Records, books: Books, before: Truth, truth: Truth) -> Verdict:
    """Everything that must agree; `before` is what the chains said when the agents had just got their first money."""
    dearer = landed_anew(records, books, truth)
    return Verdict(
        duplicates=[*double_effects(records, truth), *double_landings(books, truth), *double_rows(records, books)],
        lost=[*lost(records, books, truth)],
        violated_limits=[
            *overbooked(books.agents, books.ledger, books.policies, truth.native),
            *overspent(books.agents, books.policies, without(truth, records), by_agent(books, dearer)),
            *overdrawn(books, truth),
        ],
        unbalanced=[
            *unsettled(books, truth, dearer),
            *unbalanced(records, books, before, truth, by_agent(books, dearer)),
        ],
        others=[
            *unfinished(books),
            *unwanted(records, books),
            *untrue(books, truth),
            *unexplained(records, books, truth),
            *untold(records, books, truth),
            *unlike_told(records, books),
            *undecided(records, books),
            *signed_while_stopped(books),
            *outlived(books),
            *renewed_otherwise(records, books),
        ],
    )


def double_effects(records: Records, truth: Truth) -> Iterator[str]:
    """What a client wanted once happens once at most, and what was refused does not happen."""
    happened = truth.effects()
    accepted = records.accepted()
    for intent in records.intents.values():
        times = max((happened[effect] for effect in intent.effects if effect.amount), default=0)
        if times > 1:
            yield f"duplicate: intent {intent.id} ({intent.operation}) happened {times} times"
        refused = intent.id in records.answers and intent.id not in accepted
        if refused and times:
            yield f"duplicate: intent {intent.id} ({intent.operation}) was refused and happened"


def double_landings(books: Books, truth: Truth) -> Iterator[str]:
    """Of the attempts of a transaction one at most is in a block."""
    landed: Counter[str] = Counter(row["tx_id"] for row in books.attempts if row["tx_hash"] in truth.landed)
    yield from (f"duplicate: transaction {tx} landed {times} times" for tx, times in landed.items() if times > 1)


def double_rows(records: Records, books: Books) -> Iterator[str]:
    """A key makes one transaction, and every answer to it names that one."""
    rows: Counter[str] = Counter(row["idempotency_key"] for row in books.transactions if row["idempotency_key"])
    yield from (f"duplicate: key {key} made {times} transactions" for key, times in rows.items() if times > 1)
    for intent, answers in records.answers.items():
        named = {answer.transaction for answer in answers if answer.accepted}
        if len(named) > 1:
            yield f"duplicate: intent {intent} was answered with {len(named)} transactions"


def lost(records: Records, books: Books, truth: Truth) -> Iterator[str]:
    """What was accepted is there, is what was asked for, and if it is CONFIRMED has happened."""
    rows, happened = {row["id"]: row for row in books.transactions}, truth.effects()
    for intent_id, transaction in records.accepted().items():
        intent, row = records.intents[intent_id], rows.get(transaction)
        # that an allowance is taken back shows in what follows, not in an effect that nothing else has
        times = [happened[effect] for effect in intent.effects if effect.amount] or [row_says(row)]
        if row is None:
            yield f"lost: intent {intent_id} was accepted as {transaction}, which is not there"
        elif row["idempotency_key"] != intent.key or row["agent_id"] != intent.agent_id:
            yield f"lost: transaction {transaction} is not the one of intent {intent_id}"
        elif row["status"] == "CONFIRMED" and min(times) == 0:
            yield f"lost: transaction {transaction} is CONFIRMED and has not happened"
        elif row["status"] == "PARTIAL_FAILURE" and not (max(times) > 0 and min(times) == 0):
            yield f"lost: transaction {transaction} is PARTIAL_FAILURE, its items happened {times} times"
        elif row["status"] in FINAL - {"CONFIRMED", "PARTIAL_FAILURE"} and max(times) > 0:
            yield f"lost: transaction {transaction} is {row['status']} and has happened"


def row_says(row: Row | None) -> int:
    """How often it happened if its own row is believed."""
    return int(row is not None and row["status"] == "CONFIRMED")


def unfinished(books: Books) -> Iterator[str]:
    """Everything is final, every agent is whole."""
    for row in books.transactions:
        if row["status"] not in FINAL:
            yield f"unfinished: transaction {row['id']} is {row['status']}"
    for agent in books.agents:
        if agent["status"] == "CREATING":
            yield f"unfinished: agent {agent['id']} is CREATING"


def unwanted(records: Records, books: Books) -> Iterator[str]:
    """No transaction is there that no client wanted."""
    wanted = {
        (intent.agent_id, tuple(sorted((effect.asset, effect.to, effect.amount) for effect in intent.effects)))
        for intent in records.intents.values()
    }
    for row in books.transactions:
        if row["parent_id"] is None and (row["agent_id"], wanted_by(row["network"], row["request"])) not in wanted:
            yield f"unwanted: nobody asked for transaction {row['id']}"


def untrue(books: Books, truth: Truth) -> Iterator[str]:
    """What is signed is what its hash says, and a row ends as its bytes did on the chain."""
    rows = {row["id"]: row for row in books.transactions}
    ends: defaultdict[str, list[Landed]] = defaultdict(list)
    for attempt in books.attempts:
        known = next(kind.known for name, kind in KINDS.items() if name == attempt["network"])
        if known.hash_of(attempt["raw"]) != attempt["tx_hash"]:
            yield f"untrue: attempt {attempt['tx_hash']} holds other bytes than those of its hash"
        landed = truth.landed.get(attempt["tx_hash"])
        if (landed is not None) != (attempt["status"] == "LANDED"):
            yield f"untrue: attempt {attempt['tx_hash']} is {attempt['status']}, in a block: {landed is not None}"
        if landed is not None:
            ends[attempt["tx_id"]].append(landed)
    for tx_id, row in rows.items():
        if row["type"] != "BATCH" or tx_id in ends:
            yield from _ends_as(row, ends[tx_id])


def _ends_as(row: Row, landed: list[Landed]) -> Iterator[str]:
    # what cancels a payment on chain lands well, and moves nothing
    done = any(one.effects for one in landed)
    match row["status"]:
        case "CONFIRMED":
            fits = done
        case "FAILED":
            fits = not done and bool(landed) == (row["error_code"] in LANDED_AND_FAILED)
        case _:
            fits = not landed
    if not fits:
        ends = [(one.hash, "ok" if one.ok else "failed") for one in landed]
        yield f"untrue: transaction {row['id']} is {row['status']} ({row['error_code']}), on chain: {ends}"


def unexplained(records: Records, books: Books, truth: Truth) -> Iterator[str]:
    """Whatever landed with an agent's signature is an attempt of a transaction, or a stranger's."""
    signers = {(agent["network"], agent["public_key"]) for agent in books.agents}
    attempts = {row["tx_hash"] for row in books.attempts}
    for landed in without(truth, records).landed.values():
        if (landed.network, landed.signer) in signers and landed.hash not in attempts:
            yield f"unexplained: {landed.hash} landed for {landed.signer} and belongs to no attempt"


def unlike_told(records: Records, books: Books) -> Iterator[str]:
    """A final status that a client was told is the one that stands."""
    rows = {row["id"]: row["status"] for row in books.transactions}
    for transaction, told in records.seen.items():
        if set(told) != {rows.get(transaction)}:
            yield f"told: transaction {transaction} was told to be {sorted(set(told))} and is {rows.get(transaction)}"


def merged(truths: Iterable[Truth]) -> Truth:
    """Several networks as one."""
    whole = Truth({}, {}, {}, {})
    for truth in truths:
        whole.landed.update(truth.landed)
        whole.balances.update(truth.balances)
        whole.native.update(truth.native)
        whole.tokens.update(truth.tokens)
    return whole
