"""The ledger's arithmetic against a model that adds up everything every time."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from waiaas.domain.ledger import KEPT_SECONDS, Book, LedgerKind, LedgerState

from .build import NOW, SOL, USDC, row, spent

AMOUNT, FEE, ALLOWANCE = LedgerKind
SPENT, RELEASED = LedgerState.SPENT, LedgerState.RELEASED
WINDOWS = (3600, 86400, 604800, 2592000)


class Naive:
    """Every row by id, summed from scratch."""

    def __init__(self):
        self.rows = {}

    def used(self, asset, window, now, without=None):
        total = 0
        for each in self.rows.values():
            if each.asset == asset and each.state is SPENT and each.settled_at > now - window:
                total += each.settled
            if each.asset == asset and each.state is LedgerState.RESERVED and each.tx_id != without:
                total += each.reserved
        return total

    def reserved(self, asset, kind, without=None):
        return sum(
            each.reserved
            for each in self.rows.values()
            if (each.asset, each.kind, each.state) == (asset, kind, LedgerState.RESERVED) and each.tx_id != without
        )


def settle(each, amount, at):
    return replace(each, state=SPENT, settled=amount, settled_at=at)


def release(each, at):
    return replace(each, state=RELEASED, settled_at=at)


def test_an_empty_book_has_used_nothing():
    book = Book.of(7, [])
    assert (book.version, book.used(SOL, 3600, NOW), book.reserved(SOL, AMOUNT)) == (7, 0, 0)
    assert book.next_release(SOL, 3600, NOW, room=0) == NOW


def test_a_row_moves_from_reserved_to_spent_with_what_it_really_cost():
    mine = row(10, tx_id="t")
    reserved = Book.of(1, []).after(2, [mine])
    settled = reserved.after(3, [settle(mine, 8, NOW)])
    assert [book.used(SOL, 3600, NOW) for book in (reserved, settled)] == [10, 8]
    assert settled.reserved(SOL, AMOUNT) == 0


def test_a_raised_reservation_replaces_the_old_one():
    fee = row(10, kind=FEE)
    assert Book.of(1, [fee]).after(2, [replace(fee, reserved=25)]).used(SOL, 3600, NOW) == 25


def test_a_released_row_counts_no_more():
    mine, other = row(10), row(5)
    assert Book.of(1, [mine, other]).after(2, [release(mine, NOW)]).used(SOL, 3600, NOW) == 5
    assert Book.of(1, [release(mine, NOW), other]).used(SOL, 3600, NOW) == 5


def test_without_leaves_out_every_open_row_of_that_transaction_only():
    rows = row(10, tx_id="t"), row(3, tx_id="t", kind=FEE), row(7, tx_id="u"), spent(100)
    book = Book.of(1, rows)
    assert book.used(SOL, 3600, NOW, without="t") == 107
    assert book.reserved(SOL, AMOUNT, without="t") == 7
    assert book.used(SOL, 3600, NOW, without="unknown") == 120


def test_the_version_must_rise():
    with pytest.raises(ValueError):
        Book.of(2, []).after(2, [])


def test_a_book_never_changes_whatever_follows_it():
    base = Book.of(1, [spent(1, ago=100)])
    first = base.after(2, [spent(10, ago=50)])
    second = base.after(2, [spent(100, ago=50)])
    third = first.after(3, [spent(1000, ago=80), row(5)])
    assert [book.used(SOL, 3600, NOW) for book in (base, first, second, third)] == [1, 11, 101, 1016]


def test_sums_are_exact_beyond_64_bits():
    huge = 2**256 - 1
    book = Book.of(1, [spent(huge, ago=1), spent(huge, ago=2), row(huge)])
    assert book.used(SOL, 3600, NOW) == 3 * huge
    assert book.used(SOL, 2, NOW) == 2 * huge


def test_a_spend_at_the_edge_of_the_window_has_left_it():
    book = Book.of(1, [spent(5, ago=3600)])
    assert [book.used(SOL, 3600, NOW + shift) for shift in (-1, 0)] == [5, 0]


def test_the_next_release_is_when_enough_has_left():
    book = Book.of(1, [spent(5, ago=300), spent(5, ago=200), spent(5, ago=200), spent(5, ago=100), row(2)])
    times = {room: book.next_release(SOL, 3600, NOW, room=room) for room in (22, 21, 17, 16, 12, 7, 2, 1)}
    assert times == {
        22: NOW,
        21: NOW + 3300,
        17: NOW + 3300,
        16: NOW + 3400,
        12: NOW + 3400,
        7: NOW + 3400,
        2: NOW + 3500,
        1: None,
    }


def test_spends_older_than_any_window_are_dropped_in_time():
    book = Book.of(1, [])
    for day in range(400):
        at = NOW + day * 86400
        book = book.after(day + 2, [settle(row(1), 1, at)])
        assert book.used(SOL, 2592000, at) == min(day + 1, 30)
    held = book._spent[SOL]
    assert held.length < 2 * KEPT_SECONDS // 86400 + 2


steps = st.lists(
    st.tuples(
        st.sampled_from(["reserve", "settle", "settle", "release", "raise", "wait", "late"]),
        st.integers(0, 2**70),
        st.sampled_from([SOL, USDC]),
        st.sampled_from(list(LedgerKind)),
        st.integers(0, 7),
        st.sampled_from([0, 1, 3599, 3600, 86399, 86400, 604800, 2592000]),
    ),
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(steps)
def test_a_book_equals_the_model_at_every_step(sequence):
    naive, book, now = Naive(), Book.of(0, []), NOW
    older = []
    for version, (step, amount, asset, kind, pick, pause) in enumerate(sequence, 1):
        opened = [each for each in naive.rows.values() if each.state is LedgerState.RESERVED]
        target = opened[pick % len(opened)] if opened else None
        now += pause if step == "wait" else 0
        changed = []
        if step == "reserve":
            changed = [row(amount, asset=asset, kind=kind, tx_id=f"t{pick}")]
        elif step == "settle" and target:
            changed = [settle(target, amount, now)]
        elif step == "late" and target:
            changed = [settle(target, amount, now - pause)]
        elif step == "release" and target:
            changed = [release(target, now)]
        elif step == "raise" and target:
            changed = [replace(target, reserved=target.reserved + amount)]
        older.append((book, [book.used(each, 3600, NOW) for each in (SOL, USDC)]))
        book = book.after(version, changed)
        naive.rows |= {each.id: each for each in changed}
        agree(book, naive, asset, now)
    agree(Book.of(99, naive.rows.values()), naive, SOL, now)
    for past, sums in older:
        assert [past.used(each, 3600, NOW) for each in (SOL, USDC)] == sums


def agree(book, naive, asset, now):
    for without in (None, "t1"):
        for window in WINDOWS:
            assert book.used(asset, window, now, without=without) == naive.used(asset, window, now, without)
        for kind in LedgerKind:
            assert book.reserved(asset, kind, without=without) == naive.reserved(asset, kind, without)
    room = naive.used(asset, 3600, now) // 2
    if (at := book.next_release(asset, 3600, now, room=room)) is None:
        assert sum(naive.reserved(asset, kind) for kind in LedgerKind) > room
    else:
        assert naive.used(asset, 3600, at) <= room
        assert at == now or naive.used(asset, 3600, at - 1) > room
