"""An embedded chain that starts when it is first spoken to."""

import asyncio
from contextlib import asynccontextmanager

import httpx
import pytest
from starlette.responses import PlainTextResponse

from waiaas.errors import LocalnetUnusable
from waiaas.localnet.ondemand import OnDemand


class Chain:
    """What is started, and how often it was started and stopped."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.started = self.stopped = 0

    @asynccontextmanager
    async def open(self):
        self.started += 1
        await asyncio.sleep(0)
        if self.error:
            raise self.error
        try:
            yield PlainTextResponse("here")
        finally:
            self.stopped += 1


async def test_it_starts_once_however_many_ask_and_stops_with_the_client():
    chain = Chain()
    async with httpx.AsyncClient(transport=OnDemand(chain.open), base_url="http://embedded") as client:
        assert chain.started == 0
        answers = await asyncio.gather(*(client.get("/") for _ in range(5)))
        assert {answer.text for answer in answers} == {"here"}
        assert (chain.started, chain.stopped) == (1, 0)
    assert (chain.started, chain.stopped) == (1, 1)


async def test_what_nobody_asks_for_is_never_started():
    chain = Chain()
    async with httpx.AsyncClient(transport=OnDemand(chain.open)):
        pass
    assert chain.started == 0


async def test_a_chain_that_does_not_start_is_a_node_that_does_not_answer():
    chain = Chain(LocalnetUnusable("it is damaged"))
    async with httpx.AsyncClient(transport=OnDemand(chain.open), base_url="http://embedded") as client:
        for attempt in (1, 2):
            with pytest.raises(httpx.ConnectError, match="damaged"):
                await client.get("/")
            assert chain.started == attempt
