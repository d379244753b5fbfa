"""The comparison finds what it is there for: each test plants one thing in a world where everything agrees."""

import ast
import json
from pathlib import Path

import msgspec
import pytest

from tests.torture.conftest import FEE, GIFT, LARGEST, LIMIT, NETWORK, TOKEN, World
from waiaas.cli import torture
from waiaas.cli.torture.facts import Answer, Effect, Elsewhere, Landed
from waiaas.cli.torture.solana import NATIVE

#: what must not judge itself
JUDGED = {"policy", "pipeline", "repositories"}


def test_a_world_in_which_everything_agrees_has_no_findings(world):
    assert world.verdict().findings() == []


def first(world: World) -> dict:
    return world.books.transactions[0]


# --- duplicates -------------------------------------------------------------------------------------


def test_a_payment_that_landed_twice_is_a_duplicate(world):
    world.land(world.attempt(first(world), "LANDED"), 1_000_001)
    found = world.verdict()
    assert any("happened 2 times" in text for text in found.duplicates)
    assert any("landed 2 times" in text for text in found.duplicates)
    assert found.unbalanced != []


def test_a_second_transaction_for_one_intent_is_a_duplicate(world):
    world.land(world.attempt(first(world) | {"id": "tx 99"}, "LANDED"), 1_000_001)
    assert any("happened 2 times" in text for text in world.verdict().duplicates)


def test_a_refused_payment_that_happened_is_a_duplicate(world):
    denied = next(row for row in world.books.transactions if row["error_code"] == "SPENDING_LIMIT_EXCEEDED")
    world.land(world.attempt(denied, "LANDED"), 90_000_004)
    assert any("was refused and happened" in text for text in world.verdict().duplicates)


def test_a_key_that_made_two_transactions_is_a_duplicate(world):
    world.books.transactions.append(first(world) | {"id": "tx 99"})
    assert any(text.startswith("duplicate: key") for text in world.verdict().duplicates)


def test_one_intent_answered_with_two_transactions_is_a_duplicate(world):
    world.records.answers["intent 1"].append(Answer("intent 1", 200, transaction="tx 2"))
    assert any("answered with 2 transactions" in text for text in world.verdict().duplicates)


# --- lost -------------------------------------------------------------------------------------------


def test_an_accepted_payment_without_a_row_is_lost(world):
    world.books.transactions.remove(first(world))
    assert any("which is not there" in text for text in world.verdict().lost)


def test_a_confirmed_payment_that_never_landed_is_lost(world):
    del world.truth.landed[first(world)["tx_hash"]]
    found = world.verdict()
    assert any("has not happened" in text for text in found.lost)
    assert any("is LANDED, in a block: False" in text for text in found.others)


def test_an_expired_payment_that_landed_is_lost(world):
    expired = next(row for row in world.books.transactions if row["status"] == "EXPIRED")
    world.land(next(one for one in world.books.attempts if one["tx_id"] == expired["id"]), 1_000_006)
    assert any("is EXPIRED and has happened" in text for text in world.verdict().lost)


def test_an_answer_that_names_the_transaction_of_another_intent_is_lost(world):
    world.records.answers["intent 1"] = [Answer("intent 1", 200, transaction="tx 2")]
    assert any("is not the one of intent" in text for text in world.verdict().lost)


def test_a_partial_failure_of_which_nothing_happened_is_lost(world):
    expired = next(row for row in world.books.transactions if row["status"] == "EXPIRED")
    expired |= {"status": "PARTIAL_FAILURE", "type": "BATCH"}
    assert any("is PARTIAL_FAILURE" in text for text in world.verdict().lost)


def test_a_cancel_that_landed_is_no_payment(world):
    row = world.send(1_000_007, "FAILED", "CANCELLED_ON_CHAIN")
    landed = world.land(world.attempt(row, "LANDED"), 0)
    world.truth.landed[landed.hash] = msgspec.structs.replace(landed, effects=())
    world.books.ledger[-1] |= {"state": "SPENT", "settled": str(FEE)}
    assert world.verdict().findings() == []


@pytest.mark.parametrize(
    ("status", "code"),
    [("FAILED", "SIMULATION_FAILED"), ("CONFIRMED", None), ("EXPIRED", "BLOCKHASH_EXPIRED"), ("CANCELLED", None)],
)
def test_a_row_that_ends_otherwise_than_its_bytes_did_is_found(world, status, code):
    """They are in a block and failed there: only FAILED with ONCHAIN_FAILURE says so."""
    row = world.send(1_000_007, "FAILED", "ONCHAIN_FAILURE")
    landed = world.land(world.attempt(row, "LANDED"), 0)
    world.truth.landed[landed.hash] = msgspec.structs.replace(landed, ok=False, effects=())
    world.books.ledger[-1] |= {"state": "SPENT", "settled": str(FEE)}
    assert world.verdict().findings() == []
    row |= {"status": status, "error_code": code}
    assert any(f"{row['id']} is {status} ({code})" in text for text in world.verdict().others)


# --- money ------------------------------------------------------------------------------------------


def test_a_balance_that_is_one_unit_off_is_found(world):
    world.truth.balances[(NETWORK, world.address, NATIVE)] += 1
    assert world.verdict().unbalanced != []


def test_a_fee_booked_one_unit_too_low_is_found(world):
    world.books.ledger[1]["settled"] = str(FEE - 1)
    found = world.verdict().unbalanced
    assert any(text.startswith("ledger:") for text in found)
    assert any(text.startswith("balance:") for text in found)


def test_a_reservation_that_was_never_settled_is_found(world):
    world.books.ledger[0] |= {"state": "RESERVED", "settled": None}
    assert any("still reserved" in text for text in world.verdict().unbalanced)


def test_money_that_others_sent_counts(world):
    gift = Effect(NETWORK, "somebody", world.truth.native[NETWORK], world.address, 7)
    world.truth.landed["gift"] = Landed(NETWORK, "gift", "somebody", True, FEE, 7 + FEE, (gift,))
    world.truth.balances[(NETWORK, world.address, NATIVE)] += 7
    assert world.verdict().findings() == []


def test_tokens_that_somebody_took_must_be_booked(world):
    """Whoever was let take them signed for it: no attempt of the agent's tells of it, its balance does."""
    taken = Effect(NETWORK, world.address, TOKEN, "somebody", 7)
    world.truth.landed["taken"] = Landed(NETWORK, "taken", "somebody", True, FEE, FEE, (taken,))
    world.truth.balances[(NETWORK, world.address, TOKEN)] -= 7
    assert any("fewer are booked" in text for text in world.verdict().unbalanced)
    row = first(world) | {"asset": TOKEN}
    world.book(row, "ALLOWANCE", "SPENT", 7)
    world.books.ledger[-1]["asset"] = TOKEN
    assert world.verdict().findings() == []


# --- strangers --------------------------------------------------------------------------------------


def robbed(world: World, *events: str) -> None:
    """Somebody with the agent's key pays more with it than any limit allows, and `events` tell of it."""
    taken = Effect(NETWORK, world.address, NATIVE, world.to, LIMIT)
    world.records.elsewhere["theft"] = Elsewhere("theft", "agent", "theft")
    world.truth.landed["theft"] = Landed(NETWORK, "theft", world.address, True, FEE, LIMIT + FEE, (taken,))
    world.truth.balances[(NETWORK, world.address, NATIVE)] -= LIMIT + FEE
    details = json.dumps({"txHash": "theft", "reason": "unknown_spend"})
    world.books.strangers.extend({"agent_id": "agent", "event_type": event, "details": details} for event in events)


def test_what_a_stranger_spent_and_was_told_of_is_nobodys_fault(world):
    robbed(world, "UNKNOWN_SPEND", "AGENT_SUSPENDED")
    assert world.verdict().findings() == []


@pytest.mark.parametrize(
    ("events", "found"),
    [(("UNKNOWN_SPEND",), "was never stopped"), (("AGENT_SUSPENDED",), "nothing tells of it")],
)
def test_a_stranger_that_was_not_told_of_or_stopped_nobody_is_found(world, events, found):
    robbed(world, *events)
    assert [text for text in world.verdict().findings() if found in text] == world.verdict().findings() != []


def test_what_a_stranger_took_is_part_of_the_balance(world):
    robbed(world, "UNKNOWN_SPEND", "AGENT_SUSPENDED")
    world.truth.balances[(NETWORK, world.address, NATIVE)] += 1
    assert [text.split(":")[0] for text in world.verdict().findings()] == ["balance"]


def test_a_theft_that_nobody_owns_up_to_breaks_limits_balance_and_explanation(world):
    robbed(world, "UNKNOWN_SPEND", "AGENT_SUSPENDED")
    del world.records.elsewhere["theft"]
    found = world.verdict()
    assert (found.violated_limits != [], found.unbalanced != []) == (True, True)
    assert any("belongs to no attempt" in text for text in found.others)


# --- blocks that went -------------------------------------------------------------------------------


def landed_again(world: World, *, dearer: int = 0, more: int = 0) -> None:
    """The first payment is in another block than before, where its fee, or its amount, is another."""
    key = first(world)["tx_hash"]
    landed = world.truth.landed[key]
    extra = dearer + more
    world.truth.landed[key] = msgspec.structs.replace(landed, fee=FEE + dearer, paid=landed.paid + extra)
    world.truth.balances[(NETWORK, world.address, NATIVE)] -= extra


@pytest.mark.parametrize("dearer", [-1000, 1000])
def test_only_what_was_in_a_block_that_went_may_have_another_fee_than_is_booked(world, dearer):
    landed_again(world, dearer=dearer)
    assert {text.split(":")[0] for text in world.verdict().findings()} == {"ledger", "balance"}
    world.records.gone.add(first(world)["tx_hash"])
    assert world.verdict().findings() == []


def test_what_landed_again_and_moved_more_is_found(world):
    world.records.gone.add(first(world)["tx_hash"])
    landed_again(world, more=FEE)
    assert {text.split(":")[0] for text in world.verdict().findings()} == {"ledger", "balance"}


# --- owners -----------------------------------------------------------------------------------------


def needing_the_owner(world: World) -> dict:
    """A payment that needed the owner and landed."""
    row = world.send(1_000_008)
    row["tier"] = "APPROVAL"
    return row


@pytest.mark.parametrize("status", [200, None])
def test_a_yes_that_counted_or_may_have_counted_lets_it_go(world, status):
    world.decide(needing_the_owner(world), "approve", status)
    assert world.verdict().findings() == []


@pytest.mark.parametrize("said", [[], [("approve", 409)], [("reject", None)]])
def test_what_needs_the_owner_and_was_signed_without_a_yes_is_found(world, said):
    row = needing_the_owner(world)
    for action, status in said:
        world.decide(row, action, status)
    assert any("no owner has said yes" in text for text in world.verdict().others)


def test_what_was_decided_twice_is_found(world):
    row = needing_the_owner(world)
    for _ in range(2):
        world.decide(row, "approve")
    assert any("was decided 2 times" in text for text in world.verdict().others)


def test_what_was_rejected_and_signed_is_found(world):
    world.decide(needing_the_owner(world), "reject")
    assert any("was rejected" in text for text in world.verdict().others)


def test_what_was_approved_and_cancelled_is_found(world):
    row = world.send(1_000_009, "CANCELLED", "CANCELLED_BY_CALLER")
    row["tier"] = "APPROVAL"
    world.decide(row, "approve")
    assert any("was approved" in text for text in world.verdict().others)


def test_an_approval_that_no_owner_gave_is_found(world):
    row = world.send(1_000_011, "CANCELLED", "CANCELLED_BY_CALLER")
    world.books.approvals.append({"tx_id": row["id"], "approved_at": 1, "rejected_at": None})
    assert any("has an approval that no owner gave" in text for text in world.verdict().others)


def test_a_yes_to_a_batch_is_one_for_its_items(world):
    parent = needing_the_owner(world)
    item = world.send(1_000_012) | {"parent_id": parent["id"]}
    world.books.transactions[-1] = item
    assert sum("no owner has said yes" in text for text in world.verdict().others) == 1
    world.decide(parent, "approve")
    assert world.verdict().findings() == []


def test_an_answer_to_an_owner_that_is_not_on_disk_is_found(world):
    world.decide(needing_the_owner(world), "approve")
    world.books.approvals[-1]["approved_at"] = None
    assert any("was told ['approve'] and has []" in text for text in world.verdict().others)


# --- stops and sessions -----------------------------------------------------------------------------


def test_a_signature_between_the_switch_and_its_recovery_is_found(world):
    signed = {"id": 2, "event_type": "TX_SUBMITTED", "tx_id": "tx 1"}
    world.books.signings.append(signed)
    for number, event in ((1, "KILL_SWITCH_ACTIVATED"), (3, "KILL_SWITCH_RECOVERED")):
        world.books.switchings.append({"id": number, "event_type": event})
    assert any("was signed (TX_SUBMITTED) while the switch was on" in text for text in world.verdict().others)
    signed["id"] = 4
    assert world.verdict().findings() == []


def test_what_a_child_spends_counts_in_all_above_it(world):
    rows = world.books.transactions
    world.share(rows[0], "parent", total=2_500_000)
    world.share(rows[1], "child", "parent")
    world.share(rows[2], "grandchild", "child")
    assert any("session parent and those below it moved 3000006" in text for text in world.verdict().violated_limits)
    world.books.sessions[0]["constraints"] = json.dumps({"maxTotalAmount": "3000006"})
    assert world.verdict().findings() == []


def test_a_transaction_younger_than_the_end_of_a_session_above_its_own_is_found(world):
    rows = world.books.transactions
    world.share(rows[0], "parent")
    world.share(rows[1], "child", "parent")
    world.books.sessions[0]["revoked_at"] = 10
    assert world.verdict().findings() == []
    rows[1]["created_at"] = 12
    assert any(text.startswith("session:") for text in world.verdict().others)


@pytest.mark.parametrize(("counted", "found"), [(0, True), (1, False), (2, False), (3, True)])
def test_renewals_are_as_many_as_were_answered_or_may_have_been(world, counted, found):
    world.share(first(world), "session")
    world.books.sessions[0]["renewal_count"] = counted
    world.records.renewals["session"] = (2, 1)
    assert any("asked 2 times to be renewed" in text for text in world.verdict().others) is found


# --- limits -----------------------------------------------------------------------------------------


def test_more_on_chain_than_the_limit_allows_is_found(world):
    for extra in range(LIMIT // LARGEST + 1):
        world.send(LARGEST - extra)
    found = world.verdict().violated_limits
    assert any("paid" in text for text in found)
    assert any("are booked" in text for text in found)


def test_one_transaction_above_its_cap_is_found(world):
    world.send(LARGEST + 1)
    assert any(f"sent {LARGEST + 1}" in text for text in world.verdict().violated_limits)


def test_the_lowest_of_several_limits_counts(world):
    lower = {"rules": json.dumps({"daily_total": "1000"})}
    world.books.policies.append(world.books.policies[0] | lower)
    assert world.verdict().violated_limits != []


def test_more_booked_than_the_limit_allows_is_found_though_nothing_landed(world):
    row = world.send(1_000_010, "CANCELLED", "CANCELLED_BY_CALLER")
    world.book(row, "AMOUNT", "RESERVED", None)
    world.books.ledger[-1]["reserved"] = str(LIMIT)
    assert any("are booked" in text for text in world.verdict().violated_limits)


def test_a_limit_of_tokens_counts_what_others_took(world):
    taken = Effect(NETWORK, world.address, TOKEN, "somebody", LIMIT + 1)
    world.truth.landed["taken"] = Landed(NETWORK, "taken", "somebody", True, FEE, FEE, (taken,))
    assert any(f"paid {LIMIT + 1} {TOKEN}" in text for text in world.verdict().violated_limits)


def test_a_limit_that_is_switched_off_allows_anything(world):
    world.send(LARGEST + 1)
    world.books.policies[0]["enabled"] = 0
    assert world.verdict().violated_limits == []


# --- everything else --------------------------------------------------------------------------------


def test_a_transaction_that_is_not_final_is_found(world):
    first(world)["status"] = "SUBMITTED"
    assert any("is SUBMITTED" in text for text in world.verdict().others)


def test_an_agent_that_is_half_made_is_found(world):
    world.books.agents.append(world.books.agents[0] | {"id": "half", "status": "CREATING", "public_key": "x"})
    assert any("is CREATING" in text for text in world.verdict().others)


def test_a_transaction_that_nobody_asked_for_is_found(world):
    request = json.loads(first(world)["request"]) | {"amount": "5"}
    world.books.transactions.append(first(world) | {"id": "tx 99", "request": json.dumps(request)})
    assert any("nobody asked" in text for text in world.verdict().others)


def test_bytes_that_are_not_those_of_their_hash_are_found(world):
    world.books.attempts[0]["raw"] = world.books.attempts[1]["raw"]
    assert any("other bytes" in text for text in world.verdict().others)


def test_a_landing_that_belongs_to_no_attempt_is_found(world):
    world.books.attempts.remove(world.books.attempts[0])
    assert any("belongs to no attempt" in text for text in world.verdict().others)


def test_a_status_other_than_the_one_a_client_was_told_is_found(world):
    world.records.seen["tx 1"] = ["FAILED"]
    assert any(text.startswith("told:") for text in world.verdict().others)


def test_an_agent_made_in_a_kill_is_not_asked_where_its_gift_came_from(world):
    world.books.agents.append(world.books.agents[0] | {"id": "spare", "public_key": "spare"})
    world.truth.balances[(NETWORK, "spare")] = GIFT
    assert world.verdict().findings() == []


@pytest.mark.parametrize("path", sorted(Path(torture.__file__).parent.glob("*.py")), ids=lambda path: path.stem)
def test_the_torture_takes_nothing_from_what_it_judges(path):
    imported = {
        name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module
        for name in [node.module.split(".")[1] if node.module.startswith("waiaas.") else ""]
    }
    assert imported & JUDGED == set()
