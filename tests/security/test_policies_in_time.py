"""Policy where time, the chain and other steps come in: P03, P04, P07, P11, P15, P18, P22."""

from base64 import b64encode
from datetime import datetime
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from tests.chains.calls import call as instruction
from tests.chains.calls import open_for
from tests.pipeline.ethereum import ETHER, STUCK, EvmWorld
from tests.pipeline.market import Market, watch_market
from tests.pipeline.solana import allow, open_bank, want
from tests.world import OPERATOR, SOL, Between, World, a_policy
from waiaas.chains.solana.programs import MEMO
from waiaas.domain.address import canonical_address
from waiaas.domain.chain import Chain
from waiaas.domain.decision import decode_decision, wire
from waiaas.domain.event import Actor
from waiaas.domain.policy import PolicyType, parse_rules
from waiaas.domain.request import Approve, Batch, Request, Token, TokenTransfer, Transfer
from waiaas.errors import Denied, PolicyDenied, SpendingLimitExceeded
from waiaas.pipeline.registry import policies as policy_steps
from waiaas.pipeline.requests.replay import replay
from waiaas.pipeline.requests.simulate import TrialStatus, simulate
from waiaas.pipeline.requests.submit import submit
from waiaas.pipeline.waiting.release import Delays
from waiaas.repositories import policies, transactions

RENT = 2_039_280


async def said(world: World, tx: Any) -> tuple[str, str | None]:
    row = await world.row(tx)
    return row.status.value, row.error_code


async def test_p03_what_is_in_flight_counts_however_long_it_takes(world: World, core: Any) -> None:
    await world.limit(hourly_total=str(10 * SOL))
    sent = await world.execute(await world.send(8 * SOL))
    assert sent.status.value == "SUBMITTED"
    world.clock.move(7 * 3600)
    with pytest.raises(SpendingLimitExceeded):
        await world.send(2 * SOL)
    assert await said(world, sent) == ("SUBMITTED", None)
    await world.confirm()


async def test_p04_a_dearer_fee_beyond_the_cap_waits(eth: EvmWorld) -> None:
    await eth.node.hold()
    held = await eth.execute(await eth.want(eth.pay(1000)))
    (attempt,) = await eth.attempts(held)
    await eth.limit_native(daily_total=str(1000 + attempt.max_fee))
    watch_market(eth, Market(attempt.max_fee // 10_000, attempt.max_fee // 10_000))
    await eth.confirm(STUCK)
    assert (eth.core.waiting[held.id].reason, len(await eth.attempts(held))) == ("FEE_BUDGET", 1)
    await eth.node.mine()
    await eth.confirm()


async def test_p07_sums_beyond_64_bits_are_exact(eth: EvmWorld) -> None:
    six = 6 * ETHER
    for seed in await eth.policies():
        await eth.forget(seed)
    await eth.limit_native(instant_max=str(six), notify_max=str(2 * six - 1), delay_max=str(2 * six))
    await eth.node.hold()
    first, second = await eth.want(eth.pay(six)), await eth.want(eth.pay(six))
    assert (first.tier.value, second.tier.value) == ("INSTANT", "DELAY")
    assert [rule.observed for rule in decode_decision(second.decision or "").rules] == [str(2 * six)]
    await eth.node.mine()


@pytest.mark.parametrize(
    ("hours", "zone", "day", "opens", "closes"),
    [
        ((9, 18), "UTC", (2027, 2, 1), (9, 0), (18, 0)),
        ((22, 6), "UTC", (2027, 2, 1), (22, 0), (6, 0)),
        ((9, 18), "Europe/Berlin", (2027, 3, 28), (9, 0), (18, 0)),
    ],
)
async def test_p11_hours_are_half_open_in_the_policys_zone(
    world: World, core: Any, hours: tuple[int, int], zone: str, day: Any, opens: Any, closes: Any
) -> None:
    await allow(world, "TIME_RESTRICTION", allowed_hours={"start": hours[0], "end": hours[1]}, timezone=zone)
    begins = int(datetime(*day, *opens, tzinfo=ZoneInfo(zone)).timestamp())
    ends = int(datetime(*day[:2], day[2] + (hours[1] < hours[0]), *closes, tzinfo=ZoneInfo(zone)).timestamp())
    for at, passes in ((begins - 1, False), (begins, True), (ends - 1, True), (ends, False)):
        world.clock.move(at - world.clock.wall())
        if passes:
            await world.send(1000)
            continue
        with pytest.raises(PolicyDenied):
            await world.send(1000)


async def test_p15_a_tighter_policy_stops_what_waits_and_a_looser_one_changes_nothing(world: World, core: Any) -> None:
    delays = Delays(core)
    waits = await world.send(11 * SOL)
    await delays.tick()
    loose = await world.limit(instant_max=str(90 * SOL), notify_max=str(91 * SOL), delay_max=str(92 * SOL))
    world.clock.move(299)
    await delays.tick()
    assert await said(world, waits) == ("QUEUED", None)
    tight = await world.limit(per_transaction=str(10 * SOL))
    world.clock.move(1)
    await delays.tick()
    assert await said(world, waits) == ("CANCELLED", "SPENDING_LIMIT_EXCEEDED")
    for policy in (loose, tight):
        await policy_steps.delete(core, policy.id, OPERATOR)
    begun = await world.send(SOL)

    async def tighten() -> None:
        await world.limit(per_transaction="1")

    core.db = Between(core.db, transactions.MARK_EXECUTING, after=tighten)
    await world.execute(begun)
    assert await said(world, begun) == ("FAILED", "SPENDING_LIMIT_EXCEEDED")
    assert await world.attempts(begun) == []
    assert await world.booked(begun) == {
        "AMOUNT": ("RELEASED", SOL),
        "FEE": ("RELEASED", (await world.ledger(begun))["FEE"].reserved),
    }  # type: ignore[index]


async def test_p17_a_memo_is_no_way_around_a_list_of_methods(eth: EvmWorld) -> None:
    await eth.allow("METHOD_WHITELIST", methods=[{"contractAddress": eth.probe, "selectors": ["0x12345678"]}])
    before = await eth.node.balance(eth.probe)
    tx = await eth.execute(await eth.want(eth.pay(5, to=eth.probe, memo="\x6d\x4c\x63\x6b to a contract is a call")))
    assert await eth.said(tx) == [("FAILED", "MEMO_TO_CONTRACT")]
    assert (await eth.attempts(tx), await eth.node.balance(eth.probe)) == ([], before)


async def test_p17_a_raw_call_of_the_memo_program_needs_its_list_and_the_owner(world: World, core: Any) -> None:
    own = world.alice.public_key
    raw = instruction(MEMO, b"pay me", (), (own,), own)
    method = {"contractAddress": "0x" + "11" * 20, "selectors": ["0x12345678"]}
    with pytest.raises(Denied, match="no CONTRACT_WHITELIST"):
        await want(world, raw)
    await allow(world, "CONTRACT_WHITELIST", contracts=[{"address": MEMO}])
    parsed = parse_rules(PolicyType.METHOD_WHITELIST, {"methods": [method]}, chain=None)
    everywhere = a_policy(parsed, None, world.clock.now(), type=PolicyType.METHOD_WHITELIST)
    await policy_steps.create(core, everywhere, OPERATOR)
    tx = await want(world, raw)
    decision = decode_decision(tx.decision or "")
    assert (tx.tier.value, decision.downgraded_from) == ("DELAY", "APPROVAL")
    assert {"METHOD_WHITELIST": "not_applicable"}.items() <= {
        rule.type: rule.outcome for rule in decision.rules
    }.items()


async def test_p18_what_leaves_without_being_declared_is_judged_and_booked_at_the_signature(
    world: World, core: Any
) -> None:
    world.time_passes()
    token = await (await open_bank(world)).token(world.alice.public_key, 1)
    opening = open_for(world.alice.public_key, world.bob.public_key, token)
    # the plain Create, not the idempotent one that the wallet itself puts in front of transfers
    call = msgspec.structs.replace(opening, instruction_data=b64encode(b"\0").decode())
    await allow(world, "CONTRACT_WHITELIST", contracts=[{"address": call.program_id}])
    cap = await world.limit(daily_total=str(RENT + 1_600_000))
    delays = Delays(core)

    async def released() -> Any:
        tx = await want(world, call)
        await delays.tick()
        world.clock.move(301)
        await delays.tick()
        return await world.execute(tx)

    tight = await world.limit(per_transaction=str(RENT - 1))
    preview = await simulate(core, world.alice, world.session, call, within_seconds=10)
    assert (preview.status.value, preview.trial.status) == ("QUEUED", TrialStatus.FAILED)
    assert "SPENDING_LIMIT_EXCEEDED" in (preview.trial.error or "")
    refused = await released()
    assert (refused.status.value, refused.error_code) == ("FAILED", "SPENDING_LIMIT_EXCEEDED")
    assert await world.attempts(refused) == []
    await policy_steps.delete(core, tight.id, OPERATOR)
    passed = await released()
    assert passed.status.value == "SUBMITTED"
    await world.confirm()
    assert (await world.booked(passed))["AMOUNT"] == ("SPENT", RENT)
    used = (await core.books.book(world.alice.id)).used("native:solana", 86400, world.clock.now())
    assert RENT < used <= int(cap.rules.daily_total)


MINTS = ["EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v", "Es9vMFrzaCERmJfrF4H2FYD4KCoNkY11McCe8BenwNYB"]
PLACES = ["9B5XszUGdMaxCZ7uSQhPzdks5ZQSmWxrmzCSvtJ6Ns6g", "8qbHbw2BbbTHBW1sbeqakYXVKRQM8Ne7pLK7m6CVfeR9"]


def an_item(random: Random, own: str) -> Any:
    token = Token(random.choice(MINTS), 6, "T")
    amount, to = str(random.choice([0, 1, 500, SOL, 15 * SOL, 60 * SOL])), random.choice(PLACES)
    return random.choice(
        [
            Transfer(to, amount),
            TokenTransfer(to, amount, token),
            Approve(to, token, amount),
            instruction(random.choice([MEMO, PLACES[0]]), b"x", (), (own,), own),
        ]
    )


def a_request(random: Random, own: str) -> Request:
    if random.random() < 0.2:
        return Batch(tuple(an_item(random, own) for _ in range(random.randint(2, 4))))
    request: Request = an_item(random, own)
    return request


async def more_rules(world: World, random: Random) -> None:
    """Any policy that says something of such requests."""
    kind, rules = random.choice(
        [
            ("ALLOWED_TOKENS", {"tokens": [{"address": random.choice(MINTS)}]}),
            ("APPROVED_SPENDERS", {"spenders": [{"address": PLACES[0], "maxAmount": str(SOL)}]}),
            ("CONTRACT_WHITELIST", {"contracts": [{"address": MEMO}]}),
            ("SPENDING_LIMIT", {"limits": {f"solana:{MINTS[0]}": {"daily_total": str(40 * SOL)}}}),
            ("SPENDING_LIMIT", {"weekly_total": str(100 * SOL), "delay_seconds": 77}),
            ("APPROVE_TIER_OVERRIDE", {"tier": "NOTIFY"}),
            ("RATE_LIMIT", {"max_requests": 30, "window_seconds": 3600}),
            ("WHITELIST", {"allowed_addresses": [PLACES[0], MEMO]}),
        ]
    )
    policy = await allow(world, kind, **rules)
    if kind in ("WHITELIST", "RATE_LIMIT"):
        world.doomed.append(policy.id)  # type: ignore[attr-defined]


async def test_p22_a_preview_and_a_send_decide_500_requests_alike(world: World) -> None:
    random, own = Random(22), world.alice.public_key
    assert canonical_address(own, Chain.SOLANA) == own
    world.doomed = []  # type: ignore[attr-defined]
    outcomes = set()
    async with world.open_core(world.settings(security={"max_pending_tx": 1000})) as core:
        sessions = [world.session, await world.issue(max_total_amount=str(90 * SOL), max_transactions=60)]
        for number in range(500):
            if number % 40 == 0:
                await more_rules(world, random)
                for policy_id in world.doomed[:-1]:  # type: ignore[attr-defined]
                    await policy_steps.delete(core, policy_id, OPERATOR)
                world.doomed = world.doomed[-1:]  # type: ignore[attr-defined]
                world.clock.move(4000)
            request, session = a_request(random, own), random.choice(sessions)
            before = await core.db.fetch_all("SELECT COUNT(*) AS n FROM transactions")
            seen = await simulate(core, world.alice, session, request, within_seconds=0)
            assert await core.db.fetch_all("SELECT COUNT(*) AS n FROM transactions") == before
            sent = await an_answer(world, session, request)
            assert wire(seen.decision, show_lists=True) == wire(sent[0], show_lists=True)
            assert (seen.decision.facts, seen.status) == (sent[0].facts, sent[1])
            outcomes.add((sent[0].code, sent[0].tier))
        assert len(outcomes) >= 8, outcomes
        assert await policies.version(core.db) > 1


async def an_answer(world: World, session: Any, request: Request) -> Any:
    """The decision of a send as it is stored, and the status it answers with."""
    actor = Actor(f"session:{session.id}")
    try:
        accepted = await submit(
            world.core, world.alice, session, request, key=None, distinct=True, provenance=None, actor=actor
        )
    except Denied as denied:
        row = await transactions.get(world.core.db, denied.details["transactionId"])
        return decode_decision(row.decision or ""), row.status
    return decode_decision(accepted.tx.decision or ""), accepted.tx.status


async def test_p22_a_replay_flips_exactly_what_the_changed_rule_touches(world: World, core: Any) -> None:
    sent = {place: [await world.send(1000, to=place), await world.pay(1000, to=place)] for place in PLACES}
    with pytest.raises(SpendingLimitExceeded):
        await world.limit(per_transaction="1000")
        await world.send(1001, to=PLACES[0])
    present, stored = await policies.page(core.db), [await world.row(tx) for tx in await world.rows()]

    async def flips(candidate: list[Any]) -> list[tuple[str, str | None]]:
        found = await replay(core, candidate, agent_id=None, since=0, until=2**40, limit=5000)
        return [(each.tx.id, each.now.code) for each in found.flips]

    assert await flips(present) == []
    listed = parse_rules(PolicyType.WHITELIST, {"allowed_addresses": [PLACES[0]]}, chain=Chain.SOLANA)
    narrower = [*present, a_policy(listed, world.alice.id, 0, type=PolicyType.WHITELIST)]
    assert await flips(narrower) == [(tx.id, "WHITELIST_DENIED") for tx in sent[PLACES[1]]]
    wider = [policy for policy in present if policy.agent_id is None]
    assert [code for _, code in await flips(wider)] == [None]
    assert [await world.row(tx) for tx in await world.rows()] == stored
