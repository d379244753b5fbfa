"""What others took of an owner's tokens until an approval landed, from the history of the token accounts.

Nodes keep no state of the past, but they keep what landed: every transaction that names an account, and what the
owner's accounts held before and after it.
"""

import asyncio
from base64 import b64decode
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

import msgspec
import structlog
from solders.transaction import VersionedTransaction

from waiaas.chains.base import Grant
from waiaas.chains.rpc import Rpc, Witness
from waiaas.chains.solana.answers import Answer
from waiaas.chains.solana.programs import TOKEN_PROGRAMS
from waiaas.chains.solana.sweep import OWNED
from waiaas.chains.solana.tokens import associated
from waiaas.chains.untaken import least_untaken
from waiaas.errors import Lie, Transient

log = structlog.get_logger(__name__)

CONFIRMED = "confirmed"
#: signatures that a node tells at once, and transactions that are looked into; more than these took everything
PAGE, MOST = 1000, 100
TRANSACTION = {"commitment": CONFIRMED, "encoding": "base64", "maxSupportedTransactionVersion": 0}


class Entry(Answer, frozen=True):
    """An entry of getSignaturesForAddress, the newest first."""

    signature: str
    slot: int


class Amount(Answer, frozen=True):
    """Base units in digits."""

    amount: str


class Balance(Answer, frozen=True):
    """What one token account named by a transaction held."""

    mint: str
    ui_token_amount: Amount
    owner: str | None = None


class Meta(Answer, frozen=True):
    """Token balances around a transaction."""

    pre_token_balances: list[Balance]
    post_token_balances: list[Balance]


class Landed(Answer, frozen=True):
    """A landed transaction in its wire form."""

    transaction: tuple[str, Literal["base64"]]
    meta: Meta


ENTRIES = msgspec.json.Decoder(list[Entry])
LANDED: msgspec.json.Decoder[Landed | None] = msgspec.json.Decoder(Landed | None)


async def read_untaken(rpc: Rpc, grant: Grant, approval: str, *, since: int, granted: int) -> int:
    """Of what was `granted` since a slot, what nobody took before the approval landed, by the word of every endpoint.

    0 where the past is refused or too long to be looked through, Transient while no endpoint knows the approval.
    """

    async def ask_one(witness: Witness) -> int:
        signatures = await _touching(witness, grant, approval, since)
        if signatures is None or len(signatures) > MOST:
            log.warning("too much has happened to know what was taken", network=rpc.network, token=grant.token)
            return 0
        taken = (witness.call("getTransaction", [one, TRANSACTION], _taken(one, grant)) for one in signatures)
        return max(0, granted - sum(await asyncio.gather(*taken)))

    return await least_untaken(rpc, grant, ask_one)


async def _touching(witness: Witness, grant: Grant, approval: str, since: int) -> Sequence[str] | None:
    """What landed before the approval, at `since` or later, and names a token account of the owner's.

    None where a page does not reach back so far: whoever likes can name an account often.
    """
    accounts = await _accounts(witness, grant)
    config = {"limit": PAGE, "commitment": CONFIRMED}
    told = await asyncio.gather(
        *(witness.call("getSignaturesForAddress", [one, config], ENTRIES.decode) for one in accounts)
    )
    if any(len(entries) >= PAGE and entries[-1].slot >= since for entries in told):
        return None
    landed = {entry.slot for entries in told for entry in entries if entry.signature == approval}
    if not landed:
        raise Transient("The node does not tell of the approval among what touched the token account.")
    block = max(landed)
    found = (entry.signature for entries in told for entry in _before(entries, approval, block) if entry.slot >= since)
    return list(dict.fromkeys(found))


def _before(entries: Sequence[Entry], approval: str, block: int) -> Iterable[Entry]:
    """Those that stand behind the approval, or, where it is not among them, are of no later slot."""
    place = next((place for place, entry in enumerate(entries) if entry.signature == approval), None)
    return (entry for entry in entries if entry.slot <= block) if place is None else entries[place + 1 :]


async def _accounts(witness: Witness, grant: Grant) -> list[str]:
    """The associated accounts, there or not any more, and every other one of the token."""
    asked = [grant.owner, {"mint": grant.token}, {"encoding": "base64", "commitment": CONFIRMED}]
    found = await witness.call("getTokenAccountsByOwner", asked, OWNED.decode)
    derived = [associated(grant.owner, grant.token, program) for program in TOKEN_PROGRAMS]
    return list(dict.fromkeys([*derived, *(one.pubkey for one in found.value)]))


def _taken(signature: str, grant: Grant) -> Callable[[bytes], int]:
    """Reads getTransaction: by how much the owner's tokens became fewer, unless the owner signed it."""

    def read(text: bytes) -> int:
        answer = LANDED.decode(text)
        if answer is None:
            raise ValueError("a transaction of the node's own history is not there")
        landed = VersionedTransaction.from_bytes(b64decode(answer.transaction[0], validate=True))
        if str(landed.signatures[0]) != signature:
            raise Lie("it answered getTransaction with another transaction", expected=signature)
        signers = {str(key) for key in landed.message.account_keys[: len(landed.signatures)]}
        before, after = (
            sum(int(one.ui_token_amount.amount) for one in held if (one.owner, one.mint) == (grant.owner, grant.token))
            for held in (answer.meta.pre_token_balances, answer.meta.post_token_balances)
        )
        return 0 if grant.owner in signers else max(0, before - after)

    return read
