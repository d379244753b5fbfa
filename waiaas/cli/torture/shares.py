"""What sessions were given against what was done with them, recomputed from the chain over whole families."""

import json
from collections import defaultdict
from collections.abc import Iterator

from waiaas.cli.torture.books import Books, Row
from waiaas.cli.torture.facts import Truth
from waiaas.cli.torture.journal import Records


def overdrawn(books: Books, truth: Truth) -> Iterator[str]:
    """Sessions that moved more than their `maxTotalAmount`, with all below them."""
    moved: defaultdict[str, int] = defaultdict(int)
    owners, above = sessions_of(books), ancestors(books.sessions)
    for attempt in books.attempts:
        landed = truth.landed.get(attempt["tx_hash"])
        if landed is None or owners.get(attempt["tx_id"]) is None:
            continue
        native = truth.native[landed.network]
        amount = sum(one.amount for one in landed.effects if (one.sender, one.asset) == (landed.signer, native))
        for session in above.get(str(owners[attempt["tx_id"]]), []):
            moved[session] += amount
    for row in books.sessions:
        cap = json.loads(row["constraints"] or "{}").get("maxTotalAmount")
        if cap is not None and moved[row["id"]] > int(cap):
            yield f"limits: session {row['id']} and those below it moved {moved[row['id']]}, {cap} are allowed"


def outlived(books: Books) -> Iterator[str]:
    """Transactions that were accepted for a session after it, or one above it, was revoked."""
    ends, above = {row["id"]: row["revoked_at"] for row in books.sessions}, ancestors(books.sessions)
    for row in books.transactions:
        for session in above.get(row["session_id"], []):
            # both are rounded down to seconds, and are drawn before they are committed
            if ends[session] is not None and row["created_at"] > ends[session] + 1:
                yield f"session: transaction {row['id']} is younger than the end of session {session}"


def renewed_otherwise(records: Records, books: Books) -> Iterator[str]:
    """Each renewal that was answered is there, and no more than were asked for."""
    counts = {row["id"]: row["renewal_count"] for row in books.sessions}
    for session, (asked, answered) in records.renewals.items():
        if not answered <= counts.get(session, 0) <= asked:
            yield (
                f"session: {session} was asked {asked} times to be renewed, was {answered} times, "
                f"and counts {counts.get(session, 0)}"
            )


def sessions_of(books: Books) -> dict[str, str | None]:
    """Transaction → session, of items too."""
    own = {row["id"]: row["session_id"] for row in books.transactions}
    return {row["id"]: own.get(row["parent_id"] or row["id"]) for row in books.transactions}


def ancestors(sessions: list[Row]) -> dict[str, list[str]]:
    """Session → itself and all above it."""
    parents = {row["id"]: row["parent_id"] for row in sessions}
    found = {}
    for session in parents:
        line, at = [], session
        while at is not None:
            line.append(at)
            at = parents.get(at)
        found[session] = line
    return found
