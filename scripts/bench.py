"""What the daemon does in a second, beside a bare hello under the same server: one run, one machine, one table.

The load comes from a process of its own (scripts/load.py). "Workers held" are sends of an agent on a network whose only
endpoint refuses connections: they are accepted, and nothing can be built. "Workers running" are sends on the embedded
chain, whose virtual machine runs in the daemon's process too.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
from daemon import Daemon, Failed, free_port, make_wallet, running
from rich.console import Console
from rich.table import Column, Table

HERE = Path(__file__).parent
CONNECTIONS = 64
AGENTS = 8
CONFIRM_SECONDS = 120
SETTINGS = {
    "WAIAAS_SECURITY_RATE_LIMIT_GLOBAL_IP_RPM": "0",
    "WAIAAS_SECURITY_RATE_LIMIT_SESSION_RPM": "0",
    "WAIAAS_SECURITY_RATE_LIMIT_TX_RPM": "0",
    # the discard port: nothing listens there
    "WAIAAS_RPC_SOLANA_DEVNET": "http://127.0.0.1:9",
}


class Figure(msgspec.Struct, frozen=True):
    """One line of the table; latencies in milliseconds, None where a single thing was timed."""

    name: str
    value: float
    unit: str
    p50_ms: float | None = None
    p99_ms: float | None = None


class Load:
    """Numbers requests through the whole run, and has them sent by a process of its own."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.first = 1

    def run(self, name: str, url: str, *requests: str, expect: int = 200, count: int = 100_000) -> Figure:
        """Requests per second over all connections; Failed if one is answered otherwise than expected."""
        host, port = url.removeprefix("http://").split(":")
        plan = {
            "host": host,
            "port": int(port),
            "requests": requests,
            "expect": expect,
            "connections": CONNECTIONS,
            "seconds": self.seconds,
            "first": self.first,
            "count": count,
        }
        self.first += 1_000_000
        command = [sys.executable, str(HERE / "load.py")]
        done = subprocess.run(command, input=json.dumps(plan), capture_output=True, text=True, timeout=300, check=False)
        if done.returncode:
            raise Failed(f"{name}: {done.stderr}")
        told = json.loads(done.stdout)
        if told["errors"]:
            raise Failed(f"{name}: {told['errors'][0]}")
        return Figure(name, told["requests"] / told["seconds"], "/s", told["p50"] * 1000, told["p99"] * 1000)


def get(path: str, token: str | None = None) -> str:
    """The text of a GET request."""
    bearer = f"Authorization: Bearer {token}\r\n" if token else ""
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{bearer}\r\n"


def send(token: str, to: str) -> str:
    """The text of a send of 0.001 SOL, each under a key of its own."""
    body = json.dumps({"to": to, "amount": "1000000"})
    return (
        f"POST /v1/transactions/send HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
        f"Idempotency-Key: bench-{{n}}\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    )


def prepare(operator: httpx.Client, network: str) -> tuple[list[str], str]:
    """(session tokens of fresh agents on a network, the address of one more)."""
    agents = [make_agent(operator, f"{network} {number}", network) for number in range(AGENTS + 1)]
    tokens = [ask(operator, "/v1/sessions", agentId=agent["id"])["token"] for agent in agents[1:]]
    return tokens, agents[0]["publicKey"]


def make_agent(operator: httpx.Client, name: str, network: str) -> dict[str, Any]:
    """One agent."""
    return ask(operator, "/v1/agents", name=name, chain="solana", network=network)


def ask(operator: httpx.Client, path: str, **body: Any) -> dict[str, Any]:
    """What a POST answers; Failed if it refuses."""
    answer = operator.post(path, json=body)
    if answer.status_code != 201:
        raise Failed(f"POST {path} answered {answer.status_code}: {answer.text}")
    told: dict[str, Any] = answer.json()
    return told


@contextmanager
def hello() -> Iterator[str]:
    """The address of a bare Starlette hello under the daemon's own server and settings."""
    port = free_port()
    process = subprocess.Popen([sys.executable, str(HERE / "hello.py"), str(port)])
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for(lambda: answers(url), 10, "the hello did not start")
        yield url
    finally:
        process.terminate()
        process.wait()


def answers(url: str) -> bool:
    """Whether anything answers there."""
    try:
        return httpx.get(url, timeout=2).is_success
    except httpx.TransportError:
        return False


def wait_for(done: Callable[[], bool], seconds: float, else_say: str) -> float:
    """Ask fifty times a second until it is done; the seconds it took. Failed when time is up."""
    begun = time.perf_counter()
    while not done():
        if time.perf_counter() - begun > seconds:
            raise Failed(else_say)
        time.sleep(0.02)
    return time.perf_counter() - begun


def is_settled(operator: httpx.Client, network: str) -> bool:
    """Whether no transaction of the network is on its way."""
    for status in ("SUBMITTED", "EXECUTING", "PENDING"):
        page = operator.get("/v1/transactions", params={"status": status, "limit": 100}).json()
        if any(item["network"] == network for item in page["items"]):
            return False
    return True


def confirmed_per_second(load: Load, operator: httpx.Client, url: str, texts: list[str], transfers: int) -> Figure:
    """Transfers from the first send to the last confirmation."""
    before = count_confirmed(operator)
    begun = time.perf_counter()
    load.run("transfers", url, *texts, expect=201, count=transfers)
    wait_for(lambda: is_settled(operator, "localnet"), CONFIRM_SECONDS, "transfers are still on their way")
    seconds = time.perf_counter() - begun
    return Figure("send → confirmed", (count_confirmed(operator) - before) / seconds, "/s")


def count_confirmed(operator: httpx.Client) -> int:
    """How many transactions are CONFIRMED, page by page."""
    found, path = 0, "/v1/transactions?status=CONFIRMED&limit=100"
    page = operator.get(path).json()
    while page["hasMore"]:
        found += len(page["items"])
        page = operator.get(f"{path}&cursor={page['cursor']}").json()
    return found + len(page["items"])


def measure(seconds: float, transfers: int) -> Iterator[Figure]:
    """Every figure, in the order of the table."""
    load = Load(seconds)
    yield measure_hello(load, "bare hello, first")
    with tempfile.TemporaryDirectory(prefix="waiaas-bench-") as directory:
        data = Path(directory) / "wallet"
        make_wallet(data)
        with running(data, **SETTINGS) as daemon:
            yield Figure("start → ready, empty wallet", daemon.wait_until_ready(), "s")
            yield Figure("memory, idle", daemon.resident_mib(), "MiB")
            yield from measure_daemon(load, daemon, transfers)
            yield Figure("memory, after the load", daemon.resident_mib(), "MiB")
        with running(data, **SETTINGS) as daemon:
            yield Figure("start → ready, after the load", daemon.wait_until_ready(), "s")
    yield measure_hello(load, "bare hello, last")


def measure_hello(load: Load, name: str) -> Figure:
    """The ceiling: at both ends of the run, for other programs may take their part of the machine."""
    with hello() as url:
        load.run("warm-up", url, get("/"))
        return load.run(name, url, get("/"))


def measure_daemon(load: Load, daemon: Daemon, transfers: int) -> Iterator[Figure]:
    """What the daemon does under load; reads come after the sends that they list."""
    url = daemon.url
    with daemon.client() as operator:
        tokens, to = prepare(operator, "localnet")
        texts = [send(token, to) for token in tokens]
        yield load.run("health", url, get("/health"))
        yield load.run("authenticated read", url, get("/v1/wallet/address", tokens[0]))
        yield confirmed_per_second(load, operator, url, texts, transfers)
        yield load.run("list of 20", url, get("/v1/transactions?limit=20", tokens[0]))
        yield load.run("send accepted, workers running", url, *texts, expect=201)
        wait_for(lambda: is_settled(operator, "localnet"), CONFIRM_SECONDS, "transfers are still on their way")
        tokens, to = prepare(operator, "devnet")
        yield load.run("send accepted, workers held", url, *(send(token, to) for token in tokens), expect=201)


def table(figures: list[Figure]) -> Table:
    """The figures, rates also as a part of the ceiling."""
    ceiling = max(figures[0].value, figures[-1].value)
    drawn = Table(Column("", no_wrap=True), "figure", "of hello", "median", "99 %")
    for column in drawn.columns[1:]:
        column.justify = "right"
    for figure in figures:
        part = f"{figure.value / ceiling:.0%}" if figure.unit == "/s" else ""
        latencies = [f"{ms:.1f} ms" if ms is not None else "" for ms in (figure.p50_ms, figure.p99_ms)]
        number = f"{figure.value:.2f}" if figure.unit == "s" else f"{figure.value:,.0f}"
        drawn.add_row(figure.name, f"{number} {figure.unit}", part, *latencies)
    return drawn


def main() -> int:
    """Measure, then print a table or JSON."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3, help="length of each load (default 3)")
    parser.add_argument("--transfers", type=int, default=400, help="transfers timed to the last one (default 400)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    console, figures = Console(stderr=options.json), []
    try:
        with console.status("measuring") as status:
            for figure in measure(min(options.seconds, 60), min(options.transfers, 10_000)):
                figures.append(figure)
                status.update(f"measured: {figure.name}")
    except (Failed, httpx.HTTPError) as error:
        console.print(f"The bench failed: {error}", markup=False)
        return 1
    if options.json:
        print(json.dumps({"connections": CONNECTIONS, "figures": msgspec.to_builtins(figures)}))
    else:
        console.print(table(figures))
    return 0


sys.exit(main())
