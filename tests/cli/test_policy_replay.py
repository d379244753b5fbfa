"""`waiaas policy replay`: a candidate from flags or from a file, and what would flip as a table."""

import json

import pytest

from tests.cli.conftest import Run, told
from tests.cli.standin import TRADER, Daemon

FLIP = {
    "transactionId": "0198c0de-0000-7000-8000-0000000000ff",
    "agentId": TRADER["id"],
    "type": "TRANSFER",
    "asset": "native:solana",
    "amount": "5000",
    "createdAt": 1_800_000_000,
    "was": {"outcome": "allow", "tier": "INSTANT", "code": None},
    "now": {"outcome": "deny", "tier": None, "code": "WHITELIST_DENIED", "policyId": None},
}
ANSWER = {
    "evaluated": 7,
    "allowed": {"was": 6, "now": 5},
    "tiers": {"was": {"INSTANT": 6}, "now": {"INSTANT": 5}},
    "flips": [FLIP],
    "truncated": False,
}


@pytest.fixture(autouse=True)
def _answers(daemon: Daemon) -> None:
    daemon.answer("POST", "/v1/policies/replay", ANSWER)
    daemon.answer("GET", "/v1/policies/p1", {"id": "p1", "rules": {"daily_total": "5"}})


def test_flags_describe_the_candidate(call: Run, daemon: Daemon) -> None:
    rules = '{"allowed_addresses": []}'
    shown = call("policy", "replay", "--type", "WHITELIST", "--rules", rules, "--agent", "trader", "--remove", "p9")
    body = daemon.asked[-1]["body"]
    assert body["changes"] == [
        {"op": "remove", "id": "p9"},
        {
            "op": "add",
            "policy": {"type": "WHITELIST", "rules": {"allowed_addresses": []}, "agentId": TRADER["id"]},
        },
    ]
    assert (body["agentId"], body["limit"]) == (TRADER["id"], 1000)
    assert "INSTANT" in shown.stdout
    assert "WHITELIST_DENIED" in shown.stdout
    assert "7 requests: 6 passed, 5 would pass; 1 flip." in shown.stdout
    assert "Judging" in shown.stderr
    call("policy", "replay", "--update", "p1", "--rules", '{"daily_total": "5"}', "--days", "1", "--limit", "5")
    assert daemon.asked[-1]["body"]["changes"] == [{"op": "update", "id": "p1", "rules": {"daily_total": "5"}}]


def test_a_file_holds_the_candidate(call: Run, daemon: Daemon, tmp_path) -> None:
    candidate = tmp_path / "candidate.json"
    candidate.write_text(json.dumps([{"op": "remove", "id": "p1"}]))
    assert told(call("policy", "replay", "--changes", f"@{candidate}", "--json"))["replay"] == ANSWER
    daemon.answer("POST", "/v1/policies/replay", {**ANSWER, "flips": []})
    assert call("policy", "replay", "--remove", "p1", "--quiet").stdout.strip().endswith("0 flips.")


@pytest.mark.parametrize("flags", [(), ("--rules", "{}"), ("--type", "WHITELIST"), ("--update", "p1")])
def test_a_candidate_that_says_nothing_is_refused(call: Run, flags: tuple[str, ...]) -> None:
    assert call("policy", "replay", *flags).exit_code == 1


def test_one_policy_is_shown_whole(call: Run) -> None:
    assert '{"daily_total":"5"}' in call("policy", "show", "p1").stdout
