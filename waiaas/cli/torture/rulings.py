"""What owners and the kill switch said against what was done: nothing without a yes, nothing while all is stopped."""

from collections import defaultdict
from collections.abc import Iterator

from waiaas.cli.torture.books import Books, Row
from waiaas.cli.torture.facts import Decided, Decision
from waiaas.cli.torture.journal import Records

SUCCESS = 200
#: where a decision is written down
WRITTEN = {"approve": "approved_at", "reject": "rejected_at"}
STOP, GO = "KILL_SWITCH_ACTIVATED", "KILL_SWITCH_RECOVERED"


def undecided(records: Records, books: Books) -> Iterator[str]:
    """What needs the owner is signed after a yes only, and each transaction is decided at most once."""
    said: defaultdict[str, list[Decision]] = defaultdict(list)
    for decision in records.decisions.values():
        said[decision.transaction].append(decision)
    parents = {row["id"]: row["parent_id"] or row["id"] for row in books.transactions}
    signed = {parents.get(attempt["tx_id"]) for attempt in books.attempts}
    approvals = {row["tx_id"]: row for row in books.approvals}
    for row in books.transactions:
        if row["parent_id"] is None:
            yield from _unlike(row, said[row["id"]], records.decided, approvals.get(row["id"]), row["id"] in signed)


def _unlike(
    row: Row, said: list[Decision], answers: dict[str, Decided], approval: Row | None, signed: bool
) -> Iterator[str]:
    told = [one.action for one in said if one.id in answers and answers[one.id].status == SUCCESS]
    perhaps = {one.action for one in said if one.id not in answers or answers[one.id].status == SUCCESS}
    name = f"decision: transaction {row['id']} ({row['status']} {row['error_code']})"
    if row["tier"] == "APPROVAL" and signed and "approve" not in perhaps:
        yield f"{name} was signed, and no owner has said yes"
    if len(told) > 1:
        yield f"{name} was decided {len(told)} times: {told}"
    if "reject" in told and (signed or row["status"] != "CANCELLED"):
        yield f"{name} was rejected"
    if "approve" in told and row["status"] in ("CANCELLED", "PENDING", "QUEUED"):
        yield f"{name} was approved"
    stored = [] if approval is None else [key for key in WRITTEN.values() if approval[key] is not None]
    if len(stored) > 1 or (told and stored != [WRITTEN[told[0]]]):
        yield f"{name} was told {told} and has {stored}"
    if "approved_at" in stored and "approve" not in perhaps:
        yield f"{name} has an approval that no owner gave"


def signed_while_stopped(books: Books) -> Iterator[str]:
    """By the order of commits: between a throw of the switch and its recovery nothing is signed."""
    stopped = False
    for row in sorted([*books.signings, *books.switchings], key=lambda row: int(row["id"])):
        if row["event_type"] in (STOP, GO):
            stopped = row["event_type"] == STOP
        elif stopped:
            yield f"switch: transaction {row['tx_id']} was signed ({row['event_type']}) while the switch was on"
