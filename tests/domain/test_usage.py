"""What sessions have used is the same whether it is summed up anew or followed row by row."""

from hypothesis import given
from hypothesis import strategies as st

from waiaas.domain.ledger import LedgerState
from waiaas.domain.usage import SessionSpend, Usage, Used

SESSIONS = ("a", "b", "c")
END = st.sampled_from([None, LedgerState.SPENT, LedgerState.RELEASED])
SPENDS = st.lists(
    st.tuples(st.sampled_from(SESSIONS), st.sampled_from("xy"), st.integers(0, 2**256), END, st.integers(0, 9)),
    max_size=20,
)


def naive(rows: list[SessionSpend], sessions: list[str], without: list[str]) -> dict[str, Used]:
    found: dict[str, Used] = {}
    for row in rows:
        if row.session_id not in sessions or row.state is LedgerState.RELEASED:
            continue
        before = found.get(row.asset, Used())
        if row.state is LedgerState.SPENT:
            found[row.asset] = Used(before.reserved, before.spent + row.amount)
        elif row.tx_id not in without:
            found[row.asset] = Used(before.reserved + row.amount, before.spent)
    return found


def used(sums: dict[str, Used]) -> dict[str, Used]:
    return {asset: one for asset, one in sums.items() if one.total}


@given(SPENDS, st.lists(st.sampled_from(SESSIONS), unique=True), st.lists(st.sampled_from(["t0", "t1"]), unique=True))
def test_sums_follow_the_rows(spends, sessions, without):
    usage, opened = Usage(), []
    for number, (session, asset, amount, end, tx) in enumerate(spends):
        opened.append((SessionSpend(str(number), session, f"t{tx}", asset, LedgerState.RESERVED, amount), end))
    usage.take(1, [row for row, end in opened if end is not LedgerState.SPENT])
    ended = [
        row if end is None else SessionSpend(row.id, row.session_id, row.tx_id, row.asset, end, row.amount // 2)
        for row, end in opened
    ]
    usage.take(2, [row for row in ended if row.state is not LedgerState.RESERVED])
    assert used(usage.of(sessions, without=without)) == used(naive(ended, sessions, without))
    assert usage.version == 2
