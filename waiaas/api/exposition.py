"""The figures of the daemon in the text format of Prometheus.

Labels are few and bounded: never an id, an address, a host or a path as it came. Imported when somebody first asks, for
prometheus-client takes a tenth of a second to load.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from prometheus_client import generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.registry import Collector

from waiaas.chains.endpoint import Endpoint
from waiaas.domain.switch import KillSwitchState
from waiaas.metrics import Distribution, Metrics
from waiaas.pipeline.core import Core

#: upper bounds of the sizes of commit groups, in lists
LISTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)

#: by the values of the labels, in their order
Values = Mapping[Any, float]


class Snapshot(Collector):
    """Families as they were at one moment."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> list[Metric]:
        """All of them."""
        return self._families


def exposition(core: Core, live: Mapping[tuple[str, str], int] | None, switch: KillSwitchState | None) -> bytes:
    """The text; `live` is (status, network) → transactions, None like `switch` if the database cannot be read."""
    families = (*_transactions(core, live), *_nodes(core), *_database(core, live), *_http(core.metrics))
    return generate_latest(Snapshot((*families, *_state(core, switch))))


def _transactions(core: Core, live: Mapping[tuple[str, str], int] | None) -> Iterator[Metric]:
    depths = {(network, status): count for (status, network), count in (live or {}).items()}
    yield gauge("transactions", "Transactions that are not final; SUBMITTED are in flight", "network status", depths)
    waiting = Counter((waiting.reason,) for waiting in core.waiting.values())
    yield gauge("transactions_waiting", "Transactions that cannot be signed now, by reason", "code", waiting)
    stages = {(network, str(stage)): taken for (network, stage), taken in core.metrics.stages.items()}
    about = "Time from the stage before; whole is from accepted to confirmed"
    yield histogram("lifecycle_seconds", about, "network stage", stages)


def _nodes(core: Core) -> Iterator[Metric]:
    found = core.chains.endpoints()
    states = Counter(
        (str(network), _state_of(endpoint)) for network, endpoints in found.items() for endpoint in endpoints
    )
    yield gauge("endpoints", "Endpoints of the networks in use, by how they are", "network status", states)
    asked = {(str(network),): sum(one.requests for one in endpoints) for network, endpoints in found.items()}
    yield counter("rpc_requests", "HTTP exchanges with nodes", "network", asked)
    failed = {(str(network),): sum(one.failures for one in endpoints) for network, endpoints in found.items()}
    yield counter("rpc_failures", "Exchanges that failed", "network", failed)
    latency = {
        (str(network),): min(one.latency_seconds for one in endpoints if one.requests)
        for network, endpoints in found.items()
        if any(one.requests for one in endpoints)
    }
    yield gauge("rpc_latency_seconds", "Last exchange of the fastest endpoint", "network", latency)


def _state_of(endpoint: Endpoint) -> str:
    if endpoint.quarantined is not None:
        return "quarantined"
    if not endpoint.usable:
        return "resting"
    return "lagging" if endpoint.lagging else "ok"


def _database(core: Core, live: Mapping[tuple[str, str], int] | None) -> Iterator[Metric]:
    db, sizes = core.db, Distribution(LISTS)
    for size, groups in db.group_sizes.items():
        sizes.add(size, groups)
    yield histogram("commit_group_lists", "Lists of statements that shared one commit", "", {(): sizes})
    yield counter("commit_lists", "Lists of statements committed", "", {(): db.lists_committed})
    yield gauge("database_readable", "1 if the database answered just now", "", {(): float(live is not None)})
    yield gauge("database_writable", "1 unless the last group could not be written", "", {(): float(not db.refuses)})


def _http(metrics: Metrics) -> Iterator[Metric]:
    requests = {(route, str(status)): count for (route, status), count in metrics.requests.items()}
    yield counter("http_requests", "Requests answered", "route status", requests)
    yield counter("http_refusals", "Requests refused", "code", {(code,): n for code, n in metrics.refusals.items()})
    summary = SummaryMetricFamily("waiaas_http_seconds", "Time to the answer, waiting included", labels=["route"])
    for route, (count, seconds) in metrics.times.items():
        summary.add_metric([route], count, seconds)
    yield summary


def _state(core: Core, switch: KillSwitchState | None) -> Iterator[Metric]:
    reconciling = {(str(network),): float(network in core.reconciling) for network in core.chains.networks()}
    yield gauge("reconciling", "1 while start-up recovery looks at the network's transactions", "network", reconciling)
    yield gauge("keystore_unlocked", "1 while keys can be used", "", {(): float(core.keystore.unlocked)})
    yield gauge("keys_unusable", "Agents whose key cannot be used", "", {(): len(core.quarantined)})
    if switch is not None:
        yield gauge(
            "kill_switch", "1 while the kill switch is on", "", {(): float(switch is not KillSwitchState.NORMAL)}
        )
    yield gauge("uptime_seconds", "Since the daemon started", "", {(): core.clock.now() - core.started_at})


def gauge(name: str, about: str, labels: str, values: Values) -> Metric:
    """A figure that goes up and down, by the values of its labels."""
    family = GaugeMetricFamily(f"waiaas_{name}", about, labels=labels.split())
    for of, value in values.items():
        family.add_metric(of, value)
    return family


def counter(name: str, about: str, labels: str, values: Values) -> Metric:
    """A figure that grows until the daemon stops; `_total` is put behind its name."""
    family = CounterMetricFamily(f"waiaas_{name}", about, labels=labels.split())
    for of, value in values.items():
        family.add_metric(of, value)
    return family


def histogram(name: str, about: str, labels: str, values: Mapping[Any, Distribution]) -> Metric:
    """How often values fell under each bound."""
    family = HistogramMetricFamily(f"waiaas_{name}", about, labels=labels.split())
    for of, taken in values.items():
        family.add_metric(of, [(_bound(most), count) for most, count in taken.cumulated()], taken.total)
    return family


def _bound(most: float) -> str:
    return "+Inf" if most == float("inf") else str(float(most))
