"""`waiaas kill-switch`, `recover`, `agent suspend` and `resume`."""

from typing import Any

from tests.cli.conftest import Run, told
from tests.cli.standin import TRADER, Daemon

SWITCH = "/v1/admin/kill-switch"
DONE: dict[str, Any] = {
    "state": "ACTIVATED",
    "activatedAt": 1_800_000_000,
    "stored": True,
    "sessionsRevoked": 1,
    "transactionsCancelled": 2,
    "agentsSuspended": 3,
    "inFlight": [{"id": "t1", "network": "localnet", "txHash": "5Hx", "lastValidBlockHeight": 7, "nonce": None}],
}


def test_the_kill_switch_is_thrown_and_what_may_land_is_listed(call: Run, daemon: Daemon) -> None:
    daemon.answer("POST", SWITCH, DONE)
    ended = call("kill-switch", "on", "--reason", "a leak")
    assert daemon.asked[-1]["body"] == {"reason": "a leak"}
    assert "agentsSuspended        3" in ended.stdout
    assert "5Hx" in ended.stdout
    assert told(call("kill-switch", "on", "--json"))["killSwitch"] == DONE


def test_a_switch_that_only_holds_in_memory_is_warned_of(call: Run, daemon: Daemon) -> None:
    daemon.answer("POST", SWITCH, {**DONE, "stored": False, "inFlight": []})
    assert "in memory only" in call("kill-switch", "on").stderr


def test_the_kill_switch_is_looked_at_without_a_password(call: Run, daemon: Daemon) -> None:
    shown = {"state": "ACTIVATED", "activatedAt": 1_800_000_000, "activatedBy": "master", "eligibleAt": None}
    daemon.answer("GET", SWITCH, shown)
    assert call("kill-switch", "status").stdout.splitlines()[1] == "activatedAt  2027-01-15 08:00:00"
    assert "X-Master-Password" not in daemon.asked[-1]["headers"]


def test_it_is_lifted_at_once_or_later(call: Run, daemon: Daemon) -> None:
    daemon.answer("POST", "/v1/admin/recover", {"state": "NORMAL", "recoveredAt": 1_800_000_000, "agentsResumed": 3})
    assert told(call("recover", "--json"))["recovery"]["agentsResumed"] == 3
    later = {"state": "RECOVERING", "eligibleAt": 1_800_000_000, "retryAfter": 60}
    daemon.answer("POST", "/v1/admin/recover", later, 202)
    assert "Call again at 2027-01-15 08:00:00 UTC, in 60 s." in call("recover").stdout


def test_an_agent_is_suspended_and_resumed(call: Run, daemon: Daemon) -> None:
    path = f"/v1/agents/{TRADER['id']}"
    daemon.answer("POST", f"{path}/suspend", {**TRADER, "status": "SUSPENDED", "cancelled": 2, "inFlight": []})
    daemon.answer("POST", f"{path}/resume", TRADER)
    assert "cancelled  2" in call("agent", "suspend", "trader", "--reason", "odd").stdout
    assert daemon.asked[-1]["body"] == {"reason": "odd"}
    assert call("agent", "resume", "trader").exit_code == 1
    assert told(call("agent", "resume", "trader", "--yes", "--json"))["agent"]["status"] == "ACTIVE"


def test_resuming_an_agent_of_a_restored_database_shows_what_is_not_known(call: Run, daemon: Daemon) -> None:
    stopped = {**TRADER, "status": "SUSPENDED", "suspensionReason": "restored"}
    daemon.answer("GET", "/v1/agents", {"items": [stopped]})
    lost = {"lostFrom": 1_800_000_000, "lostTo": 1_800_086_400}
    daemon.answer("GET", f"/v1/agents/{TRADER['id']}", {**stopped, **lost})
    daemon.answer("POST", f"/v1/agents/{TRADER['id']}/resume", TRADER)
    shown = call("agent", "resume", "trader", input="n\n")
    assert "between 2027-01-15 08:00:00 and 2027-01-16 08:00:00 UTC" in shown.stderr
    assert TRADER["publicKey"] in shown.stderr
    assert daemon.asked[-1]["method"] == "GET"
    assert told(call("agent", "resume", "trader", "--yes", "--json"))["agent"]["status"] == "ACTIVE"
