"""Commands that call the daemon: what they send, what they print, and how refusals end."""

import json
from typing import Any

import pytest

from tests.cli.answers import ATTEMPT, HEALTH, TX
from tests.cli.conftest import Run, told
from tests.cli.processes import PASSWORD
from tests.cli.standin import TRADER, Daemon


def test_an_agent_is_created_with_what_was_given_and_no_more(call: Run, daemon: Daemon):
    daemon.answer("POST", "/v1/agents", TRADER, 201)
    assert told(call("agent", "create", "--name", "trader", "--json")) == {"ok": True, "agent": TRADER}
    assert daemon.asked[0]["body"] == {"name": "trader"}
    assert daemon.asked[0]["headers"]["X-Master-Password"] == PASSWORD
    ended = call("agent", "create", "--name", "x", "--chain", "solana", "--network", "devnet")
    assert daemon.asked[1]["body"] == {"name": "x", "chain": "solana", "network": "devnet"}
    assert "publicKey  4Nd1" in ended.stdout


def test_agents_are_listed_as_a_table_in_full_width(call: Run):
    ended = call("agent", "list")
    assert ended.stdout.splitlines()[0].split() == ["id", "name", "network", "status", "publicKey", "createdAt"]
    assert "2027-01-15 08:00:00" in ended.stdout
    assert TRADER["publicKey"] in ended.stdout


@pytest.mark.parametrize("named", ["trader", TRADER["id"]])
def test_an_agent_is_named_by_id_or_by_a_name_that_only_one_has(call: Run, daemon: Daemon, named: str):
    daemon.answer("GET", f"/v1/agents/{TRADER['id']}", TRADER)
    assert told(call("agent", "show", str(named), "--json"))["agent"]["id"] == TRADER["id"]


def test_a_name_that_none_or_several_have_is_refused(call: Run, daemon: Daemon):
    assert told(call("agent", "show", "nobody", "--json"))["error"]["code"] == "AGENT_NOT_FOUND"
    daemon.answer("GET", "/v1/agents", {"items": [TRADER, {**TRADER, "id": "other"}]})
    ended = call("agent", "show", "trader")
    assert (ended.exit_code, ended.stderr) == (1, "Error: 2 agents are named 'trader': give the id.\n")


def test_a_withdrawal_asks_first_and_tells_what_stays(call: Run, daemon: Daemon):
    row = {"id": "t", "type": "TRANSFER", "asset": "native:solana", "amount": None, "status": "PENDING"}
    skipped = [{"asset": "solana:mint", "reason": "frozen"}]
    accepted = {"agentId": TRADER["id"], "to": "owner", "scope": "native", "transactions": [row], "skipped": skipped}
    daemon.answer("POST", f"/v1/agents/{TRADER['id']}/withdraw", accepted, 201)
    assert call("agent", "withdraw", "trader").exit_code != 0
    ended = call("agent", "withdraw", "trader", "--native", "--yes")
    assert "native:solana" in ended.stdout
    assert ended.stderr == "Stays: solana:mint (frozen).\n"
    assert daemon.asked[-1]["body"] == {"scope": "native"}


def test_an_agent_is_renamed(call: Run, daemon: Daemon):
    daemon.answer("PUT", f"/v1/agents/{TRADER['id']}", TRADER)
    call("agent", "rename", "trader", "other")
    assert daemon.asked[-1]["body"] == {"name": "other"}


def test_terminating_asks_first_and_without_a_terminal_wants_yes(call: Run, daemon: Daemon):
    daemon.answer("DELETE", f"/v1/agents/{TRADER['id']}", {"id": TRADER["id"], "status": "TERMINATED"})
    ended = call("agent", "terminate", "trader")
    assert ended.exit_code == 1
    assert "add --yes" in ended.stderr
    assert {asked["method"] for asked in daemon.asked} == {"GET"}
    assert told(call("agent", "terminate", "trader", "--yes", "--json"))["agent"]["status"] == "TERMINATED"


def test_the_faucet_gives_what_is_asked_for(call: Run, daemon: Daemon):
    daemon.answer("POST", f"/v1/agents/{TRADER['id']}/faucet", {"amount": "5", "balance": "6"})
    call("faucet", "trader", "--amount", "5")
    assert daemon.asked[-1]["body"] == {"amount": "5"}
    call("faucet", "trader")
    assert daemon.asked[-1]["body"] == {}


@pytest.mark.parametrize(
    ("output", "printed"),
    [
        ("token", "wai_sess_a.b.c\n"),
        ("env", f"WAIAAS_SESSION_TOKEN=wai_sess_a.b.c\nWAIAAS_AGENT_ID={TRADER['id']}\n"),
        ("json", f'{{"id":"s1","token":"wai_sess_a.b.c","agentId":"{TRADER["id"]}"}}\n'),
        ("text", f"id       s1\ntoken    wai_sess_a.b.c\nagentId  {TRADER['id']}\n"),
    ],
)
def test_a_session_is_printed_as_asked(call: Run, daemon: Daemon, output: str, printed: str):
    daemon.answer("POST", "/v1/sessions", {"id": "s1", "token": "wai_sess_a.b.c", "agentId": TRADER["id"]}, 201)
    ended = call("session", "create", "--agent", "trader", "--output", output)
    assert ended.stdout == printed
    assert daemon.asked[-1]["body"] == {"agentId": TRADER["id"]}


def test_constraints_come_as_json_or_from_a_file(call: Run, daemon: Daemon, tmp_path: Any):
    daemon.answer("POST", "/v1/sessions", {"id": "s1", "token": "t", "agentId": "a"}, 201)
    (tmp_path / "limits.json").write_text('{"maxTransactions": 3}')
    arguments = ["session", "create", "--agent", "trader", "--ttl", "600", "--max-renewals", "2"]
    call(*arguments, "--constraints", f"@{tmp_path}/limits.json")
    body = {"agentId": TRADER["id"], "ttl": 600, "constraints": {"maxTransactions": 3, "maxRenewals": 2}}
    assert daemon.asked[-1]["body"] == body
    for wrong in ("[1]", "@/nowhere.json"):
        assert "is not a JSON object" in call(*arguments, "--constraints", wrong).stderr


def test_sessions_are_listed_and_revoked(call: Run, daemon: Daemon):
    daemon.answer("GET", "/v1/sessions", [{"id": "s1", "agentId": "a", "status": "ACTIVE", "renewalCount": 0}])
    daemon.answer("DELETE", "/v1/sessions/s1", {"id": "s1", "status": "REVOKED"})
    assert told(call("session", "list", "--agent", "trader", "--json"))["items"][0]["id"] == "s1"
    assert daemon.asked[-1]["query"] == f"agentId={TRADER['id']}"
    assert told(call("session", "revoke", "s1", "--json"))["session"]["status"] == "REVOKED"


def test_a_session_is_attenuated_and_shown_by_itself_or_by_the_operator(call: Run, run: Run, daemon: Daemon):
    made = {"id": "s2", "token": "wai_sess_a.b.c", "agentId": TRADER["id"]}
    daemon.answer("POST", "/v1/sessions/s1/attenuate", made, 201)
    daemon.answer("GET", "/v1/sessions/s1", {"id": "s1", "status": "ACTIVE", "childCount": 1})
    arguments = ["attenuate", "s1", "--ttl", "600", "--name", "errand", "--constraints", '{"maxTransactions": 3}']
    by_itself = ["--base-url", daemon.url, "--token", "wai_sess_x.y.z"]
    ended = run("session", *arguments, "--output", "token", *by_itself)
    assert ended.stdout == "wai_sess_a.b.c\n"
    assert daemon.asked[-1]["headers"]["Authorization"] == "Bearer wai_sess_x.y.z"
    assert daemon.asked[-1]["body"] == {"ttl": 600, "constraints": {"maxTransactions": 3}, "name": "errand"}
    assert told(call("session", "show", "s1", "--json"))["session"]["childCount"] == 1
    assert daemon.asked[-1]["headers"]["X-Master-Password"] == PASSWORD


def test_the_secret_of_the_tokens_is_rotated(call: Run, daemon: Daemon):
    rotated = {"rotatedAt": 1_800_000_000, "message": "JWT secret rotated. Old tokens valid for 5 minutes."}
    daemon.answer("POST", "/v1/admin/rotate-secret", rotated)
    assert told(call("secret", "rotate", "--json"))["rotatedAt"] == rotated["rotatedAt"]


def test_an_id_cannot_lead_to_another_route(call: Run, daemon: Daemon):
    daemon.answer("DELETE", "/v1/sessions/..%2Fagents", {"id": "x", "status": "REVOKED"})
    assert call("session", "revoke", "../agents").exit_code == 0


def test_a_transfer_is_sent_with_the_session_token_and_followed(call: Run, run: Run, daemon: Daemon):
    daemon.answer("POST", "/v1/transactions/send", {"id": "t1", "status": "PENDING"}, 201)
    daemon.answer("GET", "/v1/transactions/t1", {"id": "t1", "status": "CONFIRMED"})
    arguments = ["tx", "send", "--to", "Bob", "--amount", "5", "--idempotency-key", "k1", "--base-url", daemon.url]
    sent = told(run(*arguments, "--token", "wai_sess_a.b.c", "--wait", "9", "--json"))
    assert sent["transaction"]["status"] == "CONFIRMED"
    first, second = daemon.asked
    assert first["body"] == {"type": "TRANSFER", "to": "Bob", "amount": "5"}
    assert first["headers"]["Authorization"] == "Bearer wai_sess_a.b.c"
    assert first["headers"]["Idempotency-Key"] == "k1"
    assert "X-Master-Password" not in first["headers"]
    assert second["query"] == "wait=9"


def test_sending_without_a_token_ends_with_4(call: Run, daemon: Daemon):
    ended = call("tx", "send", "--to", "Bob", "--amount", "5", "--json")
    assert (ended.exit_code, told(ended)["error"]["code"]) == (4, "TOKEN_MISSING")
    assert daemon.asked == []


def test_transactions_are_read_by_operator_or_session(call: Run, daemon: Daemon, monkeypatch: pytest.MonkeyPatch):
    page = {"items": [{"id": "t1", "status": "CONFIRMED"}], "cursor": "t1", "hasMore": True}
    daemon.answer("GET", "/v1/transactions", page)
    ended = call("tx", "list", "--agent", "trader", "--status", "CONFIRMED", "--limit", "1")
    assert "More with --cursor t1" in ended.stderr
    assert "More" not in call("tx", "list", "--quiet").stderr
    assert daemon.asked[1]["query"] == f"agentId={TRADER['id']}&status=CONFIRMED&limit=1"
    monkeypatch.setenv("WAIAAS_SESSION_TOKEN", "wai_sess_x")
    call("tx", "list")
    assert daemon.asked[-1]["headers"]["Authorization"] == "Bearer wai_sess_x"
    assert "X-Master-Password" not in daemon.asked[-1]["headers"]


ACCOUNTS = ["--account", "Me:s:w", "--account", "You:w", "--account", "Sys"]
REQUESTS = [
    (
        ["--type", "TOKEN_TRANSFER", "--to", "Bob", "--amount", "5", "--token-address", "Mint", "--decimals", "6"],
        {"to": "Bob", "amount": "5", "token": {"address": "Mint", "decimals": 6, "symbol": "Mint"}},
    ),
    (
        [
            "--type",
            "APPROVE",
            "--spender",
            "Bob",
            "--amount",
            "0",
            "--token-address",
            "T",
            "--decimals",
            "0",
            "--symbol",
            "X",
        ],
        {"spender": "Bob", "amount": "0", "token": {"address": "T", "decimals": 0, "symbol": "X"}},
    ),
    (
        ["--type", "CONTRACT_CALL", "--to", "0x1", "--calldata", "0x01020304", "--value", "9"],
        {"to": "0x1", "calldata": "0x01020304", "value": "9"},
    ),
    (
        ["--type", "CONTRACT_CALL", "--program", "Prog", "--data", "AAAA", *ACCOUNTS],
        {
            "programId": "Prog",
            "instructionData": "AAAA",
            "accounts": [
                {"pubkey": "Me", "isSigner": True, "isWritable": True},
                {"pubkey": "You", "isSigner": False, "isWritable": True},
                {"pubkey": "Sys", "isSigner": False, "isWritable": False},
            ],
        },
    ),
    (
        ["--type", "BATCH", "--instructions", '[{"to": "Bob", "amount": "1"}, {"to": "Eve", "amount": "2"}]'],
        {"instructions": [{"to": "Bob", "amount": "1"}, {"to": "Eve", "amount": "2"}]},
    ),
    (["--to", "Bob", "--amount", "5", "--memo", "x", "--distinct"], {"to": "Bob", "amount": "5", "memo": "x"}),
]


@pytest.mark.parametrize(("arguments", "body"), REQUESTS)
def test_every_type_is_sent_by_its_flags(run: Run, daemon: Daemon, arguments: list[str], body: dict[str, Any]):
    daemon.answer("POST", "/v1/transactions/send", {"id": "t1", "status": "PENDING"}, 201)
    ended = run("tx", "send", *arguments, "--base-url", daemon.url, env={"WAIAAS_SESSION_TOKEN": "wai_sess_x"})
    assert ended.exit_code == 0, ended.stderr
    kind = arguments[1] if arguments[0] == "--type" else "TRANSFER"
    distinct = {"distinct": True} if "--distinct" in arguments else {}
    assert daemon.asked[-1]["body"] == {"type": kind, **body, **distinct}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--token-address", "Mint"], "--token-address and --decimals"),
        (["--decimals", "6"], "--token-address and --decimals"),
        (["--account", "Me:x"], "not by :x"),
        (["--instructions", "{}"], "is not a JSON list"),
        (["--type", "MINT"], "MINT"),
    ],
)
def test_what_cannot_be_understood_is_not_sent(run: Run, daemon: Daemon, arguments: list[str], said: str):
    ended = run("tx", "send", *arguments, "--base-url", daemon.url, env={"WAIAAS_SESSION_TOKEN": "wai_sess_x"})
    assert (ended.exit_code, daemon.asked) == (1, [])
    assert said in ended.stderr


def test_a_duplicate_is_remarked_upon(run: Run, daemon: Daemon):
    daemon.answer("POST", "/v1/transactions/send", {"id": "t1", "status": "PENDING", "duplicateOf": "t1"})
    arguments = ["--to", "Bob", "--amount", "5", "--base-url", daemon.url]
    ended = run("tx", "send", *arguments, env={"WAIAAS_SESSION_TOKEN": "wai_sess_x"})
    assert "this is t1. Add --distinct if two are meant." in ended.stderr


def test_attempts_are_listed(call: Run, daemon: Daemon):
    attempt = {"number": 1, "kind": "SEND", "status": "LIVE", "nonce": 4, "txHash": "hash1", "maxFee": "9"}
    daemon.answer("GET", "/v1/transactions/t1/attempts", {"items": [attempt]})
    assert told(call("tx", "attempts", "t1", "--json"))["items"] == [attempt]
    assert "hash1" in call("tx", "attempts", "t1").stdout


def test_a_stuck_transaction_is_sped_up_or_cancelled_on_chain(call: Run, daemon: Daemon):
    replaced = {"id": "t1", "status": "SUBMITTED", "attempt": {"number": 2}}
    daemon.answer("POST", "/v1/transactions/t1/speed-up", replaced)
    daemon.answer("POST", "/v1/transactions/t1/cancel", replaced)
    assert told(call("tx", "speed-up", "t1", "--json"))["transaction"] == replaced
    assert daemon.asked[-1]["body"] == {}
    call("tx", "speed-up", "t1", "--max-fee", "9", "--max-priority-fee", "2")
    assert daemon.asked[-1]["body"] == {"maxFeePerGas": "9", "maxPriorityFeePerGas": "2"}
    call("tx", "cancel", "t1", "--on-chain", "--max-fee", "9", "--max-priority-fee", "2")
    assert daemon.asked[-1]["body"] == {"onChain": True, "maxFeePerGas": "9", "maxPriorityFeePerGas": "2"}


def test_a_transaction_is_explained_to_people_and_programs(call: Run, daemon: Daemon):
    daemon.answer("GET", "/v1/transactions/t1", TX)
    daemon.answer("GET", "/v1/transactions/t1/attempts", {"items": [ATTEMPT]})
    daemon.answer("GET", "/health", HEALTH)
    ended = call("tx", "why", "t1")
    assert "What is known\n- TRANSFER of 1500000000 (1.5 SOL)" in ended.stdout
    assert "waiaas tx cancel t1\n    It ends CANCELLED" in ended.stdout
    answer = told(call("tx", "why", "t1", "--json"))
    assert answer["transaction"] == TX
    assert answer["options"][0]["command"] == "waiaas tx cancel t1"
    assert {"known", "next"} <= answer.keys()


def test_the_kill_switch_is_explained_and_any_other_refusal_told(call: Run, daemon: Daemon):
    body = {
        "code": "KILL_SWITCH_ACTIVE",
        "message": "The kill switch is on.",
        "details": {"activatedAt": 1_800_000_000},
    }
    daemon.answer("GET", "/v1/transactions/t1", body, 409)
    ended = call("tx", "why", "t1")
    assert (ended.exit_code, "kill switch is on since 2027-01-15 08:00:00 UTC" in ended.stdout) == (0, True)
    daemon.answer("GET", "/v1/transactions/t1", {"code": "TX_NOT_FOUND", "message": "No."}, 404)
    assert told(call("tx", "why", "t1", "--json"))["error"]["code"] == "TX_NOT_FOUND"


def test_a_transaction_is_shown_and_cancelled(call: Run, daemon: Daemon):
    daemon.answer("GET", "/v1/transactions/t1", {"id": "t1", "status": "PENDING", "error": None, "children": []})
    daemon.answer("POST", "/v1/transactions/t1/cancel", {"id": "t1", "status": "CANCELLED"})
    assert call("tx", "show", "t1").stdout == "id        t1\nstatus    PENDING\nchildren  []\n"
    assert told(call("tx", "cancel", "t1", "--json"))["transaction"]["status"] == "CANCELLED"


def test_policies_are_added_changed_listed_and_removed(call: Run, daemon: Daemon):
    limit = {"id": "p1", "type": "SPENDING_LIMIT", "rules": {"daily_total": "5"}, "agentId": None}
    daemon.answer("POST", "/v1/policies", limit, 201)
    daemon.answer("PUT", "/v1/policies/p1", limit)
    daemon.answer("GET", "/v1/policies", [limit])
    daemon.answer("DELETE", "/v1/policies/p1", {"id": "p1", "deleted": True})
    call(
        "policy", "add", "--type", "SPENDING_LIMIT", "--rules", '{"daily_total": "5"}', "--priority", "3", "--disabled"
    )
    assert daemon.asked[-1]["body"] == {
        "type": "SPENDING_LIMIT",
        "rules": {"daily_total": "5"},
        "priority": 3,
        "enabled": False,
    }
    call("policy", "update", "p1", "--enabled", "--override")
    assert daemon.asked[-1]["body"] == {"enabled": True, "override": True}
    assert '{"daily_total":"5"}' in call("policy", "list").stdout
    assert told(call("policy", "remove", "p1", "--json"))["policy"]["deleted"] is True


@pytest.mark.parametrize(
    ("status", "code", "exit_code"),
    [
        (401, "INVALID_MASTER_PASSWORD", 4),
        (429, "MASTER_PASSWORD_LOCKED", 4),
        (429, "RATE_LIMITED", 1),
        (403, "SPENDING_LIMIT_EXCEEDED", 1),
        (503, "SHUTTING_DOWN", 1),
    ],
)
def test_a_refusal_is_told_with_the_code_of_the_daemon(
    call: Run, daemon: Daemon, status: int, code: str, exit_code: int
):
    body = {"code": code, "message": "No.", "requestId": "r1", "retryable": False, "hint": "Try else.", "details": {}}
    daemon.answer("GET", "/v1/agents", body, status)
    ended = call("agent", "list", "--json")
    assert ended.exit_code == exit_code
    error = {"code": code, "message": "No.", "hint": "Try else.", "details": {"requestId": "r1"}}
    assert told(ended) == {"ok": False, "error": error}


def test_the_issues_of_a_validation_error_are_told_to_people(call: Run, daemon: Daemon):
    issues = [{"path": "name", "message": "must not be empty"}, {"path": "", "message": "unknown field"}]
    body = {"code": "ACTION_VALIDATION_FAILED", "message": "The request is not valid.", "details": {"issues": issues}}
    daemon.answer("POST", "/v1/agents", body, 400)
    ended = call("agent", "create", "--name", "")
    assert ended.stderr == (
        "Error: The request is not valid.\n  name: must not be empty\n  body: unknown field\n"
        "  code: ACTION_VALIDATION_FAILED\n"
    )


def test_a_denial_is_told_with_its_limit_and_where_more_is_said(call: Run, daemon: Daemon):
    details = {"limit": "5", "constraint": "maxTotalAmount", "decision": {"rules": []}, "transactionId": "t1"}
    body = {"code": "SESSION_LIMIT_EXCEEDED", "message": "No.", "hint": "See details.", "details": details}
    daemon.answer("POST", "/v1/transactions/send", body, 403)
    ended = call("tx", "send", "--to", "x", "--amount", "6", "--token", "t")
    assert ended.stderr.splitlines() == [
        "Error: No.",
        "See details.",
        "  code: SESSION_LIMIT_EXCEEDED",
        "  limit: 5",
        "  constraint: maxTotalAmount",
        "  transactionId: t1",
        "'waiaas tx why t1' tells more.",
    ]


def test_an_agent_is_named_by_the_operator_alone(call: Run, daemon: Daemon):
    ended = call("tx", "list", "--agent", "trader", "--token", "t")
    assert (ended.exit_code, daemon.asked) == (1, [])
    assert "--agent is for the operator" in ended.stderr


def test_a_list_that_is_not_on_a_terminal_is_never_cut(call: Run, daemon: Daemon):
    long = {"id": "p1", "type": "WHITELIST", "rules": {"allowed_addresses": ["a" * 44] * 20}}
    daemon.answer("GET", "/v1/policies", [long])
    ended = call("policy", "list")
    assert json.dumps(long["rules"], separators=(",", ":")) in ended.stdout, ended.stderr


@pytest.mark.parametrize("answer", [b"<html>", b"\xff"])
def test_an_answer_that_is_not_ours_is_an_error(call: Run, daemon: Daemon, answer: bytes):
    daemon.answer("GET", "/v1/agents", answer)
    ended = call("agent", "list", "--json")
    assert (ended.exit_code, told(ended)["error"]["code"]) == (1, "DAEMON_SILENT")


def test_a_refused_connection_ends_with_3(run: Run, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WAIAAS_MASTER_PASSWORD", PASSWORD)
    ended = run("agent", "list", "--base-url", "http://127.0.0.1:9", "--json")
    assert (ended.exit_code, told(ended)["error"]["code"]) == (3, "NOT_RUNNING")


def test_a_proxy_of_the_environment_never_sees_the_password(call: Run, daemon: Daemon, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    assert call("agent", "list").exit_code == 0


def test_a_password_beyond_ascii_is_sent_as_utf_8(run: Run, daemon: Daemon, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WAIAAS_MASTER_PASSWORD", "größer als zwölf")
    assert run("agent", "list", "--base-url", daemon.url).exit_code == 0
    sent = daemon.asked[0]["headers"]["X-Master-Password"]
    assert sent.encode("latin-1").decode() == "größer als zwölf"


def test_the_address_comes_from_the_settings_or_a_variable(run: Run, daemon: Daemon, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WAIAAS_MASTER_PASSWORD", PASSWORD)
    run("config", "set", "daemon.port", str(daemon.server_address[1]))
    assert run("agent", "list").exit_code == 0
    run("config", "set", "daemon.port", "1024")
    monkeypatch.setenv("WAIAAS_MASTER_PASSWORD", PASSWORD)
    monkeypatch.setenv("WAIAAS_BASE_URL", daemon.url)
    assert run("agent", "list").exit_code == 0
