"""`waiaas tx why`: each status is explained by its proof, and says what happens next and what may be done."""

from typing import Any

import pytest

from tests.cli.answers import ATTEMPT, HEALTH, NOW, TO, TX
from waiaas.cli.show import whole
from waiaas.cli.why import Explanation, explain, locked, written

EVM = {"chain": "ethereum", "network": "ethereum-localnet"}
NONCE = {"nonce": 7, "lastValidBlockHeight": None}


def why(
    attempts: list[dict[str, Any]] | None = None, health: dict[str, Any] | None = None, **fields: Any
) -> Explanation:
    return explain(TX | fields, attempts or [], HEALTH | (health or {}))


def commands(told: Explanation) -> list[str]:
    return [option.command for option in told.options if option.command]


def says(lines: list[str], *words: str) -> bool:
    text = "\n".join(lines)
    return all(word in text for word in words)


def test_what_is_asked_and_when_comes_first() -> None:
    assert why().known[0] == (
        f"TRANSFER of 1500000000 (1.5 SOL) to {TO} on localnet was asked for at 2027-01-15 07:59:51 UTC (9 s ago) "
        "and is PENDING."
    )
    token = {"address": "mint", "decimals": 6, "symbol": "LIES"}
    assert "5 base units of the token mint to " in why(type="TOKEN_TRANSFER", amount="5", token=token).known[0]
    assert why(type="BATCH", amount=None, toAddress=None).known[0].startswith("BATCH on localnet was")
    assert (
        "APPROVE of 5 base units of the token mint to s "
        in why(type="APPROVE", amount="5", token=token, spender="s", toAddress=None).known[0]
    )


def test_what_is_not_signed_has_not_moved_and_can_be_cancelled() -> None:
    told = why()
    assert says(told.known, "no money can have moved")
    assert says(told.next, "signed within moments", "PENDING_TIMEOUT")
    assert commands(told) == ["waiaas tx cancel t1"]
    assert says([told.options[0].consequence], "CANCELLED", "given back")


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        ("FEE_CAP", "rpc.evm_max_fee_gwei"),
        ("FEE_BUDGET", "what its owner signed for, a limit or the balance"),
        ("CHAIN_REJECTED", "none of them is dead"),
        ("NONCE_LANE", "batch"),
        ("CHAIN_UNREACHABLE", "no endpoint"),
        ("KEYSTORE_LOCKED", "key"),
        ("SOMETHING_ELSE", "SOMETHING_ELSE"),
    ],
)
def test_what_waits_says_why_since_when_and_until_when(reason: str, word: str) -> None:
    waiting = {"reason": reason, "since": NOW - 60, "nextTryAt": NOW + 10, "tries": 5}
    told = why(status="EXECUTING", waiting=waiting)
    assert says(told.known, word, "(60 s ago)", "after 5 tries")
    assert says(told.next, "tried again at 2027-01-15 08:00:10 UTC (in 10 s)")
    assert commands(told) == []


def test_what_is_signed_and_stopped_says_that_only_dearer_bytes_are_missing() -> None:
    waiting = {"reason": "AGENT_SUSPENDED", "since": NOW - 60, "nextTryAt": NOW + 10, "tries": 5}
    told = why([ATTEMPT | NONCE], **EVM, status="SUBMITTED", waiting=waiting)
    assert says(told.known, "nothing dearer is signed because of AGENT_SUSPENDED")


def test_a_delay_tells_when_it_is_over_and_that_it_was_an_approval() -> None:
    told = why(status="QUEUED", tier="DELAY", executeAt=NOW + 300, downgradedFrom="APPROVAL")
    assert says(told.known, "tier is DELAY", "no owner has proved the key")
    assert says(told.next, "(in 300 s)")
    assert commands(told) == ["waiaas tx cancel t1"]


def test_an_approval_tells_why_it_is_asked_for_and_when_it_expires() -> None:
    passed = {"type": "RATE_LIMIT", "tier": None, "observed": "1", "limit": "9", "message": "fine"}
    asks = {"type": "SPENDING_LIMIT", "tier": "APPROVAL", "observed": "7", "limit": "5", "message": "above delay_max"}
    decision = TX["decision"] | {"rules": [passed, asks]}
    told = why(status="QUEUED", tier="APPROVAL", approvalExpiresAt=NOW + 60, decision=decision)
    assert told.known[2:] == ["SPENDING_LIMIT asks for APPROVAL: above delay_max (7, the bound is 5)."]
    assert says(told.next, "owner's approval", "(in 60 s)")
    assert commands(told) == ["waiaas approve t1", "waiaas tx cancel t1"]


def test_what_is_signed_on_solana_lives_as_long_as_its_blockhash() -> None:
    told = why([ATTEMPT], status="SUBMITTED")
    assert says(told.known, "only evidence from the chain", "until height 500", "3 times", "seen by no endpoint yet")
    assert says(told.next, "past 500", "dead by proof", "only then it is signed anew")
    assert commands(told) == []
    assert says([option.consequence for option in told.options], "Do not send it again", "cannot be taken back")


def test_what_is_stuck_on_evm_can_be_sped_up_or_cancelled_and_both_are_explained() -> None:
    attempts = [
        ATTEMPT | NONCE | {"status": "REPLACED", "sendCount": 0, "error": "underpriced"},
        ATTEMPT | NONCE | {"number": 2, "kind": "SPEED_UP", "sendCount": 1},
    ]
    told = why(attempts, status="SUBMITTED", **EVM)
    assert says(told.known, "nonce 7", "without a clear answer", "last error: underpriced", "1 time,")
    assert says(told.next, "same nonce 7", "only one can ever land", "final block holds another transaction")
    assert commands(told) == ["waiaas tx speed-up t1", "waiaas tx cancel t1 --on-chain"]
    consequences = [option.consequence for option in told.options]
    assert says(consequences, "paid once", "CANCELLED_ON_CHAIN", "costs that fee", "CONFIRMED")


def test_what_is_in_a_block_waits_for_depth() -> None:
    told = why([ATTEMPT | {"block": 40, "lastSeenAt": NOW}], status="SUBMITTED")
    assert says(told.known, "in block 40")
    assert says(told.next, "deep enough")


@pytest.mark.parametrize(("final", "word"), [(True, "can never be undone"), (False, "could still take it back")])
def test_what_is_confirmed_tells_its_block_and_its_fee(final: bool, word: str) -> None:
    fee = {"asset": "native:solana", "amount": "5000"}
    told = why(
        status="CONFIRMED",
        txHash="hash1",
        fee=fee,
        confirmation={"height": 9, "confirmations": 1, "finalized": final},
    )
    assert says(told.known, "The money has moved: hash1", "5000 (0.000005 SOL)", "Block 9", word)
    assert says(told.next, "its end" if final else "same bytes are sent again")
    assert told.options == []


@pytest.mark.parametrize(
    ("code", "word"),
    [
        ("ONCHAIN_FAILURE", "reverted"),
        ("CANCELLED_ON_CHAIN", "can never land"),
        ("NONCE_CONSUMED", "this wallet did not sign"),
        ("CHAIN_REJECTED", "refused the signed bytes"),
        ("BLOCKHASH_EXPIRED", "never landed, and never can"),
        ("BATCH_INCOMPLETE", "earlier item"),
        ("PENDING_TIMEOUT", "never signed, so no money has moved"),
    ],
)
def test_an_end_is_told_with_its_proof(code: str, word: str) -> None:
    told = why(status="FAILED", errorCode=code, error="So it is.")
    assert says(told.known, f"Why: {code}. So it is.", word)
    assert says(told.next, "this is its end")
    assert commands(told) == (["waiaas audit list --tx t1"] if code == "NONCE_CONSUMED" else [])


@pytest.mark.parametrize("status", ["CANCELLED", "FAILED", "EXPIRED", "PARTIAL_FAILURE"])
def test_what_an_older_database_ended_is_never_called_unpaid(status: str) -> None:
    told = why(status=status, errorCode="RESTORED", error="Look at the chain.")
    text = " ".join([*told.known, *told.next, *(option.consequence for option in told.options)])
    assert "only the chain knows" in text
    assert not any(word in text for word in ("no money has moved", "never be paid", "never will be"))


def test_a_denial_tells_what_would_have_passed() -> None:
    remedies = [
        {"kind": "amount_at_most", "asset": "native:solana", "value": "10"},
        {"kind": "after", "at": NOW + 60},
        {"kind": "owner_approval"},
        {"kind": "policy_change", "type": "SPENDING_LIMIT"},
    ]
    told = why(
        status="CANCELLED",
        errorCode="SPENDING_LIMIT_EXCEEDED",
        error="No.",
        decision={"outcome": "deny", "remedies": remedies},
    )
    consequences = [option.consequence for option in told.options]
    assert says(consequences, "10 base units", "from 2027-01-15 08:01:00 UTC on", "owner's approval", "SPENDING_LIMIT")


CHILDREN = [
    {"id": "c0", "batchIndex": 0, "type": "TRANSFER", "status": "CONFIRMED", "error": None},
    {"id": "c1", "batchIndex": 1, "type": "TRANSFER", "status": "PENDING", "error": None},
]


def test_a_batch_leads_to_the_item_that_is_under_way() -> None:
    told = why(status="SUBMITTED", type="BATCH", amount=None, toAddress=None, children=CHILDREN, **EVM)
    assert says(told.known, "Item 1, TRANSFER c0, is CONFIRMED", "Item 2, TRANSFER c1, is PENDING")
    assert says(told.next, "now c1")
    assert commands(told) == ["waiaas tx why c1"]


def test_an_item_leads_to_its_batch_and_waits_for_those_before_it() -> None:
    told = why(parentId="b", batchIndex=1, **EVM)
    assert says(told.next, "items of batch b before it")
    assert commands(told) == ["waiaas tx why b"]


def test_an_approval_waits_for_its_reset() -> None:
    reset = {"id": "r", "batchIndex": 0, "type": "APPROVE", "status": "SUBMITTED", "error": None}
    told = why(status="EXECUTING", type="APPROVE", children=[reset], **EVM)
    assert says(told.known, "The reset of the allowance to 0, APPROVE r, is SUBMITTED")
    assert says(told.next, "waiaas tx why r")


def test_a_partial_failure_says_which_items_are_paid() -> None:
    ended = [CHILDREN[0], CHILDREN[1] | {"status": "FAILED", "error": "It reverted."}]
    told = why(status="PARTIAL_FAILURE", type="BATCH", errorCode="ONCHAIN_FAILURE", error="No.", children=ended, **EVM)
    assert says(told.known, "Some of its items are paid", "c1, is FAILED (It reverted.)")


def test_a_start_and_a_dead_network_are_told_before_what_comes_next() -> None:
    health = {"reconciling": {"localnet": 1}, "checks": {"networks": {"localnet": "down"}}}
    told = why([ATTEMPT], health, status="SUBMITTED")
    assert "looks up 1 signed transaction on localnet first" in told.next[0]
    assert "No endpoint of localnet" in told.next[1]
    assert len(why(None, health, status="CONFIRMED", fee=None).next) == 1


def test_the_kill_switch_hides_the_transaction_and_is_explained() -> None:
    told = locked({"activatedAt": NOW})
    assert says(told.known, "kill switch is on since 2027-01-15 08:00:00 UTC")
    assert says(told.next, "Nothing is signed", "cancelled")
    assert says(locked({}).known, "kill switch is on;")


def test_people_read_three_headings() -> None:
    text = written(why())
    assert [line for line in text.splitlines() if line and not line.startswith(("-", " "))] == [
        "What is known",
        "What happens next",
        "What you may do",
    ]
    assert "What you may do" not in written(why(status="CONFIRMED", fee=None))


@pytest.mark.parametrize(
    ("amount", "decimals", "text"), [(1, 9, "0.000000001"), (0, 9, "0"), (10**18, 18, "1"), (15, 1, "1.5"), (7, 0, "7")]
)
def test_base_units_are_told_exactly(amount: int, decimals: int, text: str) -> None:
    assert whole(amount, decimals) == text
