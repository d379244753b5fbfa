"""The past played again: what only the candidate lets happen counts, what it refuses has not happened."""

import msgspec

from waiaas.domain.chain import Chain
from waiaas.domain.effects import effects
from waiaas.domain.history import Entry, Made, Past
from waiaas.domain.ledger import Book, LedgerKind, LedgerState
from waiaas.domain.request import Transfer
from waiaas.policy.history import History

from .build import BOB, NOW, OWN, SOL, USDC, approval, ask, limit, row, send, spenders


def past(request, *policies, number, version=1, gone=None):
    """A request as it was judged on that version of the ledger, one second after the one before it."""
    at = NOW + number
    decision = ask(request, *policies, now=at, book=Book.of(version, ()))
    made = Made(f"tx-{number}", "session", at, decision.outcome == "deny" if gone is None else gone)
    return Past(made, request, effects(request, Chain.SOLANA, sender=OWN), decision)


def entry(of, amount, *, version, state=LedgerState.SPENT, kind=LedgerKind.AMOUNT):
    """A row of that request as it ended in that version."""
    settled = amount if state is LedgerState.SPENT else None
    stored = msgspec.structs.replace(
        row(amount, kind=kind, tx_id=of.made.id, id=f"{of.made.id}-{kind}"),
        state=state,
        settled=settled,
        created_at=of.made.created_at,
        settled_at=of.made.created_at,
    )
    return Entry(stored, version, of.made.id, of.made.created_at)


def history(pasts, entries=(), earlier=(), lineage=None):
    return History(Chain.SOLANA, entries, earlier, pasts, lineage or {})


def used(found, asset=USDC):
    return found.book.used(asset, 86400, NOW + 100)


def test_a_grant_that_only_the_candidate_allows_stays_open_until_it_is_taken_back():
    grant, revoke = past(approval(5), number=0), past(approval(0), number=1)
    assert (grant.was_allowed, revoke.was_allowed) == (False, True)
    found = history([grant, revoke])
    allowed = ask(approval(5), spenders(BOB), now=NOW)
    found.go_to(grant)
    found.allow(grant, allowed)
    assert (used(found), found.book.allowance(USDC, BOB)) == (5, 5)
    found.go_to(revoke)
    found.allow(revoke, revoke.decision)
    assert (used(found), found.book.allowance(USDC, BOB)) == (0, 0)


def test_what_had_been_denied_is_spent_at_once_as_requested_with_its_fee():
    denied = past(approval(1), number=0)
    request = msgspec.structs.replace(
        denied, request=None, effects=effects(Transfer(BOB, "7"), Chain.SOLANA, sender=OWN)
    )
    found = history([request])
    found.go_to(request)
    found.allow(request, send(7, limit(daily_total="100"), fee=2))
    assert used(found, SOL) == 9


def test_what_the_candidate_refuses_is_not_in_the_book_whatever_became_of_it():
    first, second = (past(approval(0), number=number, version=1 + 2 * number) for number in (0, 1))
    rows = [entry(first, 5, version=3), entry(second, 7, version=5)]
    for refused, left in ((False, 5), (True, 0)):
        found = history([first, second], rows)
        found.go_to(first)
        if refused:
            found.deny(first)
        else:
            found.allow(first, first.decision)
        found.go_to(second)
        assert used(found, SOL) == left


def test_what_was_taken_back_counts_until_then():
    first = past(approval(0), number=0, version=1, gone=True)
    second = past(approval(0), number=1, version=2)
    third = past(approval(0), number=2, version=3)
    released = entry(first, 5, version=3, state=LedgerState.RELEASED, kind=LedgerKind.FEE)
    found = history([first, second, third], [released], lineage={"session": ("session", "parent")})
    found.go_to(first)
    found.allow(first, first.decision)
    found.go_to(second)
    assert found.recent(NOW - 60, 9) == (NOW,)
    assert (found.transactions_of("session"), found.transactions_of("parent")) == (1, 1)
    found.go_to(third)
    assert (found.recent(NOW - 60, 9), found.transactions_of("parent")) == ((), 0)


def test_a_session_and_its_ancestors_have_spent_what_became_of_it():
    first, second = (past(approval(0), number=number, version=1 + 2 * number) for number in (0, 1))
    spent = entry(first, 5, version=3)
    owned = Entry(msgspec.structs.replace(spent.row, session_id="session"), *msgspec.structs.astuple(spent)[1:])
    found = history([first, second], [owned], lineage={"session": ("session", "parent")})
    found.go_to(first)
    assert found.spent_by("parent") == {}
    found.allow(first, first.decision)
    found.go_to(second)
    assert found.spent_by("session") == found.spent_by("parent") == {SOL: 5}
