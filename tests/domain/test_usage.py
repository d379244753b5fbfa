"""What sessions have used is the same whether it is summed up anew or followed row by row."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from waiaas.domain.ledger import LedgerKind, LedgerRow, LedgerState
from waiaas.domain.usage import Usage, Used

SESSIONS = ("a", "b", "c")
END = st.sampled_from([None, LedgerState.SPENT, LedgerState.RELEASED])
KIND = st.sampled_from([LedgerKind.AMOUNT, LedgerKind.ALLOWANCE, LedgerKind.FEE])
SPENDS = st.lists(
    st.tuples(
        st.sampled_from([*SESSIONS, None]), st.sampled_from("xy"), KIND, st.integers(0, 2**256), END, st.integers(0, 9)
    ),
    max_size=20,
)


def naive(rows: list[LedgerRow], sessions: list[str], without: list[str]) -> dict[str, Used]:
    found: dict[str, Used] = {}
    for row in rows:
        if row.session_id not in sessions or row.kind is LedgerKind.FEE or row.state is LedgerState.RELEASED:
            continue
        before = found.get(row.asset, Used())
        if row.settled is not None:
            found[row.asset] = Used(before.reserved, before.spent + row.settled)
        elif row.tx_id not in without:
            found[row.asset] = Used(before.reserved + row.reserved, before.spent)
    return found


def used(sums: dict[str, Used]) -> dict[str, Used]:
    return {asset: one for asset, one in sums.items() if one.total}


def begun(number: int, session: str | None, asset: str, kind: LedgerKind, amount: int, tx: int) -> LedgerRow:
    return LedgerRow(
        str(number), "agent", session, f"t{tx}", asset, kind, None, LedgerState.RESERVED, amount, None, 0, None
    )


def ended(row: LedgerRow, end: LedgerState | None) -> LedgerRow:
    if end is None:
        return row
    settled = row.reserved // 2 if end is LedgerState.SPENT else None
    return msgspec.structs.replace(row, state=end, settled=settled, settled_at=1)


@given(SPENDS, st.lists(st.sampled_from(SESSIONS), unique=True), st.lists(st.sampled_from(["t0", "t1"]), unique=True))
def test_sums_follow_the_rows(spends, sessions, without):
    opened = [
        (begun(number, session, asset, kind, amount, tx), end)
        for number, (session, asset, kind, amount, end, tx) in enumerate(spends)
    ]
    usage = Usage(row for row, end in opened if end is not LedgerState.SPENT)
    now = [ended(row, end) for row, end in opened]
    usage.take(row for row in now if row.state is not LedgerState.RESERVED)
    assert used(usage.of(sessions, without=without)) == used(naive(now, sessions, without))
    assert used(Usage(now).of(sessions, without=without)) == used(naive(now, sessions, without))
