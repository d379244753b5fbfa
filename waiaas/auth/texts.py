"""Texts for an owner to sign: made here, remembered by their nonce, good once and for five minutes."""

import hashlib

import msgspec

from waiaas.auth.nonces import LIFE_SECONDS
from waiaas.chains.evm.networks import PROFILES
from waiaas.db import Database
from waiaas.domain.chain import Network, chain_of
from waiaas.domain.owner import OwnerAction, OwnerText, written
from waiaas.ids import entropy
from waiaas.repositories import nonces

#: live texts of one subject; an older one is void when the next is made. So many cannot be asked for while one lives
#: (`security.rate_limit_global_ip_rpm`): whoever asks in an owner's place must not make void what the owner signs
MOST_PER_SUBJECT = 5000


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """The text that is asked for; `until` is when what it is about ends, if that is sooner than the text would."""

    action: OwnerAction
    #: the transaction, the agent, or `daemon`
    subject: str
    #: the owner's, canonical
    address: str
    #: whose Chain ID it names
    network: Network
    #: one line: what signing it does
    statement: str
    #: the Host header of the request, and the path of the route that takes the signature
    host: str
    path: str
    digest: str | None = None
    new_address: str | None = None
    until: int | None = None


class Served(msgspec.Struct, frozen=True):
    """A text that is ready to be signed; times in epoch seconds."""

    message: str
    nonce: str
    issued_at: int
    expires_at: int


async def issue(db: Database, wanted: Wanted, *, now: int) -> Served:
    """Make the text and remember what it is for; of a subject's texts the newest MOST_PER_SUBJECT count."""
    nonce, ends = entropy(32).hex(), now + LIFE_SECONDS
    expires_at = ends if wanted.until is None else min(ends, wanted.until)
    text = OwnerText(
        host=wanted.host,
        path=wanted.path,
        chain=chain_of(wanted.network),
        chain_id=chain_id(wanted.network),
        address=wanted.address,
        statement=wanted.statement,
        nonce=nonce,
        issued_at=now,
        expires_at=expires_at,
        subject=wanted.subject,
    )
    message = written(text)
    bound = nonces.Bound(
        id=nonce,
        action=wanted.action,
        subject=wanted.subject,
        address=wanted.address,
        new_address=wanted.new_address,
        digest=wanted.digest,
        text_hash=text_hash(message),
        expires_at=expires_at,
    )
    await db.commit(nonces.bind(bound, now), nonces.keep_newest_of(wanted.subject, MOST_PER_SUBJECT))
    return Served(message, nonce, now, expires_at)


def text_hash(message: str) -> str:
    """What is stored of a text: SHA-256 in hex of its UTF-8."""
    return hashlib.sha256(message.encode()).hexdigest()


def chain_id(network: Network) -> str:
    """As the text names a network: its EIP-155 number, on Solana its name."""
    profile = PROFILES.get(network)
    return str(profile.chain_id) if profile else network.value
