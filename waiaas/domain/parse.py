"""A send body as it came, into the canonical request: defaults filled, aliases resolved, addresses canonical."""

import base64
import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from waiaas.domain.chain import Chain
from waiaas.domain.fields import Fields, boolean, digits, integer, text
from waiaas.domain.money import LARGEST
from waiaas.domain.request import (
    AccountMeta,
    Approve,
    Batch,
    ContractCall,
    Item,
    Request,
    Token,
    TokenTransfer,
    Transfer,
)
from waiaas.errors import ValidationFailed

LONGEST_MEMO, LONGEST_MEMO_BYTES = 256, 512
FEWEST_ITEMS, MOST_ITEMS = 2, 20
MOST_ACCOUNTS = 64
LARGEST_DECIMALS = 18
LONGEST_SYMBOL = 10
CALLDATA = re.compile(r"0x(?:[0-9a-fA-F]{2}){4,}", re.ASCII)
UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)

TYPES = ("TRANSFER", "TOKEN_TRANSFER", "CONTRACT_CALL", "APPROVE", "BATCH")
ITEM = ("type", "to", "amount", "memo", "token", "spender", "programId", "calldata", "value", "abi")
ITEM_ON_SOLANA = ("instructionData", "accounts")
ASK = (*ITEM, *ITEM_ON_SOLANA, "instructions", "distinct", "provenance")
LABELS = {"messageId": 200, "runId": 200, "toolCallId": 200, "model": 100, "reason": 1000}


class Provenance(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Where a request came from, as its sender says: stored and shown, never trusted."""

    conversation_id: str | None = None
    message_id: str | None = None
    run_id: str | None = None
    tool_call_id: str | None = None
    model: str | None = None
    reason: str | None = None


class Ask(msgspec.Struct, frozen=True):
    """A send as it was asked for; `distinct`: meant anew, even if an equal one has just been accepted."""

    request: Request
    provenance: Provenance | None
    distinct: bool


class _Reader(msgspec.Struct, frozen=True):
    """What reading needs to know of the agent; `address` gives the canonical spelling or ValueError."""

    chain: Chain
    own_address: str
    address: Callable[[str], str]

    def whose(self, value: Any) -> str:
        if not isinstance(value, str):
            raise ValueError("must be an address")
        return self.address(value)

    def amount(self, value: Any) -> str:
        return str(digits(LARGEST[self.chain])(value))


def parse_request(raw: object, chain: Chain, own_address: str, address: Callable[[str], str]) -> Request:
    """The canonical request of an agent on that chain; ValidationFailed names every issue with its path.

    The shapes and bounds are those of the contract for POST /v1/transactions/send; unknown fields are ignored.
    """
    return parse_ask(raw, chain, own_address, address).request


def parse_ask(raw: object, chain: Chain, own_address: str, address: Callable[[str], str]) -> Ask:
    """As `parse_request`, with what is beside the request: `provenance` (unknown fields are refused) and `distinct`."""
    issues: list[tuple[str, str]] = []
    fields = Fields(raw, "", ASK, issues, ignore_unknown=True)
    request = _request(fields, _Reader(chain, own_address, address)) if isinstance(raw, Mapping) else None
    provenance = _provenance(fields.get("provenance"), issues)
    distinct = fields.read("distinct", boolean)
    if issues or request is None:
        raise ValidationFailed(*issues)
    return Ask(request, provenance, distinct is True)


def _request(fields: Fields, reader: _Reader) -> Request | None:
    kind = fields.read("type", _type) if fields.get("type") is not None else "TRANSFER"
    if kind != "BATCH":
        return _item(fields, kind, reader)
    items = []
    for place, value in enumerate(fields.items("instructions", FEWEST_ITEMS, MOST_ITEMS)):
        inner = fields.inside(f"instructions.{place}", value, (*ITEM, *ITEM_ON_SOLANA))
        if isinstance(value, Mapping):
            items.append(_item(inner, _item_type(inner), reader))
    return Batch(tuple(item for item in items if item is not None))


def _type(value: Any) -> str:
    if value not in TYPES:
        raise ValueError(f"must be one of {', '.join(TYPES)}")
    return str(value)


def _item_type(fields: Fields) -> str | None:
    """As given; else by what it names. None, with the issue noted, for a batch in a batch."""
    if fields.get("type") is None:
        if fields.get("spender") is not None:
            return "APPROVE"
        if fields.get("token") is not None:
            return "TOKEN_TRANSFER"
        called = fields.get("programId") is not None or fields.get("calldata") is not None
        return "CONTRACT_CALL" if called else "TRANSFER"
    kind = fields.read("type", _type)
    if kind == "BATCH":
        fields.refuse("type", "must not be BATCH inside a BATCH")
        return None
    return str(kind) if kind else None


def _item(fields: Fields, kind: str | None, reader: _Reader) -> Item | None:
    match kind:
        case "TRANSFER":
            return Transfer(
                fields.need("to", reader.whose), fields.need("amount", reader.amount), fields.read("memo", _memo)
            )
        case "TOKEN_TRANSFER":
            return TokenTransfer(
                fields.need("to", reader.whose),
                fields.need("amount", reader.amount),
                _token(fields, reader),
                fields.read("memo", _memo),
            )
        case "APPROVE":
            return Approve(
                fields.need("spender", reader.whose), _token(fields, reader), fields.need("amount", reader.amount)
            )
        case "CONTRACT_CALL":
            return _instruction(fields, reader) if reader.chain is Chain.SOLANA else _call(fields, reader)
        case _:
            return None


def _memo(value: Any) -> str | None:
    """An empty memo is none."""
    if not isinstance(value, str) or len(value) > LONGEST_MEMO or len(value.encode()) > LONGEST_MEMO_BYTES:
        raise ValueError(
            f"must be a string of at most {LONGEST_MEMO} characters and {LONGEST_MEMO_BYTES} bytes in UTF-8"
        )
    return value or None


def _token(fields: Fields, reader: _Reader) -> Token:
    if fields.get("token") is None:
        fields.refuse("token", "required")
        return Token("", 0, "")
    inner = fields.inside("token", fields.get("token"), ("address", "decimals", "symbol"))
    if not isinstance(fields.get("token"), Mapping):
        return Token("", 0, "")
    return Token(
        inner.need("address", reader.whose),
        inner.need("decimals", integer(0, LARGEST_DECIMALS)),
        inner.need("symbol", text(LONGEST_SYMBOL)),
    )


def _call(fields: Fields, reader: _Reader) -> ContractCall:
    return ContractCall(
        to=_contract(fields, reader, "to", "programId"),
        calldata=fields.need("calldata", _calldata),
        value=fields.read("value", reader.amount) or "0",
        abi=fields.each("abi", 0, 10_000, _object) if fields.get("abi") is not None else None,
    )


def _calldata(value: Any) -> str:
    if not isinstance(value, str) or not CALLDATA.fullmatch(value):
        raise ValueError("must be 0x and at least 4 bytes in hex: the method and its arguments")
    return value.lower()


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("must be an object")
    return value


def _instruction(fields: Fields, reader: _Reader) -> ContractCall:
    return ContractCall(
        program_id=_contract(fields, reader, "programId", "to"),
        instruction_data=fields.need("instructionData", _base64),
        accounts=tuple(_account(fields, place, value, reader) for place, value in _accounts(fields)),
    )


def _contract(fields: Fields, reader: _Reader, name: str, alias: str) -> str | None:
    """What is called, under either name; two that contradict each other are refused."""
    also = fields.read(alias, reader.whose)
    if fields.get(name) is None and fields.get(alias) is not None:
        return None if also is None else str(also)
    contract = fields.need(name, reader.whose)
    if None not in (also, contract) and also != contract:
        fields.refuse(alias, f"must be the same as {name}")
    return None if contract is None else str(contract)


def _base64(value: Any) -> str:
    try:
        return base64.b64encode(base64.b64decode(text(262144, 0)(value), validate=True)).decode()
    except ValueError:
        raise ValueError("must be base64") from None


def _accounts(fields: Fields) -> list[tuple[int, Any]]:
    return list(enumerate(fields.items("accounts", 1, MOST_ACCOUNTS)))


def _account(fields: Fields, place: int, value: Any, reader: _Reader) -> AccountMeta:
    inner = fields.inside(f"accounts.{place}", value, ("pubkey", "isSigner", "isWritable"))
    if not isinstance(value, Mapping):
        return AccountMeta("", False, False)
    account = AccountMeta(
        inner.need("pubkey", reader.whose), inner.need("isSigner", boolean), inner.need("isWritable", boolean)
    )
    if account.is_signer and account.pubkey not in (None, reader.own_address):
        inner.refuse("isSigner", "must be false: only the agent's own key signs")
    return account


def _provenance(raw: object, issues: list[tuple[str, str]]) -> Provenance | None:
    if raw is None:
        return None
    fields = Fields(raw, "provenance", ("conversationId", *LABELS), issues)
    found = Provenance(
        conversation_id=fields.read("conversationId", _uuid),
        message_id=fields.read("messageId", text(LABELS["messageId"], 0)),
        run_id=fields.read("runId", text(LABELS["runId"], 0)),
        tool_call_id=fields.read("toolCallId", text(LABELS["toolCallId"], 0)),
        model=fields.read("model", text(LABELS["model"], 0)),
        reason=fields.read("reason", text(LABELS["reason"], 0)),
    )
    return None if found == Provenance() else found


def _uuid(value: Any) -> str:
    if not isinstance(value, str) or not UUID.fullmatch(value):
        raise ValueError("must be a UUID")
    return value.lower()
