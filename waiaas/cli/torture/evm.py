"""What the torture knows of EVM chains by itself: what a call sends or asks for, and what landed, read off a node."""

from typing import Any

from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from waiaas.cli.torture import erc20
from waiaas.cli.torture.exchange import Node, ask
from waiaas.cli.torture.facts import Effect, Landed, Truth, allowance_of

NATIVE = "native:ethereum"
#: blocks asked for in one JSON-RPC batch
BATCH = 50
#: the only chain ids that a test node on this machine has: everything else may be a fork of real money
LOCAL = {1337, 31337}
LOOKUPS = {"eth_getTransactionReceipt", "eth_getTransactionByHash"}


def sent(call: dict[str, Any]) -> str | None:
    """The hash of the bytes that a call sends."""
    if call.get("method") != "eth_sendRawTransaction":
        return None
    return hash_of(bytes.fromhex(call["params"][0].removeprefix("0x")))


def asked(call: dict[str, Any]) -> list[str]:
    """The hash that a call asks about."""
    return [call["params"][0]] if call.get("method") in LOOKUPS else []


def hash_of(raw: bytes) -> str:
    """The hash that signed bytes are known by."""
    return "0x" + keccak(raw).hex()


async def refuse_real_money(node: Node) -> str | None:
    """Why this node must not be tortured."""
    (chain_id,) = await ask(node, ("eth_chainId", []))
    return None if int(chain_id, 16) in LOCAL else f"its chain id is {int(chain_id, 16)}"


async def hold(node: Node, held: bool) -> None:
    """While it is held no block is made, and everything waits in the pool (anvil's methods)."""
    await ask(node, ("evm_setAutomine", [not held]))
    if not held:
        await ask(node, ("evm_mine", []))


async def evict(node: Node, hash: str) -> None:
    """Throw it out of the pool."""
    await ask(node, ("anvil_dropTransaction", [hash]))


async def landed(node: Node, hashes: list[str]) -> set[str]:
    """Which of these hashes are in a block."""
    receipts = await ask(node, *(("eth_getTransactionReceipt", [key]) for key in hashes))
    return {key for key, receipt in zip(hashes, receipts, strict=True) if receipt}


def asset_of(token: str) -> str:
    """The name of a token among assets."""
    return f"ethereum:{token}"


def called(item: dict[str, Any]) -> tuple[str, str, int] | None:
    """(asset, recipient, amount) of a call that the torture asks for: a transfer of tokens."""
    data = bytes.fromhex(item["calldata"].removeprefix("0x"))
    if data[:4] != erc20.TRANSFER:
        return None
    return asset_of(item["to"]), to_checksum_address(data[16:36]), int.from_bytes(data[36:68], "big")


async def truth(node: Node, network: str, addresses: list[str], token: str) -> Truth:
    """All that landed from or for these addresses, and what they hold."""
    ours, asset = set(addresses), asset_of(token)
    found = {one.hash: one for one in await _blocks(node, network, token) if one.signer in ours or _concerns(one, ours)}
    holds: dict[tuple[str, str, str], int] = {}
    for address in addresses:
        call = {"to": token, "data": "0x" + erc20.calldata(erc20.BALANCE, address).hex()}
        wei, units = await ask(node, ("eth_getBalance", [address, "latest"]), ("eth_call", [call, "latest"]))
        holds |= {(network, address, NATIVE): int(wei, 16), (network, address, asset): int(units, 16)}
    return Truth(found, holds, {network: NATIVE}, {network: asset})


def callee(token: str) -> str:
    """What is called: the token's contract."""
    return token


def call_of(sender: str, token: str, to: str, amount: int) -> dict[str, Any]:
    """The fields of a call that moves tokens."""
    return {"to": token, "calldata": "0x" + erc20.calldata(erc20.TRANSFER, to, amount).hex()}


def recipients(entropy: list[bytes]) -> list[str]:
    """Addresses that nobody has the key of, one for each 32 bytes."""
    return [to_checksum_address(each[:20]) for each in entropy]


def _concerns(landed: Landed, addresses: set[str]) -> bool:
    return any(effect.to in addresses or effect.sender in addresses for effect in landed.effects)


async def _blocks(node: Node, network: str, token: str) -> list[Landed]:
    """Every transaction there is."""
    (head,) = await ask(node, ("eth_blockNumber", []))
    found: list[Landed] = []
    for first in range(0, int(head, 16) + 1, BATCH):
        numbers = [hex(number) for number in range(first, min(first + BATCH, int(head, 16) + 1))]
        blocks = await ask(node, *(("eth_getBlockByNumber", [number, True]) for number in numbers))
        receipts = await ask(node, *(("eth_getBlockReceipts", [number]) for number in numbers))
        for block, told in zip(blocks, receipts, strict=True):
            pairs = zip(block["transactions"], told or (), strict=True)
            found += [_landed(network, transaction, receipt, token) for transaction, receipt in pairs]
    return found


def _landed(network: str, transaction: dict[str, Any], receipt: dict[str, Any], token: str) -> Landed:
    signer, ok = to_checksum_address(transaction["from"]), int(receipt["status"], 16) == 1
    fee = int(receipt["gasUsed"], 16) * int(receipt["effectiveGasPrice"], 16)
    value = int(transaction["value"], 16) if ok else 0
    to = to_checksum_address(transaction["to"]) if transaction["to"] else None
    native = (Effect(network, signer, NATIVE, to, value),) if value and to else ()
    return Landed(
        network=network,
        hash=transaction["hash"],
        signer=signer,
        ok=ok,
        fee=fee,
        # what an address sends to itself stays there
        paid=fee + (0 if to == signer else value),
        effects=(*native, *_logged(network, receipt, token)),
    )


def _logged(network: str, receipt: dict[str, Any], token: str) -> list[Effect]:
    """What the token's contract says that happened."""
    found = []
    for log in receipt["logs"]:
        if log["address"].lower() == token.lower() and log["topics"][0] in (erc20.TRANSFERRED, erc20.APPROVED):
            sender, to = (to_checksum_address("0x" + topic[-40:]) for topic in log["topics"][1:3])
            asset = asset_of(token) if log["topics"][0] == erc20.TRANSFERRED else allowance_of(asset_of(token))
            found.append(Effect(network, sender, asset, to, int(log["data"], 16)))
    return found
