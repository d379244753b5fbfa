"""What the daemon does in a second, beside a bare hello under the same server: one run, one machine, one table.

The load comes from a process of its own (scripts/load.py). "Workers held" are sends of an agent on a network whose only
endpoint refuses connections: they are accepted, and nothing can be built. "Workers running" are sends on the embedded
chain, whose virtual machine runs in the daemon's process too. A look of the confirm worker and a decision are measured
apart from any daemon, in CPU seconds (scripts/polls.py, scripts/decisions.py).
"""

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import msgspec
from daemon import Daemon, Failed, free_port, make_wallet, running
from rich.console import Console
from rich.table import Column, Table

HERE = Path(__file__).parent
CONNECTIONS = 64
#: sends whose way to CONFIRMED is timed one by one, so many at once
TIMED = 20
TIMED_AT_ONCE = 2
CONFIRM_SECONDS = 120
#: between two looks at what is still on its way: each costs the daemon some milliseconds
SETTLE_SECONDS = 0.1
IN_FLIGHT = (100, 1_000, 10_000)
POLICIES = (1, 10, 100)
#: ledger rows of a short history; the long one is an option
FEW_ROWS = 100
SETTINGS = {
    "WAIAAS_SECURITY_RATE_LIMIT_GLOBAL_IP_RPM": "0",
    "WAIAAS_SECURITY_RATE_LIMIT_SESSION_RPM": "0",
    "WAIAAS_SECURITY_RATE_LIMIT_TX_RPM": "0",
    # the discard port: nothing listens there
    "WAIAAS_RPC_SOLANA_DEVNET": "http://127.0.0.1:9",
}


class Net(NamedTuple):
    """An embedded chain: a thousandth of its money in base units, and the milliseconds that a block takes."""

    label: str
    chain: str
    network: str
    amount: int
    block_ms: float


SOLANA = Net("Solana", "solana", "localnet", 10**6, 400)
#: it makes a block of whatever has come, at once
EVM = Net("EVM", "ethereum", "ethereum-localnet", 10**15, 0)
#: accepts, and cannot build
HELD = Net("Solana", "solana", "devnet", 10**6, 400)


#: requests that no run comes near
PLENTY = 100_000


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

    def run(self, name: str, url: str, *requests: str, expect: int = 200, count: int = 0) -> Figure:
        """Requests per second over all connections, for the seconds of a load or until so many are answered.

        Failed if one is answered otherwise than expected.
        """
        host, port = url.removeprefix("http://").split(":")
        plan = {
            "host": host,
            "port": int(port),
            "requests": requests,
            "expect": expect,
            "connections": CONNECTIONS,
            "seconds": CONFIRM_SECONDS if count else self.seconds,
            "first": self.first,
            "count": count or 100_000,
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


def send(token: str, to: str, net: Net) -> str:
    """The text of a send of a thousandth, each under a key of its own."""
    body = json.dumps({"to": to, "amount": str(net.amount)})
    return (
        f"POST /v1/transactions/send HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
        f"Idempotency-Key: bench-{{n}}\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    )


def prepare(operator: httpx.Client, net: Net, count: int) -> tuple[list[str], str]:
    """(session tokens of fresh agents on a network, each with constraints of every kind, the address of one more)."""
    with ThreadPoolExecutor(8) as threads:
        agents = list(threads.map(lambda number: make_agent(operator, number, net), range(count + 1)))
        to = agents[0]["publicKey"]
        bounds = constraints(net, to)
        sessions = threads.map(lambda one: ask(operator, "/v1/sessions", agentId=one["id"], constraints=bounds), agents)
        tokens = [session["token"] for session in sessions]
    return tokens[1:], to


def constraints(net: Net, to: str) -> dict[str, Any]:
    """What a session may do at most: more than a run asks for, so that all is judged and nothing refused."""
    return {
        "maxAmountPerTx": str(net.amount),
        "maxTotalAmount": str(net.amount * PLENTY),
        "maxTransactions": PLENTY,
        "allowedOperations": ["TRANSFER"],
        "allowedDestinations": [to],
    }


def limit(operator: httpx.Client) -> None:
    """Policies beside the one that a wallet begins with, as wide as those constraints."""
    ask(operator, "/v1/policies", type="RATE_LIMIT", rules={"max_requests": PLENTY, "window_seconds": 60})
    hours = {"allowed_hours": {"start": 0, "end": 24}, "timezone": "Europe/Berlin"}
    ask(operator, "/v1/policies", type="TIME_RESTRICTION", rules=hours)
    for asset, net in (("native:solana", SOLANA), ("native:ethereum", EVM)):
        most = net.amount * PLENTY
        caps = {"per_transaction": str(most), "daily_total": str(most * 1000), "monthly_total": str(most * 1000)}
        ask(operator, "/v1/policies", type="SPENDING_LIMIT", rules={"limits": {asset: caps}})


def make_agent(operator: httpx.Client, number: int, net: Net) -> dict[str, Any]:
    """One agent."""
    return ask(operator, "/v1/agents", name=f"{net.network} {number}", chain=net.chain, network=net.network)


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


def wait_for(done: Callable[[], bool], seconds: float, else_say: str, pause: float = 0.02) -> float:
    """Ask again after each pause until it is done; the seconds it took. Failed when time is up."""
    begun = time.perf_counter()
    while not done():
        if time.perf_counter() - begun > seconds:
            raise Failed(else_say)
        time.sleep(pause)
    return time.perf_counter() - begun


def is_settled(operator: httpx.Client, net: Net) -> bool:
    """Whether no transaction of the network is on its way."""
    depths = re.findall(rf'^waiaas_transactions{{network="{net.network}",.*}} (.*)$', metrics(operator), re.MULTILINE)
    return not any(map(float, depths))


def metrics(operator: httpx.Client) -> str:
    """The exposition."""
    return operator.get("/metrics").raise_for_status().text


def settle(operator: httpx.Client, net: Net) -> None:
    """Until no transaction of the network is on its way."""
    late = f"transfers on {net.network} are still on their way"
    wait_for(lambda: is_settled(operator, net), CONFIRM_SECONDS, late, SETTLE_SECONDS)


def seconds_to_confirm(
    load: Load, operator: httpx.Client, url: str, net: Net, texts: list[str], transfers: int
) -> float:
    """Seconds from the first of so many sends to the last confirmation; Failed if one ends otherwise."""
    before = count_confirmed(operator)
    begun = time.perf_counter()
    load.run(f"transfers on {net.network}", url, *texts, expect=201, count=transfers)
    settle(operator, net)
    seconds = time.perf_counter() - begun
    if (confirmed := count_confirmed(operator) - before) < transfers:
        raise Failed(f"of {transfers} transfers on {net.network} only {confirmed} are confirmed")
    return seconds


def one_by_one(operator: httpx.Client, net: Net, tokens: list[str], to: str) -> Figure:
    """What the daemon adds to the chain's own time, in the middle, while little else is asked of it."""

    def timed(token: str) -> float:
        bearer = {"Authorization": f"Bearer {token}"}
        body = {"to": to, "amount": str(net.amount), "distinct": True}
        sent = operator.post("/v1/transactions/send", json=body, headers=bearer).raise_for_status().json()
        begun = time.perf_counter()
        ended = operator.get(f"/v1/transactions/{sent['id']}", params={"wait": 60}, headers=bearer).json()
        if ended["status"] != "CONFIRMED":
            raise Failed(f"a transfer on {net.network} is {ended['status']}")
        return (time.perf_counter() - begun) * 1000

    with ThreadPoolExecutor(TIMED_AT_ONCE) as threads:
        middle = statistics.median(threads.map(timed, tokens[:TIMED]))
    return Figure(f"to confirmed − block, {net.label}", middle - net.block_ms, "ms", p50_ms=middle)


def count_confirmed(operator: httpx.Client) -> int:
    """How many transactions are CONFIRMED, page by page."""
    found, path = 0, "/v1/transactions?status=CONFIRMED&limit=100"
    page = operator.get(path).json()
    while page["hasMore"]:
        found += len(page["items"])
        page = operator.get(f"{path}&cursor={page['cursor']}").json()
    return found + len(page["items"])


def measure(seconds: float, transfers: int, agents: int, rows: int) -> Iterator[Figure]:
    """Every figure, in the order of the table."""
    load = Load(seconds)
    yield measure_hello(load, "bare hello, first")
    with tempfile.TemporaryDirectory(prefix="waiaas-bench-") as directory:
        data = Path(directory) / "wallet"
        make_wallet(data)
        with running(data, **SETTINGS) as daemon:
            yield Figure("start → ready, empty wallet", daemon.wait_until_ready(), "s")
            yield Figure("memory, idle", daemon.resident_mib(), "MiB")
            yield from measure_daemon(load, daemon, transfers, agents)
            yield Figure("memory, after the load", daemon.resident_mib(), "MiB")
        with running(data, **SETTINGS) as daemon:
            yield Figure("start → ready, after the load", daemon.wait_until_ready(), "s")
    yield from measure_looks()
    yield from measure_decisions(rows)
    yield measure_hello(load, "bare hello, last")


def measure_hello(load: Load, name: str) -> Figure:
    """The ceiling: at both ends of the run, for other programs may take their part of the machine."""
    with hello() as url:
        load.run("warm-up", url, get("/"))
        return load.run(name, url, get("/"))


def measure_daemon(load: Load, daemon: Daemon, transfers: int, agents: int) -> Iterator[Figure]:
    """What the daemon does under load; reads come after the sends that they list."""
    url = daemon.url
    with daemon.client() as operator:
        limit(operator)
        tokens, to = prepare(operator, SOLANA, agents)
        texts = [send(token, to, SOLANA) for token in tokens]
        yield load.run("health", url, get("/health"))
        yield load.run("authenticated read", url, get("/v1/wallet/address", tokens[0]))
        yield one_by_one(operator, SOLANA, tokens, to)
        seconds = seconds_to_confirm(load, operator, url, SOLANA, texts, transfers)
        yield Figure("send → confirmed, Solana", transfers / seconds, "/s")
        yield load.run("list of 20", url, get("/v1/transactions?limit=20", tokens[0]))
        yield load.run("send accepted, workers running", url, *texts, expect=201)
        settle(operator, SOLANA)
        yield from measure_evm(load, operator, url, transfers, agents)
        tokens, to = prepare(operator, HELD, agents)
        texts = [send(token, to, HELD) for token in tokens]
        yield load.run("send accepted, workers held", url, *texts, expect=201)


def measure_evm(load: Load, operator: httpx.Client, url: str, transfers: int, agents: int) -> Iterator[Figure]:
    """The same way on the embedded EVM chain, and as many sends as there are connections out of one nonce lane."""
    tokens, to = prepare(operator, EVM, agents)
    yield one_by_one(operator, EVM, tokens, to)
    texts = [send(token, to, EVM) for token in tokens]
    yield Figure(
        "send → confirmed, EVM", transfers / seconds_to_confirm(load, operator, url, EVM, texts, transfers), "/s"
    )
    alone = seconds_to_confirm(load, operator, url, EVM, texts[:1], CONNECTIONS)
    yield Figure(f"one agent's {CONNECTIONS} sends, EVM", alone, "s")


def measure_looks() -> Iterator[Figure]:
    """What one look of the confirm worker costs with ever more in flight; nothing else runs beside it."""
    for net in (SOLANA, EVM):
        for look in run_apart("polls.py", network=net.network, counts=IN_FLIGHT):
            name = f"{look['count']:,} in flight, {net.label}"
            yield Figure(f"{name}: CPU", look["cpu"] * 1000, "ms")
            yield Figure(f"{name}: HTTP", look["requests"], "")


def measure_decisions(rows: int) -> Iterator[Figure]:
    """What judging a transfer costs: it may not depend on the history, and grows with the policies that hold."""
    for found in run_apart("decisions.py", policies=POLICIES, rows=(FEW_ROWS, rows)):
        policies = "1 policy" if found["policies"] == 1 else f"{found['policies']} policies"
        of = f"{policies}, {found['rows']:,} ledger rows"
        yield Figure(f"decisions, {of}", 1 / found["cpu"], "/s CPU")
        if found["policies"] == POLICIES[0]:
            yield Figure(f"first decision, {found['rows']:,} ledger rows: CPU", found["first"] * 1000, "ms")


def run_apart(script: str, **plan: Any) -> Any:
    """What a script beside this one writes for a plan, in a process of its own; Failed if it cannot."""
    command = [sys.executable, str(HERE / script)]
    done = subprocess.run(command, input=json.dumps(plan), capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        raise Failed(f"{script}: {done.stderr}")
    return json.loads(done.stdout)


#: behind the point
DIGITS = {"s": 2, "ms": 1}


def table(figures: list[Figure]) -> Table:
    """The figures, rates also as a part of the ceiling."""
    ceiling = max(figures[0].value, figures[-1].value)
    drawn = Table(Column("", no_wrap=True), "figure", "of hello", "median", "99 %")
    for column in drawn.columns[1:]:
        column.justify = "right"
    for figure in figures:
        part = f"{figure.value / ceiling:.0%}" if figure.unit == "/s" else ""
        latencies = [f"{ms:.1f} ms" if ms is not None else "" for ms in (figure.p50_ms, figure.p99_ms)]
        number = f"{figure.value:,.{DIGITS.get(figure.unit, 0)}f}"
        drawn.add_row(figure.name, f"{number} {figure.unit}".strip(), part, *latencies)
    return drawn


def main() -> int:
    """Measure, then print a table or JSON."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3, help="length of each load (default 3)")
    parser.add_argument("--transfers", type=int, default=2000, help="transfers timed to the last one (default 2000)")
    parser.add_argument("--agents", type=int, default=64, help="agents that send them, on each chain (default 64)")
    parser.add_argument("--rows", type=int, default=100_000, help="ledger rows of a long history (default 100000)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    console, figures = Console(stderr=options.json), []
    try:
        with console.status("measuring") as status:
            transfers, rows = min(options.transfers, 10_000), min(options.rows, 1_000_000)
            for figure in measure(min(options.seconds, 60), transfers, options.agents, rows):
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
