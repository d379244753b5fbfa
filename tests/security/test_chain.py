"""What a chain does to money under way: C01 to C04, C06, C07, C09, C10."""

import asyncio
from typing import Any

import msgspec
import pytest

from tests.api.client import Api, Caller, client_of, code
from tests.chains.tokens import (
    CONFIDENTIAL,
    NON_TRANSFERABLE,
    PERMANENT_DELEGATE,
    TRANSFER_FEE,
    TRANSFER_HOOK,
    Extension,
)
from tests.pipeline.ethereum import AGAIN, ETHER, RPC, STRANGER, EvmWorld, open_evm_world
from tests.pipeline.solana import allow, booked, ended, made, open_bank, want
from tests.world import SOL, open_world
from waiaas.chains.solana.programs import TOKEN_2022
from waiaas.domain.request import Batch, Token, TokenTransfer, Transfer
from waiaas.domain.transaction import AttemptStatus
from waiaas.errors import Transient
from waiaas.repositories import transactions

DONE = ("CONFIRMED", None)
NOT_FINAL = {"slot": 1, "confirmations": 3, "err": {"InstructionError": [2, {"Custom": 1}]}}


async def never_signed(eth: Any, request: Any, error_code: str) -> None:
    """It ends with the code, nothing was signed, and nothing stays set aside."""
    tx = await eth.want(request)
    await eth.work()
    assert await eth.said(tx) == [("FAILED", error_code)]
    assert await eth.attempts(tx) == []
    assert {state for _, _, state, _ in await eth.rows_of(tx)} == {"RELEASED"}


# --- C01: landed and failed --------------------------------------------------------------------------


async def test_c01_confirmed_with_err_is_no_success_and_no_end_before_it_is_final(world, core) -> None:
    tx = await world.execute(await world.send())
    status = NOT_FINAL | {"confirmationStatus": "confirmed"}
    world.faults.answer("getSignatureStatuses", {"context": {"slot": 1}, "value": [status]}, times=2)
    for _ in range(2):
        await world.confirm()
        assert ended(await world.row(tx)) == ("SUBMITTED", None)
        assert {state for state, _ in (await world.booked(tx)).values()} == {"RESERVED"}
    # the fork on which it failed is gone: on the other it succeeded
    await world.confirm()
    assert ended(await world.row(tx)) == DONE


async def test_c01_a_receipt_of_status_0_fails_it_when_it_is_final(eth) -> None:
    await eth.allow_tokens()
    await eth.node.hold()
    first, second = [await eth.execute(await eth.want(eth.pay_token(amount))) for amount in (600_000, 700_000)]
    eth.not_final()
    await eth.node.mine()
    await eth.confirm()
    assert await eth.said(first, second) == [DONE, ("SUBMITTED", None)]
    eth.faults.heal()
    await eth.confirm()
    assert await eth.said(second) == [("FAILED", "ONCHAIN_FAILURE")]
    assert {(kind, state) for kind, _, state, _ in await eth.rows_of(second)} == {
        ("AMOUNT", "RELEASED"),
        ("FEE", "SPENT"),
    }


# --- C02: simulation ---------------------------------------------------------------------------------


async def test_c02_what_the_simulation_refuses_is_never_signed(eth) -> None:
    await eth.allow_calls()
    await never_signed(eth, eth.call("reason()"), "SIMULATION_FAILED")


async def test_c02_what_cannot_be_simulated_is_held_and_tried_again(eth) -> None:
    await eth.allow_calls()
    tx = await eth.want(eth.call("store(uint256)", 7))
    eth.faults.drop("eth_estimateGas")
    with pytest.raises(Transient):
        await eth.execute(tx)
    assert (await eth.said(tx), await eth.attempts(tx)) == ([("EXECUTING", None)], [])
    await eth.all_done()
    assert await eth.said(tx) == [DONE]


async def test_c02_on_solana_too(world, core) -> None:
    tx = await world.send()
    world.faults.refuse("simulateTransaction", -32005, "node is behind")
    with pytest.raises(Transient):
        await world.execute(tx)
    world.clock.move(6)
    assert ended(await world.execute(tx)) == ("SUBMITTED", None)
    refused = await world.send(1001)
    answer = {"context": {"slot": 1}, "value": {"err": {"InstructionError": [2, "InvalidArgument"]}, "logs": []}}
    world.faults.answer("simulateTransaction", answer)
    assert ended(await world.execute(refused)) == ("FAILED", "SIMULATION_FAILED")
    assert await world.attempts(refused) == []


# --- C03: too little ---------------------------------------------------------------------------------


async def test_c03_too_little_of_anything_is_found_before_anything_is_signed(eth) -> None:
    (seeded,) = await eth.policies()
    await eth.limit_native(per_transaction=str(1000 * ETHER))
    await eth.forget(seeded)
    await eth.allow_tokens()
    await never_signed(eth, eth.pay(101 * ETHER), "INSUFFICIENT_BALANCE")
    await never_signed(eth, eth.pay(100 * ETHER), "INSUFFICIENT_FOR_FEE")
    await never_signed(eth, eth.pay_token(1_000_001), "INSUFFICIENT_TOKEN_BALANCE")


async def test_c03_too_little_for_the_rent_of_the_recipients_account(world, core, bank) -> None:
    await without_limits(world)
    token = await bank.token(world.alice.public_key, 10)
    await allow(world, "ALLOWED_TOKENS", tokens=[{"address": token.address}])
    # what stays keeps Alice's account alive, and does not pay for another
    await world.pay(await world.balance(world.alice) - 1_000_000 - 5000)
    assert await world.balance(world.alice) == 1_000_000
    tx = await made(world, TokenTransfer(world.bob.public_key, "5", token))
    assert ended(tx) == ("FAILED", "INSUFFICIENT_FOR_FEE")
    assert await world.attempts(tx) == []
    assert {state for _, _, state, _ in await booked(world, tx)} == {"RELEASED"}


async def without_limits(world: Any) -> None:
    """Alice may spend what she has."""
    (seeded,) = [row["id"] for row in await world.core.db.fetch_all("SELECT id FROM policies")]
    await world.limit(per_transaction=str(100 * SOL))
    await world.by_hand("UPDATE policies SET enabled = 0 WHERE id = :id", id=seeded, touches="policies")


# --- C04: tokens that are not what they seem ----------------------------------------------------------


@pytest.fixture
async def bank(world, core):
    """Whoever makes tokens on the embedded Solana chain."""
    return await open_bank(world)


EXTENSIONS = {
    "fee": TRANSFER_FEE,
    "hook": TRANSFER_HOOK,
    "permanent delegate": PERMANENT_DELEGATE,
    "confidential": CONFIDENTIAL,
    "non-transferable": NON_TRANSFERABLE,
}


@pytest.mark.parametrize("extension", EXTENSIONS.values(), ids=EXTENSIONS)
async def test_c04_a_mint_that_takes_more_than_it_says_is_never_sent(world, core, bank, extension: Extension) -> None:
    mint = await bank.mint(TOKEN_2022, extension)
    await refused_as_a_mismatch(world, Token(mint, 6, "TKN"))


async def test_c04_a_fake_mint_and_lied_decimals_are_never_sent(world, core, bank) -> None:
    await refused_as_a_mismatch(world, Token(world.bob.public_key, 6, "USDC"))
    await refused_as_a_mismatch(world, Token(await bank.mint(), 9, "TKN"))


async def refused_as_a_mismatch(world: Any, token: Token) -> None:
    policy = await allow(world, "ALLOWED_TOKENS", tokens=[{"address": token.address}])
    tx = await made(world, TokenTransfer(world.bob.public_key, "5", token))
    assert ended(tx) == ("FAILED", "TOKEN_MISMATCH")
    assert await world.attempts(tx) == []
    assert {state for _, _, state, _ in await booked(world, tx)} == {"RELEASED"}
    await world.by_hand("UPDATE policies SET enabled = 0 WHERE id = :id", id=policy.id, touches="policies")


async def test_c04_on_ethereum_too(eth) -> None:
    await eth.allow("ALLOWED_TOKENS", tokens=[{"address": eth.token.address}, {"address": STRANGER}])
    await never_signed(eth, eth.pay_token(5, decimals=18), "TOKEN_MISMATCH")
    await never_signed(eth, TokenTransfer(STRANGER, "5", Token(STRANGER, 6, "TKN")), "TOKEN_MISMATCH")


# --- C06: batches ------------------------------------------------------------------------------------


async def test_c06_the_second_of_three_fails_and_the_third_is_never_signed(eth) -> None:
    await eth.allow_tokens()
    await eth.let_be_drained()
    batch = await eth.want(eth.batch(eth.pay(1), eth.pay_token(700_000), eth.pay(3)))
    first, second, third = await eth.children(batch)
    await eth.work()
    await eth.node.hold()
    await eth.drain(600_000)
    await eth.execute(second)
    await eth.node.mine()
    await eth.confirm()
    assert await eth.said(batch, first, second, third) == [
        ("PARTIAL_FAILURE", "ONCHAIN_FAILURE"),
        DONE,
        ("FAILED", "ONCHAIN_FAILURE"),
        ("CANCELLED", "BATCH_INCOMPLETE"),
    ]
    assert await eth.attempts(third) == []
    assert {state for _, _, state, _ in await eth.rows_of(third)} == {"RELEASED"}
    assert (await eth.events(batch))[-1] == "TX_PARTIAL_FAILURE"
    await eth.all_done()


async def test_c06_a_solana_batch_lands_whole_or_not_at_all(world, core) -> None:
    """Each of the two payments is covered when it is simulated; together with another in between they are not."""
    await without_limits(world)
    batch = await want(world, Batch(tuple(Transfer(world.bob.public_key, str(30 * SOL)) for _ in range(2))))
    other = await world.send(60 * SOL)
    await world.execute(other)
    await world.execute(batch)
    before = await world.balance(world.bob)
    await world.confirm()
    assert ended(await world.row(other)) == DONE
    assert ended(await world.row(batch)) == ("FAILED", "ONCHAIN_FAILURE")
    assert await world.balance(world.bob) == before + 60 * SOL
    assert {(kind, state) for kind, _, state, _ in await booked(world, batch)} == {
        ("AMOUNT", "RELEASED"),
        ("FEE", "SPENT"),
    }


# --- C07: many at once, one endpoint behind ------------------------------------------------------------


class Lagging:
    """Two endpoints in front of one node: the first one has not seen a block since it was put here."""

    def __init__(self, node: Any) -> None:
        self.node = node
        self.height = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        host = dict(scope["headers"])[b"host"]
        if b"embedded-1" not in host:
            await self.node(scope, receive, send)
            return
        body = bytearray()
        asked = msgspec.json.decode((await receive())["body"])

        async def again() -> dict[str, Any]:
            return {"type": "http.request", "body": msgspec.json.encode(asked), "more_body": False}

        async def keep(message: dict[str, Any]) -> None:
            body.extend(message.get("body", b""))

        await self.node(scope, again, keep)
        said, calls = msgspec.json.decode(bytes(body)), asked if isinstance(asked, list) else [asked]
        methods = {call["id"]: call["method"] for call in calls}
        for reply in said if isinstance(said, list) else [said]:
            self.behind(methods[reply["id"]], reply)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": msgspec.json.encode(said)})

    def behind(self, method: str, reply: dict[str, Any]) -> None:
        old = {
            "eth_blockNumber": hex(self.height),
            "eth_getTransactionCount": "0x0",
            "eth_getTransactionReceipt": None,
        }
        if method in old:
            reply["result"] = old[method]


async def test_c07_twenty_parallel_sends_while_one_endpoint_lags(evm_template, tmp_path) -> None:
    async with open_evm_world(*evm_template, tmp_path / "ethereum") as eth:
        lagging = Lagging(eth.faults.node)
        eth.faults.node = lagging
        lagging.height = await eth.node.number("eth_blockNumber")
        endpoints = {"evm_ethereum_localnet": ("embedded", "embedded")}
        async with eth.open_core(eth.settings(rpc=RPC | endpoints)) as core:
            txs = [await eth.want(eth.pay(amount)) for amount in range(1, 21)]
            await asyncio.gather(*(eth.execute(tx) for tx in txs))
            assert sorted(await eth.nonces(*txs)) == list(range(20))
            await eth.confirm()
            assert {status for status, _ in await eth.said(*txs)} == {"SUBMITTED"}
            await eth.node.mine(10)
            # the watch over endpoints finds out who is behind, and asks the other
            await core.chains.watch()
            await eth.confirm()
            assert await eth.said(*txs) == [DONE] * 20
            later = await eth.execute(await eth.want(eth.pay(21)))
            assert await eth.nonces(later) == [20]
            await eth.confirm()


# --- C09: nobody answers -------------------------------------------------------------------------------


async def test_c09_with_all_endpoints_down_reads_fail_and_sends_wait_and_finish_later(template, tmp_path) -> None:
    async with open_world(*template, tmp_path / "wallet") as world:
        config = world.settings(rpc={"solana_default_network": "localnet", "breaker_failures": 2})
        world.time_passes()
        async with world.open_daemon(config) as daemon, client_of(daemon) as client:
            api = Api(client)
            session = await api.make_session(world.alice.id)
            caller = Caller(api, {"id": world.alice.id}, session)
            world.faults.down = True
            answers = [code(await caller.request("GET", "/v1/wallet/balance")) for _ in range(6)]
            assert answers[0] == (502, "CHAIN_ERROR")
            assert answers[-1] == (503, "ADAPTER_NOT_AVAILABLE")
            sent = await caller.send("1000", to=world.bob.public_key)
            assert sent.status_code == 201
            world.faults.down = False
            world.clock.move(60)
            world.core.execute_soon.set()
            row = await world.ended(await transactions.get(world.core.db, sent.json()["id"]))
            assert ended(row) == DONE


async def test_c09_what_cannot_be_signed_in_time_fails_unsigned(world, core) -> None:
    tx = await world.send()
    world.faults.down = True
    with pytest.raises(Transient):
        await world.execute(tx)
    world.clock.move(core.config.security.unsigned_timeout_seconds)
    await world.expire()
    assert ended(await world.row(tx)) == ("FAILED", "PENDING_TIMEOUT")
    assert await world.attempts(tx) == []
    assert {state for state, _ in (await world.booked(tx)).values()} == {"RELEASED"}


# --- C10: replacement races with what it replaces --------------------------------------------------------


@pytest.mark.parametrize("cancel", [True, False], ids=["cancel", "speed-up"])
@pytest.mark.parametrize("first", [True, False], ids=["the first bytes land", "the new bytes land"])
async def test_c10_exactly_one_of_two_attempts_lands_and_it_is_settled_once(
    eth: EvmWorld, cancel: bool, first: bool
) -> None:
    await eth.node.hold()
    tx = await eth.execute(await eth.want(eth.pay()))
    if first:
        await eth.node.mine()
        await eth.sped_up(tx, cancel=cancel)
    else:
        await eth.sped_up(tx, cancel=cancel)
        await eth.node.mine()
    for _ in range(2):
        await eth.confirm(AGAIN)
    paid = first or not cancel
    assert await eth.said(tx) == [DONE if paid else ("FAILED", "CANCELLED_ON_CHAIN")]
    states = [status for _, status in await eth.states(tx)]
    assert sorted(states) == [AttemptStatus.DEAD, AttemptStatus.LANDED]
    assert states[0 if first else 1] is AttemptStatus.LANDED
    assert await eth.balance(eth.bob) == 100 * ETHER + (1000 if paid else 0)
    amount = ("AMOUNT", "ethereum", "SPENT" if paid else "RELEASED", 1000)
    assert (await eth.rows_of(tx))[0] == amount
