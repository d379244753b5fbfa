"""What the torture knows of Solana by itself: what a call sends or asks for, and what landed, read off a node."""

from base64 import b64decode
from typing import Any

from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from waiaas.cli.torture.exchange import Node, ask
from waiaas.cli.torture.facts import Effect, Landed, Truth

NATIVE = "native:solana"
SYSTEM_PROGRAM = Pubkey.default()
TRANSFER = (2).to_bytes(4, "little")
PAGE = 1000
#: transactions asked for in one JSON-RPC batch
BATCH = 100
#: genesis hashes of the networks that hold real money, or look as if they did
NOT_FOR_THIS = {
    "5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d",
    "EtWTRABZaYq6iMfeYKouRu166VU2xqa1wcaWoxPkrZBG",
    "4uhcVJyU9pJkvQyS88uRDiswHXSGkY3zQawwpjk2NsNY",
}


def sent(call: dict[str, Any]) -> str | None:
    """The signature of the bytes that a call sends."""
    if call.get("method") != "sendTransaction":
        return None
    return str(VersionedTransaction.from_bytes(b64decode(call["params"][0])).signatures[0])


def asked(call: dict[str, Any]) -> list[str]:
    """The signatures that a call asks about."""
    match call:
        case {"method": "getSignatureStatuses", "params": [[*signatures], *_]}:
            return signatures
        case {"method": "getTransaction", "params": [str(signature), *_]}:
            return [signature]
    return []


def hash_of(raw: bytes) -> str:
    """The signature that signed bytes are known by."""
    return str(VersionedTransaction.from_bytes(raw).signatures[0])


async def refuse_real_money(node: Node) -> str | None:
    """Why this node must not be tortured."""
    (genesis,) = await ask(node, ("getGenesisHash", []))
    return f"it belongs to the cluster {genesis}" if genesis in NOT_FOR_THIS else None


async def hold(node: Node, held: bool) -> None:
    """A slot is a block whether anybody likes it or not."""


async def evict(node: Node, hash: str) -> None:
    """There is no pool in which bytes wait."""


async def landed(node: Node, hashes: list[str]) -> set[str]:
    """Which of these signatures are in a block."""
    (answer,) = await ask(node, ("getSignatureStatuses", [hashes, {"searchTransactionHistory": True}]))
    return {key for key, status in zip(hashes, answer["value"], strict=True) if status}


async def truth(node: Node, network: str, addresses: list[str]) -> Truth:
    """All that landed for these addresses, and what they hold."""
    signatures = {signature for address in addresses for signature in await _history(node, address)}
    found = [item for chunk in _chunks(sorted(signatures)) for item in await _transactions(node, chunk)]
    balances = await ask(node, *(("getBalance", [address]) for address in addresses)) if addresses else []
    return Truth(
        {one.hash: one for one in (_landed(network, item) for item in found)},
        {(network, address): answer["value"] for address, answer in zip(addresses, balances, strict=True)},
        {network: NATIVE},
    )


async def _history(node: Node, address: str) -> list[str]:
    """Every signature that mentions an address."""
    found: list[str] = []
    while True:
        config = {"limit": PAGE} | ({"before": found[-1]} if found else {})
        (page,) = await ask(node, ("getSignaturesForAddress", [address, config]))
        found += [item["signature"] for item in page]
        if len(page) < PAGE:
            return found


async def _transactions(node: Node, signatures: list[str]) -> list[dict[str, Any]]:
    config = {"encoding": "base64", "maxSupportedTransactionVersion": 0}
    return await ask(node, *(("getTransaction", [signature, config]) for signature in signatures))


def _chunks(things: list[str]) -> list[list[str]]:
    return [things[start : start + BATCH] for start in range(0, len(things), BATCH)]


def _landed(network: str, item: dict[str, Any]) -> Landed:
    transaction = VersionedTransaction.from_bytes(b64decode(item["transaction"][0]))
    meta, keys = item["meta"], [str(key) for key in transaction.message.account_keys]
    ok = meta["err"] is None
    return Landed(
        network=network,
        hash=str(transaction.signatures[0]),
        signer=keys[0],
        ok=ok,
        fee=meta["fee"],
        paid=meta["preBalances"][0] - meta["postBalances"][0],
        effects=tuple(_transfers(network, transaction, keys)) if ok else (),
    )


def _transfers(network: str, transaction: VersionedTransaction, keys: list[str]) -> list[Effect]:
    """Every native transfer that the message itself carries."""
    found = []
    for instruction in transaction.message.instructions:
        program, data = keys[instruction.program_id_index], bytes(instruction.data)
        if program == str(SYSTEM_PROGRAM) and data[:4] == TRANSFER:
            source, target = (keys[place] for place in list(instruction.accounts)[:2])
            found.append(Effect(network, source, NATIVE, target, int.from_bytes(data[4:12], "little")))
    return found


def recipients(entropy: list[bytes]) -> list[str]:
    """Addresses that nobody has the key of, one for each 32 bytes."""
    return [str(Pubkey(each)) for each in entropy]
