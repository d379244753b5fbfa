"""Code that goes on for ever holds nobody up for more than a moment."""

import asyncio
import time

import httpx
import pytest

from tests.localnet.conftest import RpcFailed
from tests.localnet.evm.conftest import Node
from waiaas.clock import Clock
from waiaas.localnet import open_evm
from waiaas.localnet.evm import chain

#: JUMPDEST PUSH0 JUMP: run as the code of a contract to be made
LOOP = "0x5b5f56"


@pytest.fixture
async def real(tmp_path):
    """The chain on real time."""
    async with (
        open_evm(tmp_path, Clock()) as app,
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://node") as http,
    ):
        yield Node(http)


@pytest.mark.parametrize("method", ["eth_call", "eth_estimateGas"])
async def test_a_loop_without_end_is_cut_short_in_geths_words(real, monkeypatch, method):
    monkeypatch.setattr(chain, "CALL_SECONDS", 0.1)
    began = time.monotonic()
    with pytest.raises(RpcFailed, match="execution aborted"):
        await real.call(method, {"data": LOOP}, "latest")
    assert time.monotonic() - began < 0.6
    assert await real.number("eth_blockNumber") == 0


async def test_others_are_served_between_the_calls_of_a_batch(real, monkeypatch):
    monkeypatch.setattr(chain, "CALL_SECONDS", 0.05)
    loop = {"jsonrpc": "2.0", "id": 1, "method": "eth_call", "params": [{"data": LOOP}, "latest"]}
    turns = 0

    async def count():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    replies = (await real.http.post("/", json=[loop] * 4)).json()
    counting.cancel()
    assert [reply["error"]["code"] for reply in replies] == [-32000] * 4
    assert turns >= 4


async def test_what_runs_in_time_is_not_touched(real):
    # SLOAD of slot 0, 200 times: straight code
    assert await real.number("eth_estimateGas", {"data": "0x" + 200 * "5f5450"}) > 53_000
