"""What a call that failed is answered: the reason of a revert, in geth's words."""

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError

from waiaas.errors import RpcRefusal
from waiaas.localnet.evm.machine import Outcome
from waiaas.localnet.evm.show import data
from waiaas.localnet.evm.transactions import refused

REVERTED = 3

#: Error(string) and Panic(uint256) of Solidity
ERROR = bytes.fromhex("08c379a0")
PANIC = bytes.fromhex("4e487b71")

PANICS = {
    0x00: "generic panic",
    0x01: "assert(false)",
    0x11: "arithmetic underflow or overflow",
    0x12: "division or modulo by zero",
    0x21: "enum overflow",
    0x22: "invalid encoded storage byte array accessed",
    0x31: "out-of-bounds array access; popping on an empty array",
    0x32: "out-of-bounds access of an array or bytesN",
    0x41: "out of memory",
    0x51: "uninitialized function",
}


def failure(outcome: Outcome) -> RpcRefusal:
    """The refusal that tells of a failed execution; what a contract reverted with is its data."""
    if not outcome.is_revert:
        return refused(outcome.error or "")
    told = reason(outcome.output)
    message = "execution reverted" if told is None else f"execution reverted: {told}"
    return RpcRefusal(REVERTED, message, data(outcome.output))


def reason(output: bytes) -> str | None:
    """The text of a revert; None if it has none that can be read."""
    try:
        if output[:4] == ERROR:
            text: str = decode(["string"], output[4:])[0]
            return text
        if output[:4] == PANIC:
            number: int = decode(["uint256"], output[4:])[0]
            return PANICS.get(number, f"unknown panic code: {number:#x}")
    except (DecodingError, UnicodeDecodeError):
        return None
    return None
