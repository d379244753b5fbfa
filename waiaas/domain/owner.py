"""The text that an owner signs: EIP-4361 (SIWE), and on Solana the same form as Sign In With Solana has it."""

import re
from datetime import UTC, datetime
from enum import StrEnum

import msgspec

from waiaas.domain.chain import Chain

#: what EIP-4361 lets a statement hold; text that an agent made up never enters one
STATEMENT = re.compile(r"[A-Za-z0-9 \-._~:/?#\[\]@!$&'()*+,;=]+")
NONCE_LINE = re.compile(r"^Nonce: ([0-9a-f]{64})$", re.MULTILINE)
BARE_NONCE = re.compile(r"[0-9a-f]{64}")


class OwnerAction(StrEnum):
    """What an owner's signature is for; a text for one is good for no other."""

    APPROVE = "approve"
    REJECT = "reject"
    CHANGE_OWNER = "change_owner"
    ACTIVATE_KILL_SWITCH = "activate_kill_switch"


class OwnerText(msgspec.Struct, frozen=True, kw_only=True):
    """What a text says. `host` and `path` are those of the request that will carry the signature; times in seconds."""

    host: str
    path: str
    chain: Chain
    #: EVM: the number of EIP-155; Solana: the network's name
    chain_id: str
    address: str
    statement: str
    nonce: str
    issued_at: int
    expires_at: int
    #: what it is about: a transaction, an agent, or `daemon`
    subject: str


def written(text: OwnerText) -> str:
    """The text, to be signed byte for byte; ValueError if the statement holds what EIP-4361 forbids."""
    if not STATEMENT.fullmatch(text.statement):
        raise ValueError("the statement holds characters that EIP-4361 forbids")
    account = "Ethereum" if text.chain is Chain.ETHEREUM else "Solana"
    return "\n".join(
        (
            f"{text.host} wants you to sign in with your {account} account:",
            text.address,
            "",
            text.statement,
            "",
            f"URI: http://{text.host}{text.path}",
            "Version: 1",
            f"Chain ID: {text.chain_id}",
            f"Nonce: {text.nonce}",
            f"Issued At: {_time(text.issued_at)}",
            f"Expiration Time: {_time(text.expires_at)}",
            f"Request ID: {text.subject}",
        )
    )


def nonce_in(message: str) -> str | None:
    """The nonce that a text names; None unless it names exactly one."""
    found = NONCE_LINE.findall(message)
    return found[0] if len(found) == 1 else None


def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
