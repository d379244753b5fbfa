"""Nodes behind real sockets: absent, silent, cut off in the middle, flooding, and one that works."""

import asyncio
import gzip
import json
import tracemalloc
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from tests.chains.conftest import TO, Node
from waiaas.chains.endpoint import Limits
from waiaas.chains.pool import Pool
from waiaas.domain.chain import Network
from waiaas.errors import Transient

Answer = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


def http(body: bytes, *headers: str) -> bytes:
    head = ["HTTP/1.1 200 OK", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


@asynccontextmanager
async def served(answer: Answer):
    """A server on loopback that hands each request's body to `answer`; its URL."""
    ended: list[asyncio.Event] = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ended.append(end := asyncio.Event())
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            await answer(await reader.readexactly(length), writer)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        end.set()

    async with await asyncio.start_server(connected, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        for end in ended:
            await end.wait()


@asynccontextmanager
async def chain_at(clock, *urls: str, **limits):
    pool = Pool(
        {Network.DEVNET: urls},
        clock=clock,
        limits=Limits(**limits),
        solana_max_priority_fee_lamports=0,
        evm_max_fee_gwei=0,
        transports={},
        identities={},
    )
    async with pool:
        yield pool.chain(Network.DEVNET)


def working(node: Node) -> Answer:
    async def answer(body: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(http(json.dumps(node.reply(json.loads(body))).encode()))
        await writer.drain()

    return answer


async def test_a_node_behind_a_socket_answers(clock):
    node = Node(getBalance={"context": {"slot": 1}, "value": 7})
    async with served(working(node)) as url, chain_at(clock, url) as chain:
        assert await chain.balance(TO) == 7


async def test_nobody_listening_is_transient_and_the_next_is_asked(clock):
    node = Node(getBalance={"context": {"slot": 1}, "value": 7})
    async with served(working(node)) as gone:
        pass
    async with chain_at(clock, gone) as chain:
        with pytest.raises(Transient, match="ConnectError"):
            await chain.balance(TO)
    async with served(working(node)) as url, chain_at(clock, gone, url) as chain:
        assert await chain.balance(TO) == 7


async def test_an_answer_cut_off_in_the_middle_is_transient(clock):
    async def cut(body: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(http(b'{"jsonrpc":"2.0","id":1,"result":"x"}')[:-9])

    async with served(cut) as url, chain_at(clock, url) as chain:
        with pytest.raises(Transient, match="RemoteProtocolError"):
            await chain.balance(TO)


async def test_a_node_that_never_answers_costs_its_deadline(clock):
    async def silence(body: bytes, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.5)

    async with served(silence) as url, chain_at(clock, url, request_timeout_seconds=0.05) as chain:
        with pytest.raises(Transient, match="no answer within"):
            await chain.balance(TO)


async def test_what_is_no_http_is_transient(clock):
    async def nonsense(body: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")

    async with served(nonsense) as url, chain_at(clock, url) as chain:
        with pytest.raises(Transient):
            await chain.balance(TO)


async def test_a_bomb_is_not_blown_up_before_it_is_measured(clock):
    bomb = gzip.compress(bytes(32_000_000))

    async def explode(body: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(http(bomb, "Content-Encoding: gzip"))
        await writer.drain()

    async with served(explode) as url, chain_at(clock, url, max_response_bytes=65_536) as chain:
        tracemalloc.start()
        try:
            with pytest.raises(Transient, match="more than 65536 bytes"):
                await chain.balance(TO)
            assert tracemalloc.get_traced_memory()[1] < 4_000_000
        finally:
            tracemalloc.stop()
