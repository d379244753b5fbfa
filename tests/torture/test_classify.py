"""What a kill left on disk has a letter of the table of crash points."""

import json

import pytest

from waiaas.cli.torture.books import State
from waiaas.cli.torture.classify import classify
from waiaas.cli.torture.facts import Effect, Intent


def row(status: str, **more: object) -> dict:
    base = {"id": "tx", "parent_id": None, "type": "TRANSFER", "status": status}
    return base | {"request": json.dumps({"to": "t", "amount": "5"})} | more


def attempt(broadcasts: int) -> dict:
    return {"tx_id": "tx", "tx_hash": "hash", "broadcasts": broadcasts, "network": "localnet"}


def state(*unfinished: dict, live: int | None = None, **more: object) -> State:
    known = {"agents": [], "denied": [], "keys": set(), "ledger": [], "policies": []}
    return State(unfinished=list(unfinished), live=[] if live is None else [attempt(live)], **known | more)


WANTED = Intent("i", "transfer", "agent", "key", (Effect("localnet", "s", "native:solana", "t", 5),))


@pytest.mark.parametrize(
    ("found", "sent", "landed", "point"),
    [
        (state(row("PENDING")), set(), set(), "b"),
        (state(row("QUEUED")), set(), set(), "d"),
        (state(row("EXECUTING")), set(), set(), "e"),
        (state(row("SUBMITTED"), live=0), set(), set(), "f"),
        (state(row("SUBMITTED"), live=0), {"hash"}, set(), "g"),
        (state(row("SUBMITTED"), live=0), {"hash"}, {"hash"}, "g"),
        (state(row("SUBMITTED"), live=1), {"hash"}, set(), "h"),
        (state(row("SUBMITTED"), live=1), {"hash"}, {"hash"}, "i"),
        (state(row("SUBMITTED")), {"hash"}, set(), "i"),
        (state(row("SUBMITTED", type="BATCH")), set(), set(), "h"),
        (state(row("PENDING", parent_id="parent")), set(), set(), "h"),
        (state(agents=[{"status": "CREATING"}]), set(), set(), "j"),
    ],
)
def test_a_row_has_its_point(found, sent, landed, point):
    assert classify(found, [], sent, landed, elsewhere=False) == {point}


def test_a_request_of_which_nothing_is_stored_is_at_a():
    assert classify(state(), [WANTED], set(), set(), elsewhere=False) == {"a"}


def test_a_request_whose_transaction_is_there_is_not_at_a():
    assert classify(state(row("PENDING")), [WANTED], set(), set(), elsewhere=False) == {"b"}
    assert classify(state(keys={"key"}), [WANTED], set(), set(), elsewhere=False) == set()


def test_a_denial_that_nobody_heard_of_is_at_c():
    assert classify(state(denied=[row("CANCELLED")]), [WANTED], set(), set(), elsewhere=False) == {"c"}


def test_what_goes_on_outside_the_pipeline_is_at_j():
    assert classify(state(), [], set(), set(), elsewhere=True) == {"j"}
