"""F15: file descriptors run out. Who is connected is served, others are refused, nothing is half done."""

import asyncio
import os
import resource
import socket
from contextlib import suppress

import httpx
import pytest

#: descriptors that the daemon may open beyond those that it has
FEW = 4


async def answered(url: httpx.URL) -> bool:
    """Whether somebody new is answered."""
    with suppress(httpx.TransportError):
        async with httpx.AsyncClient(base_url=url, timeout=2) as fresh:
            return (await fresh.get("/health")).is_success
    return False


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="limits of another process are set on Linux only")
async def test_f15_without_file_descriptors_nothing_is_half_done_and_it_goes_on_afterwards(house):
    daemon = await house.serve()
    alice, bob = await daemon.agent("alice"), await daemon.agent("bob")
    token = await daemon.token(alice)
    pid, client = daemon.process.pid, daemon._client
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (len(os.listdir(f"/proc/{pid}/fd")) + FEW, before[1]))
    crowd = [socket.create_connection(("127.0.0.1", client.base_url.port)) for _ in range(3 * FEW)]
    assert not await answered(client.base_url)
    # what needs no file is done, what needs one is refused whole and may be asked for again
    tx = await daemon.ended(token, (await daemon.send(token, bob["publicKey"]))["id"])
    assert tx["status"] == "CONFIRMED"
    refused = await client.post("/v1/agents", json={"name": "carol", "chain": "solana", "network": "localnet"})
    assert (refused.status_code, refused.json()["code"], refused.json()["retryable"]) == (
        503,
        "STORAGE_UNAVAILABLE",
        True,
    )
    for one in crowd:
        one.close()
    async with asyncio.timeout(15):
        while not await answered(client.base_url):
            await asyncio.sleep(0.2)
    assert (await daemon.agent("carol"))["status"] == "ACTIVE"
    assert await daemon.stop() == 0
    await house.check()
