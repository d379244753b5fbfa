"""What has landed at an address, and whether the address signed it, as the bytes and their signatures say."""

import asyncio
from base64 import b64decode
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec
import structlog
from solders.transaction import VersionedTransaction

from waiaas.chains.rpc import Rpc
from waiaas.errors import Lie, NodeRefused, Transient

#: what getSignaturesForAddress gives at once, and pages of it that are read in one look
PAGE = 1000
MOST_PAGES = 100
FINALIZED = "finalized"
TRANSACTION = {"commitment": FINALIZED, "encoding": "base64", "maxSupportedTransactionVersion": 0}

log = structlog.get_logger(__name__)


class Entry(msgspec.Struct, frozen=True):
    """An entry of getSignaturesForAddress."""

    signature: str


class Encoded(msgspec.Struct, frozen=True):
    """A landed transaction in its wire form."""

    transaction: tuple[str, Literal["base64"]]


ENTRIES = msgspec.json.Decoder(list[Entry])
ENCODED: msgspec.json.Decoder[Encoded | None] = msgspec.json.Decoder(Encoded | None)


async def since(rpc: Rpc, address: str, mark: str | None) -> list[str]:
    """Signatures of finalized transactions that name the address, later than `mark`, oldest first."""
    found: list[str] = []
    config = {"limit": PAGE, "commitment": FINALIZED} | ({} if mark is None else {"until": mark})
    for _ in range(MOST_PAGES):
        before = {"before": found[-1]} if found else {}
        page = await rpc.call("getSignaturesForAddress", [address, config | before], ENTRIES.decode)
        found += [entry.signature for entry in page]
        if len(page) < PAGE:
            break
    else:
        log.warning("history is longer than is read at once", network=rpc.network, address=address)
    return found[::-1]


async def signed_by(rpc: Rpc, address: str, signatures: Sequence[str]) -> dict[str, bool]:
    """Signature → whether the address is among those who signed; absent while nobody can tell."""
    said = await asyncio.gather(
        *(rpc.call("getTransaction", [one, TRANSACTION], _signers(one)) for one in signatures), return_exceptions=True
    )
    found: dict[str, bool] = {}
    for signature, signers in zip(signatures, said, strict=True):
        if isinstance(signers, NodeRefused):
            # of a kind that nodes show to nobody who does not know it: what names an agent must not end all looking
            log.warning("a landed transaction is not shown", signature=signature, reason=signers.message)
            found[signature] = False
        elif isinstance(signers, Transient):
            log.info("a landed transaction is not known yet", signature=signature, reason=signers.message)
        elif isinstance(signers, BaseException):
            raise signers
        elif signers is not None:
            found[signature] = address in signers
    return found


def _signers(signature: str) -> Callable[[bytes], set[str] | None]:
    """Reads getTransaction: who signed; ValueError if the bytes do not carry their signatures, Lie if another's."""

    def read(text: bytes) -> set[str] | None:
        answer = ENCODED.decode(text)
        if answer is None:
            return None
        landed = VersionedTransaction.from_bytes(b64decode(answer.transaction[0], validate=True))
        if str(landed.signatures[0]) != signature:
            raise Lie("it answered getTransaction with another transaction", expected=signature)
        if not all(landed.verify_with_results()):
            raise ValueError("signatures that are none")
        return {str(key) for key in landed.message.account_keys[: len(landed.signatures)]}

    return read
