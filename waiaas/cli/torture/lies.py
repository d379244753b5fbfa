"""What a lying node says, per method: the daemon has a second endpoint, and must believe neither of them blindly."""

from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import Any

import msgspec

from waiaas.cli.torture import evm, solana
from waiaas.cli.torture.exchange import Exchange

#: the true result, or None if the node was not asked → what is said instead
Tell = Callable[[dict[str, Any], Any], Any]


class Lie(msgspec.Struct, frozen=True):
    """Instead of what the node says to a method; with `unseen` the node is not even asked."""

    method: str
    tell: Tell
    unseen: bool = False

    async def told(self, exchange: Exchange) -> list[dict[str, Any]]:
        """The replies of the exchange, those to the method altered."""
        lied = [call for call in exchange.calls if call["method"] == self.method]
        if self.unseen and len(lied) == len(exchange.calls):
            return [self._reply(call, None) for call in lied]
        told = zip(exchange.calls, await exchange.forward(), strict=True)
        return [self._reply(call, reply.get("result")) if call in lied else reply for call, reply in told]

    def _reply(self, call: dict[str, Any], true: Any) -> dict[str, Any]:
        return {"jsonrpc": "2.0", "id": call["id"], "result": self.tell(call, true)}


def in_context(value: Any, slot: int) -> dict[str, Any]:
    return {"context": {"slot": slot}, "value": value}


def foreign_hash(call: dict[str, Any], true: Any) -> Any:
    """It was another transaction that was taken."""
    return "1" * 63 + "2"


def success_without_sending(call: dict[str, Any], true: Any) -> Any:
    """Taken, it says, and throws it away."""
    return solana.sent(call) or evm.sent(call)


def null_for_a_landed_hash(call: dict[str, Any], true: Any) -> Any:
    """Never heard of any of them."""
    return in_context([None] * len(call["params"][0]), (true or {}).get("context", {}).get("slot", 0))


def confirmed_with_an_error(call: dict[str, Any], true: Any) -> Any:
    """All of them are in a block, and all failed there, though nothing is final."""
    failed = {"slot": 5, "confirmations": 1, "err": {"InstructionError": [0, "GenericError"]}, "status": {"Err": 0}}
    told = failed | {"confirmationStatus": "confirmed"}
    return in_context([told] * len(call["params"][0]), (true or {}).get("context", {}).get("slot", 0))


def another_genesis(call: dict[str, Any], true: Any) -> Any:
    """This is another chain."""
    return "5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d"


def height_long_passed(call: dict[str, Any], true: Any) -> Any:
    """Every blockhash has died."""
    return {**(true or {}), "blockHeight": 10**9, "absoluteSlot": 0}


def height_going_back(call: dict[str, Any], true: Any) -> Any:
    """The chain has lost its newest blocks."""
    return max(0, (true or 0) - 40)


def absurd_balance(call: dict[str, Any], true: Any) -> Any:
    """More than there is."""
    return in_context(2**63, (true or {}).get("context", {}).get("slot", 0))


def another_receipt(call: dict[str, Any], true: Any) -> Any:
    """The receipt of something else."""
    if not true:
        return true
    if isinstance(true["transaction"], list):
        data = bytearray(b64decode(true["transaction"][0]))
        # behind their number begin the signatures
        data[1] ^= 0xFF
        return true | {"transaction": [b64encode(data).decode(), "base64"]}
    return true | {"transaction": true["transaction"] | {"signatures": ["1" * 63 + "2"]}}


def another_chain_id(call: dict[str, Any], true: Any) -> Any:
    """This is another chain."""
    return "0x1"


def foreign_evm_hash(call: dict[str, Any], true: Any) -> Any:
    """It was another transaction that was taken."""
    return "0x" + "17" * 32


def never_heard_of_it(call: dict[str, Any], true: Any) -> Any:
    """There is no such transaction."""


def another_evm_receipt(call: dict[str, Any], true: Any) -> Any:
    """The receipt of something else."""
    return true and true | {"transactionHash": "0x" + "17" * 32}


def a_nonce_spent_before(call: dict[str, Any], true: Any) -> Any:
    """The newest transactions have not happened."""
    return hex(max(0, int(true or "0x0", 16) - 2))


def blocks_going_back(call: dict[str, Any], true: Any) -> Any:
    """The chain has lost its newest blocks."""
    return hex(max(0, int(true or "0x0", 16) - 10))


def absurd_wei(call: dict[str, Any], true: Any) -> Any:
    """More than there is."""
    return hex(2**200)


LIES = (
    Lie("sendTransaction", foreign_hash),
    Lie("sendTransaction", success_without_sending, unseen=True),
    Lie("getSignatureStatuses", null_for_a_landed_hash),
    Lie("getSignatureStatuses", confirmed_with_an_error),
    Lie("getGenesisHash", another_genesis),
    Lie("getEpochInfo", height_long_passed),
    Lie("getBlockHeight", height_going_back),
    Lie("getSlot", height_going_back),
    Lie("getBalance", absurd_balance),
    Lie("getTransaction", another_receipt),
    Lie("eth_sendRawTransaction", foreign_evm_hash),
    Lie("eth_sendRawTransaction", success_without_sending, unseen=True),
    Lie("eth_getTransactionReceipt", never_heard_of_it),
    Lie("eth_getTransactionReceipt", another_evm_receipt),
    Lie("eth_getTransactionByHash", never_heard_of_it),
    Lie("eth_getTransactionCount", a_nonce_spent_before),
    Lie("eth_chainId", another_chain_id),
    Lie("eth_blockNumber", blocks_going_back),
    Lie("eth_getBalance", absurd_wei),
)
