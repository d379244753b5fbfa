"""Landed transactions as RPC nodes show them."""

from base64 import b64encode
from typing import Any

import msgspec
from solders.message import Message, MessageV0
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from waiaas.localnet.solana import base58
from waiaas.localnet.solana.keys import AnyMessage, Keys, message_of, with_loaded
from waiaas.localnet.solana.machine import compiled
from waiaas.localnet.solana.params import TransactionEncoding
from waiaas.localnet.solana.store import Landed

MEMO_PROGRAMS = {
    Pubkey.from_string("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr"),
    Pubkey.from_string("Memo1UhkJRfHyvLMcVucJwxXeuD728EqVDDwQDxFMNo"),
}


def as_transaction(landed: Landed, encoding: TransactionEncoding) -> tuple[Any, dict[str, Any]]:
    """`transaction` and `meta` of getTransaction."""
    transaction = VersionedTransaction.from_bytes(landed.raw)
    message = message_of(transaction)
    meta = msgspec.json.decode(landed.meta)
    if encoding == "base64":
        return [b64encode(landed.raw).decode(), "base64"], meta
    if encoding == "base58":
        return [base58.encode(landed.raw), "base58"], meta
    signatures = [str(signature) for signature in transaction.signatures]
    if encoding == "json":
        return {"signatures": signatures, "message": as_message(message)}, meta
    loaded = meta.pop("loadedAddresses")
    writable, readonly = ([Pubkey.from_string(key) for key in loaded[kind]] for kind in ("writable", "readonly"))
    keys = with_loaded(message, writable, readonly)
    for inner in meta["innerInstructions"]:
        inner["instructions"] = [named(each, keys) for each in inner["instructions"]]
    return {"signatures": signatures, "message": as_parsed_message(message, keys)}, meta


def as_message(message: AnyMessage) -> dict[str, Any]:
    """A message in encoding json: instructions name keys by index."""
    header = message.header
    shown: dict[str, Any] = {
        "accountKeys": [str(key) for key in message.account_keys],
        "header": {
            "numRequiredSignatures": header.num_required_signatures,
            "numReadonlySignedAccounts": header.num_readonly_signed_accounts,
            "numReadonlyUnsignedAccounts": header.num_readonly_unsigned_accounts,
        },
        "recentBlockhash": str(message.recent_blockhash),
        "instructions": [compiled(each, None) for each in message.instructions],
    }
    return shown if isinstance(message, Message) else {**shown, "addressTableLookups": lookups(message)}


def as_parsed_message(message: AnyMessage, keys: Keys) -> dict[str, Any]:
    """A message in encoding jsonParsed; instructions are shown partially decoded, whatever their program."""
    signers = message.header.num_required_signatures
    shown: dict[str, Any] = {
        "accountKeys": [
            {
                "pubkey": str(key),
                "signer": index < signers,
                "writable": keys.is_writable(index),
                "source": "transaction" if index < len(keys.static) else "lookupTable",
            }
            for index, key in enumerate(keys.all)
        ],
        "recentBlockhash": str(message.recent_blockhash),
        "instructions": [named(compiled(each, None), keys) for each in message.instructions],
    }
    return shown if isinstance(message, Message) else {**shown, "addressTableLookups": lookups(message)}


def named(instruction: dict[str, Any], keys: Keys) -> dict[str, Any]:
    """A compiled instruction with addresses in place of indexes."""
    return {
        "programId": str(keys.all[instruction["programIdIndex"]]),
        "accounts": [str(keys.all[index]) for index in instruction["accounts"]],
        "data": instruction["data"],
        "stackHeight": instruction["stackHeight"],
    }


def lookups(message: MessageV0) -> list[dict[str, Any]]:
    return [
        {
            "accountKey": str(lookup.account_key),
            "writableIndexes": list(lookup.writable_indexes),
            "readonlyIndexes": list(lookup.readonly_indexes),
        }
        for lookup in message.address_table_lookups
    ]


def memo(landed: Landed) -> str | None:
    """The memos of a transaction as getSignaturesForAddress tells them: `[length] text`, joined by "; "."""
    message = VersionedTransaction.from_bytes(landed.raw).message
    keys = message.account_keys
    memos = [bytes(each.data) for each in message.instructions if keys[each.program_id_index] in MEMO_PROGRAMS]
    return "; ".join(f"[{len(data)}] {data.decode(errors='replace')}" for data in memos) or None
