"""A transfer on each chain from PENDING to CONFIRMED: a real daemon, database, keystore and chains, over HTTP alone."""

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import httpx
from daemon import Daemon, Failed, make_wallet, running
from rich.console import Console
from rich.live import Live
from rich.table import Table

WAY = ("PENDING", "EXECUTING", "SUBMITTED", "CONFIRMED")
FINAL = {"CONFIRMED", "FAILED", "CANCELLED", "EXPIRED", "PARTIAL_FAILURE"}
#: looks at the transaction without a pause until its bytes are signed; then the daemon is asked to tell when it ends
LOOKS = 200

console = Console(highlight=False)


class Money(NamedTuple):
    """What a network calls its money, and how much of it the demo moves."""

    chain: str
    network: str
    symbol: str
    decimals: int
    amount: int

    def show(self, units: int) -> str:
        """Base units in whole ones."""
        whole, rest = divmod(units, 10**self.decimals)
        return f"{whole}.{rest:0{self.decimals}d}".rstrip("0").rstrip(".") + f" {self.symbol}"


MONEY = (
    Money("solana", "localnet", "SOL", 9, 500_000_000),
    Money("ethereum", "ethereum-localnet", "ETH", 18, 50_000_000_000_000_000),
)


class Progress:
    """What was seen of one transfer, as a table that grows."""

    def __init__(self, money: Money) -> None:
        self.money = money
        self.begun = time.monotonic()
        self.seen: dict[str, float] = {}
        self.transaction: dict[str, Any] = {}

    def note(self, transaction: dict[str, Any]) -> bool:
        """Take in a look at the transaction; whether its status is one not seen before."""
        self.transaction = transaction
        new = transaction["status"] not in self.seen
        self.seen.setdefault(transaction["status"], time.monotonic() - self.begun)
        return new

    def table(self) -> Table:
        """A line for each status of the way so far; EXECUTING can be too short to be seen."""
        table = Table(
            "status",
            "after",
            "at",
            title=f"{self.money.show(self.money.amount)} from alice to bob",
            title_justify="left",
        )
        table.add_column("what the daemon says", overflow="fold")
        way = [status for status in WAY if status in self.seen or any(later in self.seen for later in after(status))]
        for status in [*way, *(status for status in self.seen if status not in WAY)]:
            seen = f"{self.seen[status] * 1000:.0f} ms" if status in self.seen else "between two looks"
            table.add_row(status, seen, *self.remark(status))
        return table

    def remark(self, status: str) -> tuple[str, str]:
        """(time of day, remark) of a status, from the transaction's own fields."""
        tx = self.transaction
        match status:
            case "PENDING":
                return clock(tx.get("createdAt")), f"accepted, tier {tx.get('tier')}"
            case "EXECUTING":
                return "", "building, simulating, signing"
            case "SUBMITTED":
                return clock(tx.get("submittedAt")), f"the signed bytes are on disk, and sent:\n{tx.get('txHash')}"
            case "CONFIRMED":
                return clock(
                    tx.get("finalAt")
                ), f"on chain, fee {self.money.show(int((tx.get('fee') or {}).get('amount', 0)))}"
            case _:
                return clock(tx.get("finalAt")), f"{tx.get('errorCode')}: {tx.get('error')}"


def after(status: str) -> tuple[str, ...]:
    """What follows a status on the way."""
    return WAY[WAY.index(status) + 1 :]


def clock(seconds: int | None) -> str:
    """A time of day, local."""
    return time.strftime("%H:%M:%S", time.localtime(seconds)) if seconds else ""


def ask(client: httpx.Client, method: str, path: str, **request: Any) -> dict[str, Any]:
    """The JSON answer of a route; Failed, with the error body, if it is not a success."""
    answer = client.request(method, path, **request)
    if not answer.is_success:
        raise Failed(f"{method} {path} answered {answer.status_code}: {answer.text}")
    body: dict[str, Any] = answer.json()
    return body


def create_agent(client: httpx.Client, name: str, money: Money) -> dict[str, Any]:
    """An agent on an embedded chain, funded by it."""
    wanted = {"name": name, "chain": money.chain, "network": money.network}
    agent = ask(client, "POST", "/v1/agents", json=wanted)
    console.print(f"agent {name:<6} {agent['publicKey']}  {money.show(balance(client, agent))}")
    return agent


def balance(client: httpx.Client, agent: dict[str, Any]) -> int:
    """Base units at the agent's address."""
    return int(ask(client, "GET", "/v1/wallet/balance", params={"agentId": agent["id"]})["balance"])


def transfer(client: httpx.Client, token: str, to: str, money: Money) -> dict[str, Any]:
    """Send, and watch until it is final; the transaction as it ended."""
    bearer = {"Authorization": f"Bearer {token}"}
    progress = Progress(money)
    sent = ask(client, "POST", "/v1/transactions/send", json={"to": to, "amount": str(money.amount)}, headers=bearer)
    path = f"/v1/transactions/{sent['id']}"
    progress.note(sent)
    with Live(progress.table(), console=console, auto_refresh=False) as live:
        looks = 0
        while progress.transaction["status"] not in FINAL:
            looks += 1
            waits = looks > LOOKS or progress.transaction["status"] == "SUBMITTED"
            if progress.note(ask(client, "GET", path, params={"wait": 30 if waits else 0}, headers=bearer)):
                live.update(progress.table(), refresh=True)
            if looks > 2 * LOOKS:
                raise Failed(f"the transfer is still {progress.transaction['status']}")
        live.update(progress.table(), refresh=True)
    return progress.transaction


def run(daemon: Daemon) -> str:
    """The whole job on each chain; the session token it was done with on the first."""
    console.print(f"daemon ready at {daemon.url} after {daemon.wait_until_ready():.1f} s, pid {daemon.process.pid}")
    with daemon.client() as operator, httpx.Client(base_url=daemon.url, timeout=70) as program:
        tokens = [pay(operator, program, money) for money in MONEY]
    return tokens[0]


def pay(operator: httpx.Client, program: httpx.Client, money: Money) -> str:
    """Two agents, a session, a transfer, and balances that add up; the session token."""
    console.rule(f"{money.chain}, network {money.network}", align="left")
    alice, bob = create_agent(operator, "alice", money), create_agent(operator, "bob", money)
    before = balance(operator, alice), balance(operator, bob)
    session = ask(operator, "POST", "/v1/sessions", json={"agentId": alice["id"]})
    console.print(f"session     {session['token'][:24]}…  for one day\n")
    transaction = transfer(program, session["token"], bob["publicKey"], money)
    if transaction["status"] != "CONFIRMED":
        raise Failed(f"the transfer ended {transaction['status']}: {transaction['errorCode']}, {transaction['error']}")
    after = balance(operator, alice), balance(operator, bob)
    fee, show = int(transaction["fee"]["amount"]), money.show
    console.print(f"\nhash  {transaction['txHash']}", soft_wrap=True)
    console.print(f"alice {show(before[0])} → {show(after[0])}")
    console.print(f"bob   {show(before[1])} → {show(after[1])}\nfee   {show(fee)}\n")
    if after != (before[0] - money.amount - fee, before[1] + money.amount):
        raise Failed("the balances do not add up")
    return str(session["token"])


def keep_serving(daemon: Daemon, token: str) -> None:
    """Print what to go on with, and wait for Ctrl-C."""
    console.print(
        f"""
The daemon goes on. In another terminal:

    TOKEN={token}
    PASSWORD=$(cat {daemon.data}/.master-password)
    curl -s {daemon.url}/health
    curl -s {daemon.url}/v1/wallet/balance -H "Authorization: Bearer $TOKEN"
    curl -s {daemon.url}/v1/transactions -H "Authorization: Bearer $TOKEN"
    curl -s {daemon.url}/v1/agents -H "X-Master-Password: $PASSWORD"
    curl -s {daemon.url}/doc

Ctrl-C stops it and deletes {daemon.data}.""",
        soft_wrap=True,
        markup=False,
    )
    if code := daemon.process.wait():
        raise Failed(f"the daemon ended with exit code {code}")


def main() -> int:
    """Run the demo in a directory that is deleted afterwards, unless something failed."""
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__)
    parser.add_argument(
        "--serve", action="store_true", help="keep the daemon running and print curl lines to go on with"
    )
    serve = parser.parse_args().serve
    data = Path(tempfile.mkdtemp(prefix="waiaas-demo-")) / "wallet"
    daemon = None
    try:
        make_wallet(data)
        with running(data) as daemon:
            token = run(daemon)
            if serve:
                keep_serving(daemon, token)
    except KeyboardInterrupt:
        console.print("\nstopped")
    except (Failed, httpx.HTTPError) as error:
        log = daemon.tail() if daemon else ""
        console.print(
            f"\nThe demo failed: {error}\n\n{log}\n\nEverything is kept in {data}.", soft_wrap=True, markup=False
        )
        return 1
    shutil.rmtree(data.parent)
    return 0


sys.exit(main())
