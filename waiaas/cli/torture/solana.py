"""What the torture knows of Solana by itself: what a call sends or asks for, and what landed, read off a node."""

from base64 import b64decode, b64encode
from typing import Any

from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from waiaas.cli.torture import spl
from waiaas.cli.torture.exchange import Node, ask
from waiaas.cli.torture.facts import Effect, Landed, Truth, allowance_of

NATIVE = "native:solana"
SYSTEM_PROGRAM = Pubkey.default()
TRANSFER = (2).to_bytes(4, "little")
PAGE = 1000
#: where a token account has its amount
AMOUNT = slice(64, 72)
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


def asset_of(token: str) -> str:
    """The name of a token among assets."""
    return f"solana:{token}"


def called(item: dict[str, Any]) -> tuple[str, str, int] | None:
    """(asset, recipient, amount) of a call that the torture asks for: a transfer by the System program."""
    data = b64decode(item["instructionData"])
    if item["programId"] != str(SYSTEM_PROGRAM) or data[:4] != TRANSFER:
        return None
    return NATIVE, item["accounts"][1]["pubkey"], int.from_bytes(data[4:12], "little")


async def truth(node: Node, network: str, addresses: list[str], token: str) -> Truth:
    """All that landed for these addresses, and what they hold."""
    holders = {address: str(spl.holder_of(address, token)) for address in addresses}
    known = [*addresses, *holders.values()]
    signatures = {signature for address in known for signature in await _history(node, address)}
    found = [item for chunk in _chunks(sorted(signatures)) for item in await _transactions(node, chunk)]
    holds: dict[tuple[str, str, str], int] = {}
    for address, holder in holders.items():
        balance, account = await ask(
            node, ("getBalance", [address]), ("getAccountInfo", [holder, {"encoding": "base64"}])
        )
        held = b64decode(account["value"]["data"][0])[AMOUNT] if account["value"] else b""
        holds[(network, address, NATIVE)] = balance["value"]
        holds[(network, address, asset_of(token))] = int.from_bytes(held, "little")
    landed = (_landed(network, item, token) for item in found)
    return Truth({one.hash: one for one in landed}, holds, {network: NATIVE}, {network: asset_of(token)})


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


def _landed(network: str, item: dict[str, Any], token: str) -> Landed:
    transaction = VersionedTransaction.from_bytes(b64decode(item["transaction"][0]))
    meta, keys = item["meta"], [str(key) for key in transaction.message.account_keys]
    ok, owners = meta["err"] is None, _owners(meta, keys, token)
    return Landed(
        network=network,
        hash=str(transaction.signatures[0]),
        signer=keys[0],
        ok=ok,
        fee=meta["fee"],
        paid=meta["preBalances"][0] - meta["postBalances"][0],
        effects=tuple(_effects(network, transaction, keys, owners, asset_of(token))) if ok else (),
    )


def _owners(meta: dict[str, Any], keys: list[str], token: str) -> dict[str, str]:
    """Account → owner of every account of the token in a transaction."""
    told = [*(meta.get("preTokenBalances") or ()), *(meta.get("postTokenBalances") or ())]
    return {keys[each["accountIndex"]]: each["owner"] for each in told if each["mint"] == token}


def _effects(
    network: str, transaction: VersionedTransaction, keys: list[str], owners: dict[str, str], asset: str
) -> list[Effect]:
    """Every transfer and approval that the message itself carries."""
    found = []
    for instruction in transaction.message.instructions:
        program, data = keys[instruction.program_id_index], bytes(instruction.data)
        accounts = [keys[place] for place in instruction.accounts]
        amount = int.from_bytes(data[1:9], "little")
        if program == str(SYSTEM_PROGRAM) and data[:4] == TRANSFER:
            found.append(Effect(network, accounts[0], NATIVE, accounts[1], int.from_bytes(data[4:12], "little")))
        elif program == str(spl.PROGRAM) and accounts[0] in owners:
            owner = owners[accounts[0]]
            match data[0]:
                case spl.TRANSFER_CHECKED:
                    found.append(Effect(network, owner, asset, owners.get(accounts[2], ""), amount))
                case spl.APPROVE_CHECKED:
                    found.append(Effect(network, owner, allowance_of(asset), accounts[2], amount))
                case spl.REVOKE:
                    # the program asks for no spender: whoever there was
                    found.append(Effect(network, owner, allowance_of(asset), "", 0))
    return found


def callee(token: str) -> str:
    """What is called: the System program."""
    return str(SYSTEM_PROGRAM)


def call_of(sender: str, token: str, to: str, amount: int) -> dict[str, Any]:
    """The fields of a call that moves native money."""
    data = TRANSFER + amount.to_bytes(8, "little")
    accounts = [{"pubkey": sender, "isSigner": True, "isWritable": True}]
    accounts.append({"pubkey": to, "isSigner": False, "isWritable": True})
    return {"programId": str(SYSTEM_PROGRAM), "instructionData": b64encode(data).decode(), "accounts": accounts}


def recipients(entropy: list[bytes]) -> list[str]:
    """Addresses that nobody has the key of, one for each 32 bytes."""
    return [str(Pubkey(each)) for each in entropy]
