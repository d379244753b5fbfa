"""`waiaas localnet reset`: a wallet outlives its embedded chain, and never with money under way on it."""

import json
import subprocess
import sys

from tests.api.client import MASTER, Api, client_of
from waiaas.errors import LocalnetInUse


def reset(directory, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "waiaas", "localnet", "reset", "--yes", "--data-dir", str(directory), *more]
    return subprocess.run(command, capture_output=True, text=True, check=False)


async def test_it_is_refused_while_a_transaction_waits_and_works_when_that_has_ended(open_daemon, data) -> None:
    async with open_daemon() as daemon, client_of(daemon) as client:
        caller = await Api(client).make_caller()
        waiting = (await caller.send("20000000000")).json()
        assert waiting["status"] == "QUEUED"
    refused = reset(data.root, "--json")
    assert refused.returncode == 1
    error = json.loads(refused.stdout)["error"]
    assert (error["code"], error["details"]) == (LocalnetInUse.code, {"transactions": [waiting["id"]]})
    assert "have not ended yet" in error["message"]
    assert any(data.localnet.iterdir())
    async with open_daemon() as daemon, client_of(daemon) as client:
        cancelled = await client.post(f"/v1/transactions/{waiting['id']}/cancel", headers=caller.headers)
        assert cancelled.status_code == 200
    assert reset(data.root).returncode == 0
    async with open_daemon() as daemon, client_of(daemon) as client:
        again = await Api(client).make_agent("anew")
        balance = await client.get(f"/v1/wallet/balance?agentId={again['id']}", headers=MASTER)
        assert balance.json()["balance"] == "100000000000"
        assert (await client.get("/health")).json()["checks"]["networks"]["localnet"] == "ok"
