"""What callers and the operator want during a run, drawn before it begins."""

from collections.abc import Mapping
from random import Random
from typing import Any

import msgspec

from tests import signed
from tests.simulation import bounds, contracts
from tests.simulation.bounds import MINT, TOKENS, UNIT
from tests.simulation.faults import Profile
from tests.simulation.programs import FICKLE
from tests.simulation.wallet import EVM, SOLANA, Member, Wallet

#: seconds in which everything is asked for
SPAN = 150.0
FEWEST, MOST = 15, 50
#: in which a request is signed, if nothing holds it up
NEAR_SECONDS = 4.0
#: bursts for which there is not money enough within the limits
TIGHT = 0.7
#: type of request → how often; of bursts that are about tokens
KINDS = {"TRANSFER": 60, "TOKEN_TRANSFER": 12, "APPROVE": 10, "CONTRACT_CALL": 8, "BATCH": 10}
TOKEN_KINDS = {"TOKEN_TRANSFER": 50, "APPROVE": 40, "BATCH": 10}
STRANGERS = {
    SOLANA: ("9B5XszUGdMaxCZ7uSQhPzdks5ZQSmWxrmzCSvtJ6Ns6g", "8opHzTAnfzRpPEx21XtnrVTX28YQuCpAjcn1PczScKh"),
    EVM: ("0x" + "22" * 20, "0x" + "33" * 20),
}
#: amounts of native money in thousandths of a unit: at once, with notice, after a delay
AMOUNTS = {SOLANA: (1, 20, 300, 2000, 15_000), EVM: (1, 10, 50, 300, 2000)}
#: units that an owner is asked for, where there is one
BEYOND_DELAYS = 60


class Want(msgspec.Struct, frozen=True):
    """One thing that somebody does at `at`; `of` is the want that it is about."""

    number: int
    at: float
    kind: str
    member: int
    key: str | None = None
    #: a request, the rules of a policy, or the constraints of a session
    body: dict[str, Any] | None = None
    of: int | None = None
    #: minutes, seconds or a choice, as the kind needs them
    amount: int = 0


#: kind of want → how often; of stops as often as the profile says
SENDS = {
    "send": 60, "burst": 6, "again": 12, "conflict": 2, "cancel": 8, "speed up": 8, "cancel on chain": 8,
    "ask": 12,
}  # fmt: skip
STOPS = {
    "cap": 30, "uncap": 10, "revoke": 20, "switch": 15, "suspend": 15, "terminate": 8, "clock": 5, "stranger": 8,
    "owner": 8,
}  # fmt: skip


#: what an owner, or two windows of one, may do about a request at once
DECISIONS = (("approve",), ("approve", "approve"), ("approve", "reject"), ("reject",), ("approve", "cancel"), ())


def wants(wallet: Wallet, profile: Profile, chance: Random) -> list[Want]:
    """The wants of a run, in the order of their time."""
    found: list[Want] = []
    for _ in range(chance.randint(FEWEST, MOST)):
        is_stop = chance.random() * 100 < profile.stops
        kinds = STOPS if is_stop else SENDS
        (kind,) = chance.choices(list(kinds), list(kinds.values()))
        at, member = chance.random() * SPAN, chance.randrange(len(wallet.members))
        if kind == "burst":
            found += _burst(len(found), at, member, wallet, chance)
        elif kind == "ask":
            found += _asked(len(found), at, wallet, chance)
        elif kind == "send":
            found.append(_send(len(found), at, member, wallet, chance))
        else:
            found.append(_other(kind, len(found), at, member, found, wallet, chance))
    return sorted(found, key=lambda want: (want.at, want.number))


def _burst(number: int, at: float, member: int, wallet: Wallet, chance: Random) -> list[Want]:
    """Several requests at once, for which there may be less than they come to: a policy, or a session that says so."""
    found, kinds, network = list[Want](), KINDS, wallet.members[member].network
    if chance.random() < TIGHT:
        in_tokens = chance.random() < 0.5
        kinds = TOKEN_KINDS if in_tokens else KINDS
        before = max(0.0, at - 1)
        if chance.random() < 0.6:
            found.append(Want(number, before, "cap", member, body=bounds.a_cap(network, chance, in_tokens=in_tokens)))
        else:
            held = bounds.constraints(network, chance, in_tokens=in_tokens)
            found.append(Want(number, before, "limit", member, body=held, amount=chance.randrange(2)))
            found.append(Want(number + 1, min(SPAN, at + chance.choice((5, 20, 60))), "unlimit", member))
    first, many = number + len(found), chance.randint(4, 10)
    return found + [_send(first + place, at, member, wallet, chance, kinds) for place in range(many)]


def _send(
    number: int, at: float, member: int, wallet: Wallet, chance: Random, kinds: Mapping[str, int] | None = None
) -> Want:
    key = f"key-{number}" if chance.random() < 0.85 else None
    return Want(number, at, "send", member, key, a_request(wallet, wallet.members[member], chance, kinds or KINDS))


def _asked(number: int, at: float, wallet: Wallet, chance: Random) -> list[Want]:
    """Something that an owner is asked for, and what comes of it."""
    place = chance.choice([place for place, one in enumerate(wallet.members) if one.is_owned])
    network = wallet.members[place].network
    amount = BEYOND_DELAYS * UNIT[network] + chance.randrange(1000)
    body = {"to": chance.choice(STRANGERS[network]), "amount": str(amount)}
    send = Want(number, at, "send", place, f"key-{number}", body)
    later = at + chance.choice((0.1, 1.0, 5.0, 20.0))
    return [send] + [
        Want(number + 1 + nth, later, kind, place, send.key, None, number)
        for nth, kind in enumerate(chance.choice(DECISIONS))
    ]


def _other(kind: str, number: int, at: float, member: int, before: list[Want], wallet: Wallet, chance: Random) -> Want:
    sends = [want for want in before if want.kind == "send"]
    if kind in STOPS or not sends:
        if sends and chance.random() < 0.9:
            # in the middle of what it stops
            near = chance.choice(sends)
            at, member = near.at + chance.random() * NEAR_SECONDS, near.member
        amount = chance.choice((1, 5, 20, 100))
        kind = kind if kind in STOPS else "revoke"
        rules = {"daily_total": str(amount * bounds.UNIT[wallet.members[member].network])} if kind == "cap" else None
        return Want(number, at, kind, member, body=rules, amount=amount)
    of = chance.choice(sends)
    at = min(SPAN, of.at + chance.choice((0.0, 0.05, 0.5, 1.0, 2.0, 3.0, 30.0)))
    body = {**(of.body or {}), "amount": "7"} if kind == "conflict" else of.body
    return Want(number, at, kind, of.member, of.key, body, of.number)


def a_request(wallet: Wallet, member: Member, chance: Random, kinds: Mapping[str, int]) -> dict[str, Any]:
    """Of those types, for an agent of either chain."""
    (kind,) = chance.choices(list(kinds), list(kinds.values()))
    if kind == "BATCH":
        items = [
            an_item(wallet, member, chance.choice(("TRANSFER", "TRANSFER", "TOKEN_TRANSFER", "CONTRACT_CALL")), chance)
            for _ in range(chance.randint(2, 4))
        ]
        return {"type": "BATCH", "instructions": items}
    return an_item(wallet, member, kind, chance)


def an_item(wallet: Wallet, member: Member, kind: str, chance: Random) -> dict[str, Any]:
    """A request of one effect; its recipient may be an agent."""
    network = member.network
    to = chance.choice((*STRANGERS[network], *(one.address for one in wallet.of(network))))
    match kind:
        case "TRANSFER":
            amount = chance.choice(AMOUNTS[network]) * UNIT[network] // 1000 + chance.randrange(1000)
            memo = {"memo": f"note {chance.randrange(9)}"} if chance.random() < 0.1 and to in STRANGERS[network] else {}
            return {"type": kind, "to": to, "amount": str(amount), **memo}
        case "TOKEN_TRANSFER":
            return {"type": kind, "to": to, "amount": str(chance.choice((1, 10**6))), "token": TOKENS[network]}
        case "APPROVE":
            spender, allowed = chance.choice(STRANGERS[network]), chance.choice(("0", "5", "1000000"))
            return {"type": kind, "spender": spender, "amount": allowed, "token": TOKENS[network]}
        case _ if network == SOLANA:
            accounts = [{"pubkey": member.address, "isSigner": True, "isWritable": False}]
            called = chance.choice((signed.MEMO, FICKLE, FICKLE))
            return {"type": kind, "programId": called, "instructionData": "RmFrZQ==", "accounts": accounts}
        case _:
            called = chance.choice((contracts.SINK, contracts.FICKLE, contracts.FICKLE, contracts.REVERTER))
            return {"type": kind, "to": called, "calldata": "0x12345678", "value": str(chance.choice((0, 10**15)))}


#: what the operator allows before anything is asked for
POLICIES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("ALLOWED_TOKENS", {"tokens": [{"address": MINT}, {"address": contracts.TOKEN}]}),
    (
        "CONTRACT_WHITELIST",
        {"contracts": [{"address": one} for one in (signed.MEMO, FICKLE, *contracts.ALL)]},
    ),
    (
        "METHOD_WHITELIST",
        {"methods": [{"contract_address": one, "selectors": ["0x12345678"]} for one in contracts.ALL]},
    ),
    ("APPROVED_SPENDERS", {"spenders": [{"address": one} for several in STRANGERS.values() for one in several]}),
    ("APPROVE_AMOUNT_LIMIT", {"maxAmount": "1000000000"}),
    ("APPROVE_TIER_OVERRIDE", {"tier": "INSTANT"}),
)
