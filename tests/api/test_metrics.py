"""GET /metrics: what is counted, under which names, and that no label can grow without bound."""

import re
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.api.client import MASTER, NOBODY, Api, Caller, client_of
from tests.api.tokens import finished
from tests.conftest import ManualClock, settings
from waiaas.app import Daemon
from waiaas.db import Statement
from waiaas.metrics import MOST_MARKS, SECONDS, Distribution, Metrics, Stage

LABELS = {"chain", "network", "type", "status", "tier", "stage", "code", "channel", "route", "le"}
#: a UUID, an address of either chain, an IP address
UNBOUNDED = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}|0x[0-9a-fA-F]{8}|[1-9A-HJ-NP-Za-km-z]{32}|\d+\.\d+\.\d+\.\d+")


async def scrape(client: httpx.AsyncClient) -> dict[tuple[str, ...], float]:
    """(name, label values in the order of label names …) → value."""
    answer = await client.get("/metrics")
    assert answer.status_code == 200
    return {
        (sample.name, *(sample.labels[name] for name in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


async def test_anybody_may_scrape_whatever_the_limits_while_stopping_and_with_the_switch_on(open_daemon: Any) -> None:
    config = settings(security={"rate_limit_global_ip_rpm": 1})
    async with open_daemon(config) as daemon, client_of(daemon) as client:
        throw = Statement("UPDATE kill_switch SET state = 'ACTIVATED', activated_at = 7", {}, touches="switch")
        await daemon.core.db.commit(throw)
        daemon.core.stopping = True
        for _ in range(3):
            answer = await client.get("/metrics")
            assert (answer.status_code, "x-ratelimit-limit" in answer.headers) == (200, False)
        assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert answer.headers["cache-control"] == "no-store"
        assert (await scrape(client))["waiaas_kill_switch",] == 1


async def test_the_lifecycle_of_a_transfer_is_measured_stage_by_stage(caller: Caller) -> None:
    sent = (await caller.send()).json()
    done = await finished(caller, sent["id"])
    assert done["status"] == "CONFIRMED"
    found = await scrape(caller.api.client)
    for stage in ("executing", "submitted", "confirmed", "whole"):
        assert found["waiaas_lifecycle_seconds_count", "localnet", stage] == 1, stage
        assert found["waiaas_lifecycle_seconds_bucket", "+Inf", "localnet", stage] == 1
    parts = sum(
        found["waiaas_lifecycle_seconds_sum", "localnet", stage] for stage in ("executing", "submitted", "confirmed")
    )
    assert found["waiaas_lifecycle_seconds_sum", "localnet", "whole"] == pytest.approx(parts)
    assert 0 < parts < 30


async def test_what_waits_and_what_is_in_flight_is_told_by_network_and_status(daemon: Daemon, caller: Caller) -> None:
    queued = (await caller.send(str(11 * 10**9))).json()
    daemon.core.wait(queued["id"], "CHAIN_UNREACHABLE", 9)
    found = await scrape(caller.api.client)
    assert found["waiaas_transactions", "localnet", "QUEUED"] == 1
    assert found["waiaas_transactions_waiting", "CHAIN_UNREACHABLE"] == 1


async def test_requests_are_counted_by_template_and_refusals_by_code(client: httpx.AsyncClient, caller: Caller) -> None:
    for path in (f"/v1/transactions/{NOBODY}", "/v1/transactions/x", "/nowhere/at/all", "/v1/agents"):
        await caller.request("GET", path)
    await client.request("BREW", "/v1/agents")
    await client.get("/health", headers={"Host": "evil.com"})
    found = await scrape(client)
    assert found["waiaas_http_requests_total", "GET /v1/transactions/{id}", "404"] == 1
    assert found["waiaas_http_requests_total", "GET /v1/transactions/{id}", "400"] == 1
    assert found["waiaas_http_requests_total", "GET /v1/agents", "401"] == 1
    assert found["waiaas_http_requests_total", "none", "404"] == 1
    assert found["waiaas_http_requests_total", "none", "405"] == 1
    assert found["waiaas_http_requests_total", "none", "403"] == 1
    assert found["waiaas_http_refusals_total", "TX_NOT_FOUND"] == 1
    assert found["waiaas_http_refusals_total", "INVALID_HOST"] == 1
    assert found["waiaas_http_seconds_count", "GET /v1/transactions/{id}"] == 2


async def test_nodes_commits_and_recovery_are_told(daemon: Daemon, caller: Caller) -> None:
    await finished(caller, (await caller.send()).json()["id"])
    found = await scrape(caller.api.client)
    assert found["waiaas_endpoints", "localnet", "ok"] == 1
    assert found["waiaas_rpc_requests_total", "localnet"] > 0
    assert found["waiaas_rpc_failures_total", "localnet"] == 0
    assert 0 < found["waiaas_rpc_latency_seconds", "localnet"] < 10
    assert found["waiaas_commit_lists_total",] == daemon.core.db.lists_committed > 0
    assert found["waiaas_commit_group_lists_sum",] == daemon.core.db.lists_committed
    assert found["waiaas_reconciling", "localnet"] == 0
    assert (found["waiaas_keystore_unlocked",], found["waiaas_keys_unusable",]) == (1, 0)
    (endpoint,) = daemon.core.chains.endpoints()[caller.agent["network"]]
    endpoint.lagging = True
    daemon.core.reconciling.add(caller.agent["network"])
    found = await scrape(caller.api.client)
    assert (found["waiaas_endpoints", "localnet", "lagging"], found["waiaas_reconciling", "localnet"]) == (1, 1)
    endpoint.quarantine("it lies")
    assert (await scrape(caller.api.client))["waiaas_endpoints", "localnet", "quarantined"] == 1


async def test_figures_are_told_when_the_database_is_not_there(daemon: Daemon, client: httpx.AsyncClient) -> None:
    await daemon.core.db.commit(Statement("DELETE FROM kill_switch", {}))
    daemon.core.db.refuses = "disk full"
    found = await scrape(client)
    assert "waiaas_kill_switch" not in {name for name, *_ in found}
    assert found["waiaas_database_writable",] == 0
    assert found["waiaas_uptime_seconds",] >= 0


async def test_labels_are_few_and_hold_no_id_and_no_address(api: Api, caller: Caller) -> None:
    await finished(caller, (await caller.send()).json()["id"])
    await caller.request("GET", f"/v1/transactions/{NOBODY}")
    await api.client.get(f"/v1/{caller.agent['publicKey']}", headers=MASTER)
    text = (await api.client.get("/metrics")).text
    families = list(text_string_to_metric_families(text))
    assert {name for family in families for sample in family.samples for name in sample.labels} <= LABELS
    assert {family.name.partition("_")[0] for family in families} == {"waiaas"}
    values = [value for family in families for sample in family.samples for value in sample.labels.values()]
    assert [value for value in values if UNBOUNDED.search(value)] == []


# --- counting ----------------------------------------------------------------------------------


def test_a_value_at_a_bound_is_not_above_it() -> None:
    taken = Distribution((1, 2))
    for value in (0.5, 1, 1.5, 2, 9):
        taken.add(value)
    assert taken.cumulated() == [(1, 2), (2, 4), (float("inf"), 5)]
    assert taken.total == 14


def test_stages_are_measured_from_one_another_and_the_whole_from_the_first() -> None:
    clock = ManualClock()
    metrics = Metrics(clock)
    metrics.began("t")
    for stage, seconds in ((Stage.EXECUTING, 1), (Stage.SUBMITTED, 2), (Stage.CONFIRMED, 4), (Stage.FINAL, 8)):
        clock.move(seconds)
        metrics.reached("t", "localnet", stage)
    assert {stage: taken.total for (_, stage), taken in metrics.stages.items()} == {
        Stage.EXECUTING: 1,
        Stage.SUBMITTED: 2,
        Stage.CONFIRMED: 4,
        Stage.WHOLE: 7,
        Stage.FINAL: 8,
    }


def test_what_began_before_a_restart_is_measured_from_where_it_is_first_seen() -> None:
    clock = ManualClock()
    metrics = Metrics(clock)
    metrics.reached("t", "localnet", Stage.SUBMITTED)
    clock.move(3)
    metrics.reached("t", "localnet", Stage.CONFIRMED)
    assert {stage: taken.total for (_, stage), taken in metrics.stages.items()} == {Stage.CONFIRMED: 3}
    metrics.reached("unknown", "localnet", Stage.FINAL)
    assert Stage.FINAL not in {stage for _, stage in metrics.stages}
    assert list(SECONDS) == sorted(SECONDS)


def test_the_oldest_of_too_many_are_forgotten() -> None:
    metrics = Metrics(ManualClock())
    for number in range(MOST_MARKS + 1):
        metrics.began(str(number))
    metrics.reached("0", "localnet", Stage.EXECUTING)
    metrics.reached("1", "localnet", Stage.EXECUTING)
    # the mark that "0" has got now has pushed "1" out
    assert metrics.stages == {}
