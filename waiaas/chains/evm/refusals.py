"""What an EVM node refuses, in the three classes the pipeline knows.

Nodes have no common codes for it, so their words are looked for: geth, nethermind, reth, erigon, besu,
anvil, hardhat and py-evm. What nobody has words for is Transient: it is tried again, and nothing is given up.
"""

from collections.abc import Awaitable
from typing import TypeVar

from waiaas.chains.evm import abi
from waiaas.errors import (
    ChainError,
    ChainRejected,
    InsufficientBalance,
    NodeRefused,
    SimulationFailed,
    Stale,
    Transient,
)

T = TypeVar("T")

#: EIP-1474: "execution error", the code of a revert
REVERTED = 3

#: words of a refusal → its class, the first that fits
SENDING: tuple[tuple[str, type[ChainError]], ...] = (
    ("nonce too low", Stale),
    ("nonce is too low", Stale),
    ("nonce has already been used", Stale),
    ("replacement", Stale),
    ("underpriced", Stale),
    ("base fee", ChainRejected),
    ("basefee", ChainRejected),
    ("fee too low", Stale),
    ("feetoolow", Stale),
    ("gas price too low", Stale),
    ("gas price below", Stale),
    ("fee cap too low", Stale),
    ("insufficient funds", InsufficientBalance),
    ("insufficient balance", InsufficientBalance),
    ("insufficientfunds", InsufficientBalance),
    ("doesn't have enough funds", InsufficientBalance),
    ("upfront cost exceeds", InsufficientBalance),
    ("intrinsic gas", ChainRejected),
    ("floor data gas", ChainRejected),
    ("gas limit", ChainRejected),
    ("gaslimit", ChainRejected),
    ("exceeds the configured cap", ChainRejected),
    ("oversized", ChainRejected),
    ("transaction size", ChainRejected),
    ("invalid sender", ChainRejected),
    ("invalid signature", ChainRejected),
    ("invalidsignature", ChainRejected),
    ("chain id", ChainRejected),
    ("chainid", ChainRejected),
    ("type not supported", ChainRejected),
    ("tip above fee cap", ChainRejected),
    ("higher than max fee", ChainRejected),
    ("higher than `maxfeepergas`", ChainRejected),
    ("rlp", ChainRejected),
)

#: words of the machine itself: the call would fail
FAILING = (
    "revert",
    "out of gas",
    "outofgas",
    "invalid opcode",
    "invalid jump",
    "stack underflow",
    "stack overflow",
    "stack limit",
    "write protection",
    "gas required exceeds",
    "vm execution error",
    "vm exception",
    "bad instruction",
    "evm error",
)
ALREADY_KNOWN = ("already known", "known transaction", "already imported")
NONCE_SPENT = ("nonce too low", "nonce is too low", "nonce has already been used")


def refusal(error: NodeRefused) -> ChainError:
    """What one endpoint's refusal of signed bytes means; after signing none of them ends a transaction."""
    said = error.message.lower()
    kind = next((kind for words, kind in SENDING if words in said), Transient)
    return kind(error.message)


def failure(error: NodeRefused) -> ChainError:
    """What a refusal of eth_call or eth_estimateGas means: the call would fail, or it could not be tried."""
    said = error.message.lower()
    if error.number == REVERTED or any(words in said for words in FAILING):
        why = abi.reason(revert_data(error.data)) or error.message
        return SimulationFailed(f"It would fail: {why}", logs=(why,))
    if any(words in said for words, kind in SENDING if kind is InsufficientBalance):
        return InsufficientBalance(error.message)
    return Transient(error.message)


def revert_data(data: object) -> bytes:
    """What a reverted call returned: hex, or hex inside an object (hardhat), or words before hex (parity)."""
    match data:
        case {"data": inner} | {"result": inner}:
            return revert_data(inner)
        case str():
            try:
                return bytes.fromhex(data.removeprefix("Reverted ").removeprefix("0x"))
            except ValueError:
                return b""
    return b""


def already_known(error: NodeRefused) -> bool:
    """The node has these very bytes already: as good as accepted."""
    return any(words in error.message.lower() for words in ALREADY_KNOWN)


def nonce_spent(error: NodeRefused) -> bool:
    """A transaction with this nonce has landed, perhaps this very one."""
    return any(words in error.message.lower() for words in NONCE_SPENT)


async def outcome(answer: Awaitable[T]) -> T | NodeRefused:
    """The answer, or the refusal where that is an answer too; Transient is raised."""
    try:
        return await answer
    except NodeRefused as error:
        return error
