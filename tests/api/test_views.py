"""What is shown of a transaction that no test can bring about quickly."""

from typing import Any

import pytest

from tests.api.client import NOBODY
from waiaas.domain.chain import Chain, Network
from waiaas.domain.policy import Tier
from waiaas.domain.transaction import Progress, Status, Transaction, TransactionOrigin, TransactionType, View
from waiaas.wire.transactions import Confirmation, tx_detail, tx_response, tx_sent

NEVER_SENT = Progress(1, None, None, None, None, None, None, None)


def make_transaction(**fields: Any) -> Transaction:
    row = dict.fromkeys(Transaction.__struct_fields__) | {
        "id": NOBODY,
        "agent_id": NOBODY,
        "chain": Chain.SOLANA,
        "network": Network.LOCALNET,
        "origin": TransactionOrigin.SEND,
        "type": TransactionType.TRANSFER,
        "status": Status.PENDING,
        "tier": Tier.INSTANT,
        "request": '{"amount":"1","to":"x","type":"TRANSFER"}',
        "request_hash": "00",
        "created_at": 1,
        "updated_at": 1,
    }
    return Transaction(**(row | fields))


@pytest.mark.parametrize(
    ("status", "sent", "seen", "doubt"),
    [
        (Status.SUBMITTED, None, None, True),
        (Status.SUBMITTED, 10, None, True),
        (Status.SUBMITTED, 10, 9, True),
        (Status.SUBMITTED, 10, 10, False),
        (Status.CONFIRMED, 10, None, False),
        (Status.EXECUTING, None, None, False),
    ],
)
def test_a_transaction_is_in_doubt_until_it_is_sighted(status: Status, sent: int, seen: int, doubt: bool) -> None:
    view = View(make_transaction(status=status), Progress(1, sent, seen, None, None, None, None, None))
    assert tx_response(view).in_doubt is doubt


@pytest.mark.parametrize(
    ("tier", "shown"), [(Tier.DELAY, (7, None)), (Tier.APPROVAL, (None, 7)), (Tier.INSTANT, (None, None))]
)
def test_what_is_due_is_named_after_what_it_waits_for(tier: Tier, shown: tuple[int | None, int | None]) -> None:
    tx = make_transaction(tier=tier, due_at=7)
    for told in (tx_sent(tx), tx_response(View(tx, NEVER_SENT))):
        assert (told.execute_at, told.approval_expires_at) == shown


def test_a_depth_is_shown_from_the_first_sighting_on() -> None:
    tx = make_transaction(status=Status.SUBMITTED)
    assert tx_response(View(tx, NEVER_SENT)).confirmation is None
    seen = Progress(1, 1, 2, 77, 3, None, None, None)
    assert tx_response(View(tx, seen)).confirmation == Confirmation(77, 3, finalized=False)
    final = Progress(1, 1, 2, 77, None, 9, None, None)
    assert tx_response(View(tx, final)).confirmation == Confirmation(77, None, finalized=True)


def test_a_transaction_without_a_decision_is_shown_without_one() -> None:
    told = tx_detail(View(make_transaction(), NEVER_SENT), waiting=None, children=[], show_lists=False)
    assert (told.decision, told.downgraded_from, told.children) == (None, None, [])


def test_a_downgrade_is_told_from_the_decision() -> None:
    tx = make_transaction(tier=Tier.DELAY, due_at=7, decision='{"downgradedFrom":"APPROVAL","more":1}')
    assert tx_sent(tx).downgraded_from is Tier.APPROVAL
