"""Log lines: each of a request carries its id, and none of them a secret."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import structlog

from tests.api.client import MASTER, NOBODY, Api, Caller
from tests.conftest import PASSWORD
from waiaas import log
from waiaas.app import Daemon
from waiaas.clock import Clock
from waiaas.db import Statement


class Kept:
    """A sink that keeps what is written."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []

    def write(self, line: bytes) -> None:
        self.lines.append(line)

    def close(self) -> None:
        """Nothing to close."""

    def events(self, name: str) -> list[dict[str, Any]]:
        decoded = [msgspec.json.decode(line, type=dict[str, Any]) for line in self.lines]
        return [line for line in decoded if line["event"] == name]


@pytest.fixture
def kept(daemon: Daemon) -> Iterator[Kept]:
    """Everything the daemon logs from now on, rendered as in production."""
    sink = Kept()
    log.start(sink, level="debug", clock=Clock())
    yield sink
    structlog.reset_defaults()


async def test_lines_of_a_request_carry_its_id_and_its_transaction(daemon: Daemon, kept: Kept, caller: Caller) -> None:
    sent = (await caller.send(str(11 * 10**9))).json()
    await daemon.core.db.commit(
        Statement("UPDATE transactions SET request = '{' WHERE id = :id", {"id": sent["id"]}, touches=None)
    )
    path = f"/v1/transactions/{sent['id']}"
    await caller.request("GET", path, headers={"X-Request-Id": "trace-7"})
    (line,) = kept.events("request_does_not_decode")
    assert (line["request_id"], line["tx_id"]) == ("trace-7", sent["id"])


async def test_a_failure_is_logged_under_the_id_that_the_caller_got(daemon: Daemon, kept: Kept, api: Api) -> None:
    await daemon.core.db.commit(Statement("UPDATE policies SET rules = 'broken'", {}, touches="policies"))
    answer = await api.operator("GET", "/v1/policies")
    assert answer.status_code == 500
    (line,) = kept.events("request_failed")
    assert line["request_id"] == answer.json()["requestId"]
    assert line["route"] == "GET /v1/policies"
    assert "Traceback" in line["exception"]


async def test_an_id_ends_with_its_request(kept: Kept, caller: Caller) -> None:
    await caller.request("GET", f"/v1/transactions/{NOBODY}")
    structlog.get_logger().info("outside")
    (line,) = kept.events("outside")
    assert not {"request_id", "tx_id"} & line.keys()


async def test_no_secret_is_logged_whatever_fails(daemon: Daemon, kept: Kept, api: Api) -> None:
    caller = await api.make_caller()
    token = caller.session["token"]
    planted = {
        "password": "planted-password-1",
        "memo": token,
        "provenance": {"reason": f"use {token}"},
    }
    await caller.send(**planted)
    await api.client.get("/v1/agents", headers={"X-Master-Password": "planted-password-2"})
    await api.client.get("/v1/wallet/address", headers={"Authorization": f"Bearer {token}x"})
    await api.client.get(f"/v1/{token}", headers=MASTER)
    await api.client.post(f"/v1/agents?password={PASSWORD}", content=f'{{"name": "{PASSWORD}'.encode(), headers=MASTER)
    await daemon.core.db.commit(Statement("UPDATE policies SET rules = 'broken'", {}, touches="policies"))
    await api.operator("POST", "/v1/policies", json={"type": "SPENDING_LIMIT", "rules": {"daily_total": token}})
    await api.operator("GET", "/v1/policies")
    structlog.get_logger().info("planted", password=PASSWORD, token=token, text=f"a {token} b")
    everything = b"\n".join(kept.lines).decode()
    for secret in (PASSWORD, token, "planted-password-1", "planted-password-2", token.rpartition(".")[2]):
        assert secret not in everything
    assert "planted" in everything
