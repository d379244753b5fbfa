"""What a stored request asks for and what signed bytes do, both in the same plain words, to be compared."""

import json
from base64 import b64decode
from collections.abc import Iterator
from typing import Any

from tests import signed
from tests.signed import EvmBytes, Instruction, SolanaBytes

Deed = tuple[Any, ...]
NATIVE = {"solana": "native:solana", "ethereum": "native:ethereum"}


def items(request: str) -> list[dict[str, Any]]:
    """The items of a batch; any other request is its own."""
    found = json.loads(request)
    return list(found["instructions"]) if found["type"] == "BATCH" else [found]


def asked(request: str, chain: str, sender: str) -> list[Deed]:
    """Of a request."""
    told = _evm_asked if chain == "ethereum" else _solana_asked
    return [deed for item in items(request) for deed in told(item, sender)]


def swept(request: str, chain: str, sender: str, amount: str) -> list[Deed]:
    """Of a withdrawal's row that has come to `amount`."""
    item = json.loads(request)
    if item["type"] == "SWEEP":
        return asked(json.dumps({**item, "type": "TRANSFER", "amount": amount}), chain, sender)
    if chain == "ethereum":
        return asked(json.dumps({**item, "type": "TOKEN_TRANSFER", "amount": amount}), chain, sender)
    source, mint = item["account"], item["token"]["address"]
    target = signed.associated(item["to"], mint)
    closed = ("run", signed.TOKEN, b"\x09", (source, sender, sender))
    return [("send", source, target, mint, sender, int(amount)), closed]


def done(said: SolanaBytes | EvmBytes) -> list[Deed]:
    """Of signed bytes."""
    if isinstance(said, EvmBytes):
        return [("call", said.to, said.value, said.data)]
    return list(_solana_done(said))


def nothing(sender: str) -> list[Deed]:
    """What cancels on an EVM chain: nothing, to oneself."""
    return [("call", sender.lower(), 0, b"")]


def _evm_asked(item: dict[str, Any], sender: str) -> Iterator[Deed]:
    match item["type"]:
        case "TRANSFER":
            yield "call", item["to"].lower(), int(item["amount"]), (item.get("memo") or "").encode()
        case "TOKEN_TRANSFER":
            data = _calldata(signed.ERC20_TRANSFER, item["to"], item["amount"])
            yield "call", item["token"]["address"].lower(), 0, data
        case "APPROVE":
            data = _calldata(signed.ERC20_APPROVE, item["spender"], item["amount"])
            yield "call", item["token"]["address"].lower(), 0, data
        case "CONTRACT_CALL":
            yield "call", item["to"].lower(), int(item["value"]), bytes.fromhex(item["calldata"][2:])


def _calldata(selector: str, address: str, amount: str) -> bytes:
    return bytes.fromhex(selector + address[2:].lower().rjust(64, "0")) + int(amount).to_bytes(32, "big")


def _solana_asked(item: dict[str, Any], sender: str) -> Iterator[Deed]:
    match item["type"]:
        case "TRANSFER":
            yield "move", sender, item["to"], int(item["amount"])
        case "TOKEN_TRANSFER":
            mint = item["token"]["address"]
            holders = (signed.associated(owner, mint) for owner in (sender, item["to"]))
            yield "send", *holders, mint, sender, int(item["amount"])
        case "APPROVE" if int(item["amount"]):
            mint = item["token"]["address"]
            holder = signed.associated(sender, mint)
            yield "approve", holder, mint, item["spender"], sender, int(item["amount"])
        case "APPROVE":
            yield "revoke", signed.associated(sender, item["token"]["address"]), sender
        case "CONTRACT_CALL":
            named = tuple(one["pubkey"] for one in item["accounts"])
            yield _deed(Instruction(item["programId"], b64decode(item["instructionData"]), named))
    if item.get("memo"):
        yield "run", signed.MEMO, item["memo"].encode(), ()


def _solana_done(said: SolanaBytes) -> Iterator[Deed]:
    for one in said.instructions:
        # what an associated account costs is checked with the balances
        if one.program != signed.COMPUTE_BUDGET and (one.program, one.data[:1]) != (signed.ASSOCIATED_TOKEN, b"\x01"):
            yield _deed(one)


def _deed(one: Instruction) -> Deed:
    number = int.from_bytes(one.data[1:9], "little")
    match one.program, one.data[:1]:
        case (signed.SYSTEM, b"\x02"):
            return "move", *one.accounts[:2], int.from_bytes(one.data[4:12], "little")
        case (signed.TOKEN, b"\x0c"):
            source, mint, target, authority = one.accounts[:4]
            return "send", source, target, mint, authority, number
        case (signed.TOKEN, b"\x0d"):
            return "approve", *one.accounts[:4], number
        case (signed.TOKEN, b"\x05"):
            return "revoke", *one.accounts[:2]
        case _:
            return "run", one.program, one.data, one.accounts
