"""Two endpoints, where two are configured, must say the same of what waited for a delay, and of what failed."""

from typing import Any

import msgspec
import pytest

from tests.pipeline.ethereum import ETHER, RPC, open_evm_world
from tests.world import SOL, open_world
from waiaas.domain.tier import Tier
from waiaas.pipeline.waiting.release import Delays


class Second:
    """Two endpoints in front of one node; the second, or the `first`, answers some methods in its own way."""

    def __init__(self, node: Any, *, first: bool = False, **answers: Any) -> None:
        self.node, self.first, self.answers = node, first, answers

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        asked = msgspec.json.decode((await receive())["body"])
        body = bytearray()

        async def again() -> dict[str, Any]:
            return {"type": "http.request", "body": msgspec.json.encode(asked), "more_body": False}

        async def keep(message: dict[str, Any]) -> None:
            body.extend(message.get("body", b""))

        await self.node(scope, again, keep)
        said, calls = msgspec.json.decode(bytes(body)), asked if isinstance(asked, list) else [asked]
        for call, reply in zip(calls, said if isinstance(said, list) else [said], strict=True):
            is_first = b"embedded-2" not in dict(scope["headers"])[b"host"]
            if is_first == self.first and call["method"] in self.answers:
                reply["result"] = self.answers[call["method"]]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": msgspec.json.encode(said)})


async def status(world, tx):
    return (await world.row(tx)).status.value


async def executed(world, tx):
    """Its delay is over, and it is signed and sent."""
    assert (await world.row(tx)).tier == Tier.DELAY
    delays = Delays(world.core)
    await delays.tick()
    world.clock.move(901)
    await delays.tick()
    return await world.execute(tx)


async def test_on_ethereum_a_delayed_payment_waits_for_the_second_endpoint(evm_template, tmp_path):
    async with open_evm_world(*evm_template, tmp_path / "wallet") as eth:
        eth.faults.node = second = Second(eth.faults.node, eth_getTransactionReceipt=None)
        config = eth.settings(rpc=RPC | {"evm_ethereum_localnet": ("embedded", "embedded")})
        async with eth.open_core(config):
            instant = await eth.execute(await eth.want(eth.pay(1)))
            await eth.confirm()
            delayed = await executed(eth, await eth.want(eth.pay(2 * ETHER)))
            for _ in range(2):
                await eth.confirm()
                assert await eth.said(instant, delayed) == [("CONFIRMED", None), ("SUBMITTED", None)]
            second.answers.clear()
            await eth.confirm()
            assert await eth.said(delayed) == [("CONFIRMED", None)]


@pytest.mark.parametrize(
    "lie",
    [None, {"slot": 1, "confirmations": None, "err": None, "confirmationStatus": "finalized"}],
    ids=["not seen", "another block"],
)
async def test_on_solana_a_delayed_payment_waits_for_the_second_endpoint(template, tmp_path, lie):
    async with open_world(*template, tmp_path / "wallet") as world:
        answer = {"context": {"slot": 1}, "value": [lie]}
        world.faults.node = second = Second(world.faults.node, getSignatureStatuses=answer)
        config = {"solana_default_network": "localnet", "solana_localnet": ("embedded", "embedded")}
        async with world.open_core(world.settings(rpc=config)):
            tx = await executed(world, await world.send(11 * SOL))
            await world.confirm()
            assert await status(world, tx) == "SUBMITTED"
            second.answers.clear()
            await world.confirm()
            assert await status(world, tx) == "CONFIRMED"


async def test_while_the_second_endpoint_is_silent_it_waits(evm_template, tmp_path):
    async with open_evm_world(*evm_template, tmp_path / "wallet") as eth:
        eth.faults.node = second = Second(eth.faults.node)
        config = eth.settings(rpc=RPC | {"evm_ethereum_localnet": ("embedded", "embedded")})
        async with eth.open_core(config):
            tx = await executed(eth, await eth.want(eth.pay(2 * ETHER)))
            second.answers["eth_blockNumber"] = "nonsense"
            await eth.confirm()
            assert await status(eth, tx) == "SUBMITTED"
            second.answers.clear()
            await eth.confirm(60)
            assert await status(eth, tx) == "CONFIRMED"


async def test_a_failure_that_one_endpoint_alone_tells_of_gives_no_money_back(template, tmp_path):
    async with open_world(*template, tmp_path / "wallet") as world:
        failed = {"slot": 1, "confirmations": None, "err": {"InstructionError": [0, "Custom"]}}
        answer = {"context": {"slot": 1}, "value": [failed | {"confirmationStatus": "finalized"}]}
        world.faults.node = first = Second(world.faults.node, first=True, getSignatureStatuses=answer)
        config = {"solana_default_network": "localnet", "solana_localnet": ("embedded", "embedded")}
        async with world.open_core(world.settings(rpc=config)):
            tx = await world.execute(await world.send())
            for _ in range(2):
                await world.confirm()
                assert await status(world, tx) == "SUBMITTED"
            first.answers.clear()
            await world.confirm()
            assert await status(world, tx) == "CONFIRMED"
