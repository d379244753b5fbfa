"""`waiaas tx why`: what is known of a transaction, what happens next and when, and what may be done about it.

Said from what the API tells: the transaction, its attempts, and the health of the daemon. Nothing here is guessed: a
sentence that money has or has not moved rests on a status, and each status on evidence.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from waiaas.cli.show import at, text, times, whole
from waiaas.domain.chain import Network, native_of

Fields = Mapping[str, Any]

FINAL = ("CONFIRMED", "FAILED", "CANCELLED", "EXPIRED", "PARTIAL_FAILURE")
UNSIGNED = "Nothing is signed, so no money can have moved."
GIVEN_BACK = "What was set aside for it is given back."
TIMEOUT = "If it is not signed within security.unsigned_timeout_seconds it ends as PENDING_TIMEOUT, unpaid."
#: nobody may be told that it is unpaid
RESTORED = "An older database was put back: whether it was paid in the time that is lost, only the chain knows."
AGAIN = "If it is still wanted, send it anew under a new key: this one can never be paid any more."

#: what a transaction waits for, and what lets it go on
WAITS = {
    "FEE_CAP": "gas costs more than rpc.evm_max_fee_gwei; it goes out once gas costs less",
    "FEE_BUDGET": "the fee would go beyond what its owner signed for, a limit or the balance, so it is not signed",
    "NONCE_LANE": "a batch of the agent is under way; until its end only its items take nonces",
    "CHAIN_UNREACHABLE": "no endpoint of the network gives a usable answer",
    "KEYSTORE_LOCKED": "the agent's key cannot be used",
    "CHAIN_REJECTED": "every endpoint refuses its bytes for good, those signed instead too; none of them is dead",
}
#: how an end is known, by errorCode; any other one stands for: it was refused before anything was signed
PROOFS = {
    "ONCHAIN_FAILURE": "It is in a final block and was reverted there: the amount stayed, the fee is spent.",
    "CANCELLED_ON_CHAIN": "A transfer of nothing with its nonce is in a block: the payment can never land.",
    "NONCE_CONSUMED": "A final block holds another transaction with its nonce, which this wallet did not sign.",
    "CHAIN_REJECTED": "Every endpoint refused the signed bytes for good, and the chain has proven them dead.",
    "BLOCKHASH_EXPIRED": "The finalized block height is past what its blockhash allows, and the chain's history does "
    "not know it: it never landed, and never can.",
    "BATCH_INCOMPLETE": "An earlier item of its batch failed, so it was never signed.",
}


class Option(msgspec.Struct, frozen=True):
    """Something that may be done, and what it leads to; without a command it is done elsewhere."""

    command: str | None
    consequence: str


class Explanation(msgspec.Struct, frozen=True):
    """Sentences for people."""

    known: list[str]
    next: list[str]
    options: list[Option]


def explain(tx: Fields, attempts: Sequence[Fields], health: Fields) -> Explanation:
    """All of it, as the daemon sees it at this moment."""
    now = health["timestamp"]
    return Explanation(
        known=[*_known(tx, attempts, now)],
        next=[*_hindrances(tx, health), *_next(tx, attempts, now)],
        options=[*_options(tx)],
    )


def locked(details: Fields) -> Explanation:
    """What can be said while the kill switch is on, when the daemon shows no transaction."""
    since = f" since {text('At', details['activatedAt'])} UTC" if details.get("activatedAt") else ""
    return Explanation(
        known=[f"The kill switch is on{since}; until recovery the daemon shows no single transaction."],
        next=[
            "Nothing is signed, and what is signed is not sent again, but watched to its end: it may still land.",
            "What was not signed when the switch was thrown is cancelled, and will never be paid.",
        ],
        options=[
            Option("waiaas audit list", "Everything that was done is there, read from the database itself."),
            Option("waiaas recover", "The operator lifts the switch; what was cancelled stays cancelled."),
        ],
    )


def written(told: Explanation) -> str:
    """The explanation as text under three headings."""
    options = [
        f"{option.command}\n    {option.consequence}" if option.command else option.consequence
        for option in told.options
    ]
    parts = (("What is known", told.known), ("What happens next", told.next), ("What you may do", options))
    return "\n\n".join("\n".join((heading, *(f"- {line}" for line in lines))) for heading, lines in parts if lines)


def _known(tx: Fields, attempts: Sequence[Fields], now: int) -> Iterator[str]:
    yield f"{_asked(tx)} was asked for {at(tx['createdAt'], now)} and is {tx['status']}."
    match tx["status"]:
        case "PENDING" | "EXECUTING":
            yield UNSIGNED
        case "QUEUED":
            yield f"Its tier is {tx['tier']}. {UNSIGNED}"
            yield from _tier(tx)
            if tx["downgradedFrom"]:
                yield "Its owner would have to approve so much; no owner has proved the key, so it waits instead."
        case "SUBMITTED":
            yield "It is signed and may land; only evidence from the chain ends it."
        case "CONFIRMED":
            yield from _confirmed(tx)
        case _:
            yield from _ended(tx, attempts)
    yield from _waiting(tx, now)
    yield from (_attempt(attempt, now) for attempt in attempts)
    yield from (_child(tx, child) for child in tx["children"])


def _tier(tx: Fields) -> Iterator[str]:
    """The rules that made it wait."""
    wanted = tx["downgradedFrom"] or tx["tier"]
    for rule in tx["decision"]["rules"] if tx["decision"] else ():
        if rule["tier"] == wanted:
            sums = f" ({rule['observed']}, the bound is {rule['limit']})" if rule["limit"] else ""
            yield f"{rule['type']} asks for {wanted}: {rule['message']}{sums}."


def _asked(tx: Fields) -> str:
    """`TRANSFER of 500000000 (0.5 SOL) to … on localnet`."""
    amount = f" of {_money(tx['amount'], tx)}" if tx["amount"] is not None else ""
    whom = tx["spender"] or tx["toAddress"]
    return f"{tx['type']}{amount}{f' to {whom}' if whom else ''} on {tx['network']}"


def _money(amount: str, tx: Fields) -> str:
    if token := tx["token"]:
        return f"{amount} base units of the token {token['address']}"
    native = native_of(Network(tx["network"]))
    return f"{amount} ({whole(int(amount), native.decimals)} {native.symbol})"


def _confirmed(tx: Fields) -> Iterator[str]:
    done = "The money has moved" if tx["type"] in ("TRANSFER", "TOKEN_TRANSFER") else "It is done"
    if fee := tx["fee"]:
        yield f"{done}: {tx['txHash']} is in a block, and its fee was {_native(fee['amount'], tx)}."
    else:
        yield f"{done}: every item is in a block."
    if (found := tx["confirmation"]) is None:
        return
    if found["finalized"]:
        yield f"Block {found['height']} is final: it can never be undone."
    else:
        yield f"Block {found['height']} is not final yet, so the chain could still take it back."


def _native(amount: str, tx: Fields) -> str:
    return _money(amount, {**tx, "token": None})


def _ended(tx: Fields, attempts: Sequence[Fields]) -> Iterator[str]:
    yield f"Why: {tx['errorCode']}. {tx['error']}"
    if tx["errorCode"] == "RESTORED":
        yield RESTORED
    elif tx["status"] == "PARTIAL_FAILURE":
        yield "Some of its items are paid and the others never will be; each is listed below."
    elif proof := PROOFS.get(tx["errorCode"]):
        yield proof
    elif not attempts:
        yield f"It was never signed, so no money has moved. {GIVEN_BACK}"


def _waiting(tx: Fields, now: int) -> Iterator[str]:
    if waiting := tx["waiting"]:
        stopped = "nothing dearer is signed because of" if tx["status"] == "SUBMITTED" else "it is stopped by"
        why = WAITS.get(waiting["reason"], f"{stopped} {waiting['reason']}")
        yield f"It has been waiting since {at(waiting['since'], now)}, after {times(waiting['tries'], 'try')}: {why}."


def _attempt(attempt: Fields, now: int) -> str:
    """One line of what was signed."""
    slot = (
        f"nonce {attempt['nonce']}"
        if attempt["nonce"] is not None
        else f"until height {attempt['lastValidBlockHeight']}"
    )
    told = [f"Attempt {attempt['number']} ({attempt['kind']}, {slot}, {attempt['txHash']}) is {attempt['status']}"]
    if attempt["sendCount"]:
        told.append(
            f"taken by an endpoint {times(attempt['sendCount'], 'time')}, last {at(attempt['lastSentAt'], now)}"
        )
    elif attempt["lastSentAt"]:
        told.append(f"sent {at(attempt['lastSentAt'], now)} without a clear answer")
    else:
        told.append("not sent yet")
    if attempt["block"] is not None:
        told.append(f"in block {attempt['block']}")
    elif attempt["lastSeenAt"]:
        told.append(f"last seen {at(attempt['lastSeenAt'], now)}")
    elif attempt["status"] in ("LIVE", "REPLACED"):
        told.append("seen by no endpoint yet")
    if attempt["error"]:
        told.append(f"last error: {attempt['error']}")
    return "; ".join(told) + "."


def _child(tx: Fields, child: Fields) -> str:
    what = f"Item {child['batchIndex'] + 1}" if tx["type"] == "BATCH" else "The reset of the allowance to 0"
    error = f" ({child['error']})" if child["error"] else ""
    return f"{what}, {child['type']} {child['id']}, is {child['status']}{error}."


def _hindrances(tx: Fields, health: Fields) -> Iterator[str]:
    """What keeps the daemon from going on."""
    network = tx["network"]
    if tx["status"] in FINAL:
        return
    if network in health["reconciling"]:
        count = times(health["reconciling"][network], "signed transaction")
        yield f"The daemon has just started and looks up {count} on {network} first; nothing is signed there before."
    if health["checks"]["networks"].get(network) == "down":
        yield f"No endpoint of {network} can be used now; they are tried again by themselves."


def _next(tx: Fields, attempts: Sequence[Fields], now: int) -> Iterator[str]:
    match tx["status"]:
        case "PENDING" | "EXECUTING" | "SUBMITTED" if child := _running(tx):
            yield f"Its items go on one after another, now {child}; `waiaas tx why {child}` tells of that."
        case "PENDING" if tx["batchIndex"]:
            yield f"It is signed when the items of batch {tx['parentId']} before it are CONFIRMED."
        case "PENDING" | "EXECUTING":
            tried = (
                f"It is tried again {at(tx['waiting']['nextTryAt'], now)}"
                if tx["waiting"]
                else "It is signed within moments"
            )
            yield f"{tried}, if switch, agent, session and limits still allow it. {TIMEOUT}"
        case "QUEUED" if tx["tier"] == "DELAY":
            yield f"It goes on {at(tx['executeAt'], now)}, unless it is cancelled or the limits refuse it by then."
        case "QUEUED":
            yield f"It waits for its owner's approval and expires {at(tx['approvalExpiresAt'], now)}."
        case "SUBMITTED":
            yield from _submitted(tx, attempts)
        case "CONFIRMED" if tx["confirmation"] and not tx["confirmation"]["finalized"]:
            yield "It is watched until its block is final. If the block vanishes, the same bytes are sent again."
        case _:
            yield "Nothing: this is its end."


def _running(tx: Fields) -> str | None:
    """The id of the child that is under way, or comes next."""
    return next((child["id"] for child in tx["children"] if child["status"] not in FINAL), None)


def _submitted(tx: Fields, attempts: Sequence[Fields]) -> Iterator[str]:
    live = next((attempt for attempt in reversed(attempts) if attempt["status"] == "LIVE"), None)
    if live is None or any(attempt["block"] is not None for attempt in attempts):
        yield "It is in a block: it is CONFIRMED once that lies deep enough, or FAILED once a failure is final."
    elif tx["chain"] == "solana":
        yield "The same bytes are sent again every few seconds until an endpoint reports them."
        yield (
            f"Once the finalized block height is past {live['lastValidBlockHeight']} and the chain's history does not "
            "know them, they are dead by proof; only then it is signed anew under the same id, three times at most, "
            "or ends EXPIRED, FAILED where every endpoint refused the bytes for good."
        )
    else:
        yield (
            "The same bytes are sent again until they land. If nobody reports them and the network asks for more, or "
            "if every endpoint refuses them for good, they are replaced by dearer ones with the same nonce "
            f"{live['nonce']}, of which only one can ever land."
        )
        yield "It ends otherwise only when a final block holds another transaction with that nonce."


def _options(tx: Fields) -> Iterator[Option]:
    match tx["status"]:
        case "PENDING" | "QUEUED" if tx["parentId"]:
            yield Option(
                f"waiaas tx why {tx['parentId']}", "The whole batch is cancelled or followed, not an item of it."
            )
        case "PENDING" | "QUEUED":
            if tx["status"] == "QUEUED" and tx["approvalExpiresAt"]:
                yield Option(
                    f"waiaas approve {tx['id']}",
                    "Its owner signs, and it goes on at once; with --reject it ends CANCELLED instead.",
                )
            yield Option(f"waiaas tx cancel {tx['id']}", f"It ends CANCELLED, for certain unpaid. {GIVEN_BACK}")
        case "EXECUTING":
            yield Option(None, "Wait: it is being signed, and can neither be cancelled nor replaced before it is.")
        case "SUBMITTED":
            yield Option(None, "Do not send it again under another key meanwhile: then both could be paid.")
            yield from _of_signed(tx)
        case "CONFIRMED" | "PARTIAL_FAILURE":
            return
        case _ if tx["decision"] and tx["decision"]["outcome"] == "deny":
            yield from (Option(None, _remedy(remedy)) for remedy in tx["decision"]["remedies"])
        case _ if tx["errorCode"] == "RESTORED":
            yield Option(None, "Look on chain first: sent anew without that, it could be paid twice.")
        case _ if tx["errorCode"] == "NONCE_CONSUMED":
            yield Option(
                f"waiaas audit list --tx {tx['id']}",
                "Find out who else holds the agent's key. Until that is known, send nothing from it.",
            )
        case _:
            yield Option(None, AGAIN)


def _remedy(remedy: Fields) -> str:
    """What would have passed when it was denied."""
    match remedy["kind"]:
        case "amount_at_most":
            return f"Send less: {remedy['value']} base units of {remedy['asset']} would have passed."
        case "after":
            return f"Send it anew: the same passes from {text('At', remedy['at'])} UTC on if nothing else happens."
        case "owner_approval":
            return "Its owner's approval would let it pass."
        case _:
            return f"The operator may widen a policy of type {remedy['type']}; then send it anew."


def _of_signed(tx: Fields) -> Iterator[Option]:
    if child := _running(tx):
        yield Option(
            f"waiaas tx why {child}", "Each item has attempts of its own, and is sped up or cancelled by itself."
        )
    elif tx["chain"] == "solana":
        yield Option(None, "Wait: what is signed on Solana cannot be taken back; it lands, or is dead within minutes.")
    else:
        yield Option(
            f"waiaas tx speed-up {tx['id']}",
            "The same call with the same nonce and a dearer fee. One of the attempts lands: it is paid once.",
        )
        yield Option(
            f"waiaas tx cancel {tx['id']} --on-chain",
            "A transfer of nothing races it with the same nonce. If that lands first it ends CANCELLED_ON_CHAIN, "
            "unpaid, and costs that fee; if the payment lands first it is CONFIRMED.",
        )
