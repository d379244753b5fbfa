"""The daemon over HTTP: its figures, and stopping it."""

from tests.api.client import Api, Caller, words
from waiaas.app import Daemon

COMMON = words("status version uptime agentCount activeSessionCount killSwitchState adminTimeout timestamp reconciling")
OPERATORS = words("queuedCount pendingApprovalCount inFlightCount databaseBytes networks")


async def test_the_operator_sees_everything(api: Api, caller: Caller) -> None:
    await api.make_caller()
    await caller.send(str(11 * 10**9))
    told = (await api.operator("GET", "/v1/admin/status")).json()
    assert list(told) == [*COMMON, *OPERATORS]
    assert (told["status"], told["killSwitchState"], told["adminTimeout"]) == ("running", "NORMAL", 900)
    assert (told["agentCount"], told["activeSessionCount"], told["queuedCount"]) == (2, 2, 1)
    assert (told["pendingApprovalCount"], told["inFlightCount"], told["reconciling"]) == (0, 0, False)
    assert told["databaseBytes"] > 0
    assert told["networks"]["localnet"] == "ok"


async def test_a_session_sees_its_own_agent(api: Api, caller: Caller) -> None:
    await api.make_caller()
    told = (await caller.request("GET", "/v1/admin/status")).json()
    assert list(told) == COMMON
    assert (told["agentCount"], told["activeSessionCount"]) == (1, 1)


async def test_a_shutdown_is_asked_for_not_done(daemon: Daemon, api: Api) -> None:
    answer = await api.operator("POST", "/v1/admin/shutdown")
    assert (answer.status_code, answer.json()) == (200, {"message": "Shutdown initiated"})
    assert daemon.stop.is_set()


async def test_a_session_cannot_stop_the_daemon(daemon: Daemon, caller: Caller) -> None:
    assert (await caller.request("POST", "/v1/admin/shutdown")).status_code == 401
    assert not daemon.stop.is_set()
