"""What spenders may still move of an owner's ERC-20 tokens (EIP-20 `allowance`), as every endpoint says."""

import asyncio
from collections.abc import Mapping, Sequence

import structlog

from waiaas.chains.base import Allowed, Grant
from waiaas.chains.evm import abi, answers, ask
from waiaas.chains.rpc import Rpc, Witness
from waiaas.chains.untaken import least_untaken
from waiaas.errors import NodeRefused, Transient

log = structlog.get_logger(__name__)

#: Transfer(address,address,uint256) of EIP-20
TRANSFERRED = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
EVERYTHING = 2**256 - 1


async def read_grants(rpc: Rpc, grants: Sequence[Grant]) -> dict[Grant, Allowed]:
    """By grant, where all healthy endpoints say the same, each at a block that it names itself."""
    witnesses = await rpc.witnesses()
    if len(witnesses) < rpc.quorum:
        return {}
    said = await asyncio.gather(*(_said(witness, rpc.network, grants) for witness in witnesses))
    return {grant: allowed for grant in grants if (allowed := agreed([one.get(grant) for one in said]))}


async def _said(witness: Witness, network: str, grants: Sequence[Grant]) -> Mapping[Grant, Allowed]:
    """What this endpoint answers for; the state is asked for by the block's number, so that its height is known."""
    try:
        block = await witness.call("eth_blockNumber", (), answers.quantity)
    except (NodeRefused, Transient) as error:
        log.info("allowances unknown", network=network, endpoint=witness.name, reason=error.message)
        return {}
    asked = [_question(grant, block) for grant in grants]
    found = zip(grants, await witness.calls("eth_call", asked, number), strict=True)
    read = {grant: Allowed(said, block) for grant, said in found if isinstance(said, int)}
    if len(read) < len(grants):
        log.info("allowances unknown", network=network, endpoint=witness.name, count=len(grants) - len(read))
    return read


def _question(grant: Grant, block: int) -> Sequence[object]:
    data = abi.call(abi.ALLOWANCE, grant.owner, grant.spender)
    return [{"to": grant.token, "data": ask.hexed(data)}, hex(block)]


def number(text: bytes) -> int | None:
    """The number that a contract returned; None where it returned none, which is no node's fault."""
    try:
        return abi.number(answers.data(text))
    except ValueError as error:
        log.info("no allowance", reason=str(error))
        return None


def agreed(said: Sequence[Allowed | None]) -> Allowed | None:
    """The one amount that all of them tell; None where one tells nothing or another amount."""
    known = [one for one in said if one is not None]
    if len(known) < len(said) or len({one.amount for one in known}) != 1:
        return None
    return Allowed(known[0].amount, min(one.height for one in known))


async def read_untaken(rpc: Rpc, grant: Grant, approval: str, block: int) -> int:
    """The least that an endpoint tells; 0 where the past is only refused, Transient where nobody answers."""

    async def ask_one(witness: Witness) -> int:
        return await _untaken(witness, grant, approval, block)

    return await least_untaken(rpc, grant, ask_one)


async def _untaken(witness: Witness, grant: Grant, approval: str, block: int) -> int:
    """The allowance at the block before, less what left the owner in that block by others than the owner."""
    moved = {"address": grant.token, "topics": [TRANSFERRED, ask.hexed(abi.call(b"", grant.owner))]}
    span = {"fromBlock": hex(block), "toBlock": hex(block)}
    before = await witness.call("eth_call", _question(grant, block - 1), number)
    logs = await witness.call("eth_getLogs", [moved | span], answers.logs)
    others = {one.transaction_hash.lower() for one in logs} - {approval}
    own = {one for one in others if await _is_own(witness, grant, one)}
    left = sum(number_in(one.data) for one in logs if one.transaction_hash.lower() in others - own)
    return max(0, (before or 0) - left)


async def _is_own(witness: Witness, grant: Grant, hash: str) -> bool:
    """Whether the owner itself called the token: that needs no allowance, and is booked by its own transaction."""
    read = answers.calls(hash, grant.owner, grant.token)
    return await witness.call("eth_getTransactionByHash", [hash], read)


def number_in(data: str) -> int:
    """The amount of a Transfer; one that cannot be read took everything."""
    try:
        return abi.number(bytes.fromhex(data[2:]))
    except ValueError:
        return EVERYTHING
