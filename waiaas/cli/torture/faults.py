"""What a node and the way to it may do wrong; each is one function from an exchange to what comes back, if anything."""

import asyncio
import gzip
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from waiaas.cli.torture import evm, solana
from waiaas.cli.torture.chance import Chance
from waiaas.cli.torture.exchange import Exchange, Reply

#: larger than `rpc.max_response_bytes` of the torture's configuration
HUGE_BYTES = 2 * 2**20
#: bytes may arrive long after their sender has died and come back
MOST_HOARDED_SECONDS = 8
#: where a redirect leads: the proxy notices whoever follows it
ELSEWHERE = "/followed"

#: None: the connection breaks
Fault = Callable[[Exchange, Chance], Awaitable[Reply | None]]


async def lose_request(exchange: Exchange, chance: Chance) -> None:
    """It never arrives."""


async def lose_reply(exchange: Exchange, chance: Chance) -> None:
    """The node has done it, and nobody hears so."""
    await exchange.forward()


async def tear_reply(exchange: Exchange, chance: Chance) -> Reply:
    """The connection breaks in the middle of the body."""
    whole = exchange.reply(await exchange.forward())
    return Reply(whole.body[: len(whole.body) // 2], announced=len(whole.body))


async def bad_gateway(exchange: Exchange, chance: Chance) -> Reply:
    """502, and the node may or may not have done it."""
    if chance.happens(0.5):
        await exchange.forward()
    return Reply(b"bad gateway", status=502)


async def too_many(exchange: Exchange, chance: Chance) -> Reply:
    """429."""
    return Reply(b"slow down", status=429, headers=(("retry-after", "1"),))


async def come_late(exchange: Exchange, chance: Chance) -> Reply:
    """Before or after the node has seen it, time passes."""
    await asyncio.sleep(chance.between(0, 0.5))
    replies = await exchange.forward()
    await asyncio.sleep(chance.between(0, 0.5))
    return exchange.reply(replies)


async def never_answer(exchange: Exchange, chance: Chance) -> None:
    """The connection stands, and nothing comes."""
    if chance.happens(0.5):
        await exchange.forward()
    await asyncio.sleep(30)


async def drip(exchange: Exchange, chance: Chance) -> Reply:
    """A byte at a time."""
    return msgspec.structs.replace(exchange.reply(await exchange.forward()), pause=0.1)


async def answer_html(exchange: Exchange, chance: Chance) -> Reply:
    """A page that says 200."""
    return Reply(b"<html><body>Sign in</body></html>", headers=(("content-type", "text/html"),))


async def answer_hugely(exchange: Exchange, chance: Chance) -> Reply:
    """More than anybody should read."""
    return Reply(b" " * HUGE_BYTES + b"{}")


async def answer_a_bomb(exchange: Exchange, chance: Chance) -> Reply:
    """Little on the wire, much when unpacked."""
    return Reply(gzip.compress(b" " * 8 * HUGE_BYTES), headers=(("content-encoding", "gzip"),))


async def answer_nonsense(exchange: Exchange, chance: Chance) -> Reply:
    """Numbers that are none, and results of another kind."""
    nonsense = chance.pick(["NaN", "1e400", "-1", '{"context":{"slot":-5},"value":-1}', "[]", "null,"])
    parts = [f'{{"jsonrpc":"2.0","id":{call["id"]},"result":{nonsense}}}' for call in exchange.calls]
    return Reply((f"[{','.join(parts)}]" if exchange.is_batch else parts[0]).encode())


async def redirect(exchange: Exchange, chance: Chance) -> Reply:
    """To somewhere else."""
    return Reply(b"", status=307, headers=(("location", ELSEWHERE),))


async def do_it_twice(exchange: Exchange, chance: Chance) -> Reply:
    """The node gets it twice; the second answer counts."""
    await exchange.forward()
    return exchange.reply(await exchange.forward())


async def fail_and_do_it(exchange: Exchange, chance: Chance) -> Reply:
    """The node says that it could not, and has done it."""
    replies = await exchange.forward()
    error = chance.pick([(-32603, "Internal error"), (-32005, "Node is behind by 99 slots"), (-32000, "try later")])
    told: dict[str, Any] = {"code": error[0], "message": error[1]}
    return exchange.reply([{"jsonrpc": "2.0", "id": reply["id"], "error": told} for reply in replies])


async def hoard(exchange: Exchange, chance: Chance) -> Reply | None:
    """Signed bytes are taken, and reach the node much later; anything else loses its reply."""
    hashes = [solana.sent(call) or evm.sent(call) for call in exchange.calls]
    if not all(hashes):
        await lose_reply(exchange, chance)
        return None
    exchange.forward_later(chance.between(0.5, MOST_HOARDED_SECONDS))
    told = zip(exchange.calls, hashes, strict=True)
    return exchange.reply([{"jsonrpc": "2.0", "id": call["id"], "result": key} for call, key in told])


#: with how often each comes, compared with the others
FAULTS: tuple[tuple[Fault, int], ...] = (
    (lose_request, 6),
    (lose_reply, 8),
    (tear_reply, 4),
    (bad_gateway, 6),
    (too_many, 1),
    (come_late, 12),
    (never_answer, 2),
    (drip, 1),
    (answer_html, 2),
    (answer_hugely, 1),
    (answer_a_bomb, 1),
    (answer_nonsense, 3),
    (redirect, 2),
    (do_it_twice, 8),
    (fail_and_do_it, 4),
    (hoard, 8),
)
