"""What must hold for every request of every type under every set of policies."""

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from waiaas.domain.chain import Chain
from waiaas.domain.decision import After, AmountAtMost
from waiaas.domain.effects import effects
from waiaas.domain.ledger import LedgerKind
from waiaas.domain.request import Batch, ContractCall, Transfer
from waiaas.policy import decide

from .build import (
    AGENT,
    DAI,
    ETH,
    EVE,
    NOW,
    OWN_ETH,
    ROUTER,
    approval,
    ask_eth,
    batch,
    call,
    contracts,
    facts,
    limit,
    policy,
    row,
    spenders,
    token_transfer,
    tokens,
)
from .test_strictness import entries, severity

ASSET = f"ethereum:{DAI}"
METHODS = ("0x12345678", "0xa9059cbb", "0x095ea7b3", "0x39509351", "0xac9650d8")
amounts = st.integers(0, 40)
places = st.sampled_from([ROUTER, DAI, EVE])
listed = st.lists(places, min_size=1, max_size=3, unique=True)


def word(value):
    return f"{value:064x}" if isinstance(value, int) else f"{int(value, 16):064x}"


methods = st.builds(
    lambda selector, to, amount: selector + word(to) + word(amount),
    st.sampled_from(["0xa9059cbb", "0x095ea7b3", "0x39509351", "0x12345678", "0xac9650d8"]),
    places,
    amounts,
)
items = st.one_of(
    st.builds(lambda to, amount: Transfer(to, str(amount)), places, amounts),
    st.builds(lambda amount, to: token_transfer(amount, to, DAI), amounts, places),
    st.builds(lambda amount, spender: approval(amount, spender, DAI), amounts, places),
    st.builds(lambda data, to, value: call(data, to=to, value=value), methods, places, st.sampled_from([0, 0, 7])),
)
batches = st.lists(items, min_size=2, max_size=4).map(lambda found: batch(*found))
requests = st.one_of(items, batches)


def of_addresses(type, key):
    return listed.map(lambda found: (type, {key: [{"address": address} for address in found]}))


narrowing = st.one_of(
    st.tuples(st.just("SPENDING_LIMIT"), entries()),
    st.tuples(st.just("SPENDING_LIMIT"), entries().map(lambda entry: {"limits": {ASSET: entry}})),
    listed.map(lambda found: ("WHITELIST", {"allowed_addresses": found})),
    st.tuples(st.integers(0, 23), st.integers(1, 24))
    .filter(lambda hours: hours[0] != hours[1])
    .map(lambda hours: ("TIME_RESTRICTION", {"allowed_hours": {"start": hours[0], "end": hours[1]}})),
    st.tuples(st.integers(1, 3), st.sampled_from([10, 100])).map(
        lambda rate: ("RATE_LIMIT", {"max_requests": rate[0], "window_seconds": rate[1]})
    ),
    of_addresses("ALLOWED_TOKENS", "tokens"),
    of_addresses("CONTRACT_WHITELIST", "contracts"),
    of_addresses("APPROVED_SPENDERS", "spenders"),
    st.tuples(places, amounts).map(
        lambda found: ("APPROVED_SPENDERS", {"spenders": [{"address": found[0], "maxAmount": str(found[1])}]})
    ),
    amounts.map(lambda most: ("APPROVE_AMOUNT_LIMIT", {"maxAmount": str(most)})),
    st.just(("APPROVE_AMOUNT_LIMIT", {})),
)
loosening = st.one_of(
    st.sampled_from(["INSTANT", "NOTIFY", "DELAY", "APPROVAL"]).map(
        lambda tier: ("APPROVE_TIER_OVERRIDE", {"tier": tier})
    ),
    st.tuples(places, st.lists(st.sampled_from(METHODS), min_size=1, max_size=3)).map(
        lambda found: ("METHOD_WHITELIST", {"methods": [{"contractAddress": found[0], "selectors": found[1]}]})
    ),
)


of_any_type = st.one_of(narrowing, loosening)


@st.composite
def policies(draw, types=of_any_type):
    kind, rules = draw(types)
    number, agent_id = draw(st.integers(0, 999)), draw(st.sampled_from([None, AGENT]))
    return policy(kind, **rules, id=f"p{number}", agent_id=agent_id, priority=draw(st.integers(-1, 1)))


#: what makes a request of any type possible, so that what is drawn can only narrow it
BASE = (
    limit(id="base", per_transaction="100", limits={ASSET: {"per_transaction": "100"}}),
    tokens(DAI, ROUTER, EVE, id="tokens"),
    contracts(DAI, ROUTER, EVE, id="contracts"),
    spenders(DAI, ROUTER, EVE, id="spenders"),
    policy("APPROVE_AMOUNT_LIMIT", id="amounts", blockUnlimited=False),
)
kinds = st.sampled_from(list(LedgerKind))
histories = st.lists(
    st.builds(
        lambda amount, asset, kind: row(amount, asset=asset, kind=kind), amounts, st.sampled_from([ETH, ASSET]), kinds
    ),
    max_size=2,
).map(lambda rows: tuple(replace(each, spender=ROUTER if each.spender else None) for each in rows))
known = st.fixed_dictionaries(
    {
        "rows": histories,
        "fee": st.integers(0, 5),
        "owner_locked": st.booleans(),
        "recent": st.lists(st.integers(NOW - 120, NOW), max_size=3).map(lambda at: tuple(sorted(at, reverse=True))),
        "now": st.sampled_from([NOW, NOW + 3600 * 7]),
    }
)
sets = st.lists(policies(), max_size=4, unique_by=lambda each: each.id)


@settings(max_examples=150, deadline=None)
@given(items, st.integers(1, 40), sets, known)
def test_a_larger_amount_is_never_judged_milder(item, more, rules, facts):
    larger = (
        replace(item, value=str(int(item.value) + more))
        if isinstance(item, ContractCall)
        else replace(item, amount=str(int(item.amount) + more))
    )
    assert severity(ask_eth(larger, *BASE, *rules, **facts)) >= severity(ask_eth(item, *BASE, *rules, **facts))


@settings(max_examples=200, deadline=None)
@given(requests, sets, policies(narrowing), known)
def test_one_more_policy_never_makes_it_milder(request, rules, another, facts):
    before, after = (ask_eth(request, *BASE, *more, **facts) for more in (rules, [*rules, another]))
    assert severity(after) >= severity(before)


@settings(max_examples=100, deadline=None)
@given(requests, sets, policies(loosening), known)
def test_a_policy_that_sets_tiers_never_allows_what_was_refused(request, rules, another, facts):
    before, after = (ask_eth(request, *BASE, *more, **facts) for more in (rules, [*rules, another]))
    assert (before.outcome, after.outcome) != ("deny", "allow")


@settings(max_examples=100, deadline=None)
@given(requests, sets, known)
def test_without_the_policies_that_allow_nothing_else_does(request, rules, facts):
    kept = [each for each in rules if each.type in ("WHITELIST", "TIME_RESTRICTION", "RATE_LIMIT", "METHOD_WHITELIST")]
    decision = ask_eth(request, *kept, **facts)
    revokes = {(effect.kind, effect.amount) for effect in decision.effects} == {("APPROVE", "0")}
    assert decision.outcome == "deny" or revokes


@settings(max_examples=100, deadline=None)
@given(requests, sets, st.randoms(), known)
def test_the_order_in_which_policies_come_means_nothing(request, rules, random, facts):
    shuffled = random.sample([*BASE, *rules], len(BASE) + len(rules))
    assert ask_eth(request, *shuffled, **facts) == ask_eth(request, *BASE, *rules, **facts)


@settings(max_examples=150, deadline=None)
@given(batches, sets, known)
def test_a_batch_is_never_milder_than_its_strictest_item(request, rules, facts):
    whole = severity(ask_eth(request, *BASE, *rules, **facts))
    assert whole >= max(severity(ask_eth(item, *BASE, *rules, **facts)) for item in request.instructions)


@settings(max_examples=150, deadline=None)
@given(requests, sets, known)
def test_a_refused_batch_names_a_violation_of_each_item_that_is_refused_alone(request, rules, facts):
    decision = ask_eth(request, *BASE, *rules, **facts)
    if decision.code != "BATCH_POLICY_VIOLATION":
        assert decision.denial is None or decision.denial.violations is None
        return
    assert isinstance(request, Batch)
    named = {violation.index for violation in decision.denial.violations}
    alone = [ask_eth(item, *BASE, *rules, **facts) for item in request.instructions]
    for index, item in enumerate(alone):
        if item.outcome == "deny" and item.code not in ("RATE_LIMIT_EXCEEDED", "SPENDING_LIMIT_EXCEEDED"):
            assert index in named or item.code == "POLICY_DENIED"


@settings(max_examples=150, deadline=None)
@given(requests, sets, known)
def test_every_remedy_passes_when_it_is_judged(request, rules, known):
    asked = effects(request, Chain.ETHEREUM, sender=OWN_ETH)
    rows, rest = known["rows"], {key: value for key, value in known.items() if key != "rows"}
    told = facts(asked, *rows, chain=Chain.ETHEREUM, **rest)
    decision = decide(request, [*BASE, *rules], told)
    for remedy in decision.remedies:
        if isinstance(remedy, After):
            assert decide(request, [*BASE, *rules], replace(told, now=remedy.at)).outcome == "allow"
        if isinstance(remedy, AmountAtMost):
            less = tuple(
                replace(effect, amount=int(remedy.value)) if effect.amount is not None else effect for effect in asked
            )
            assert decide(request, [*BASE, *rules], replace(told, effects=less)).outcome == "allow"


@settings(max_examples=60, deadline=None)
@given(requests, sets, known)
def test_a_decision_depends_on_its_arguments_only(request, rules, facts):
    assert ask_eth(request, *BASE, *rules, **facts) == ask_eth(request, *BASE, *rules, **facts)
