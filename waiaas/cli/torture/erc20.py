"""A token on an EVM chain: whoever made it hands it out, and may be allowed to take it back.

`erc20.hex` is the creation code of the contract Token of tests/fixtures/evm/contracts.sol.
"""

import asyncio
from pathlib import Path
from typing import Any

from eth_account import Account
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from waiaas.cli.torture.exchange import Node, NodeRefused, ask

DECIMALS, SYMBOL = 6, "TKN"
#: base units: more than all agents are ever given
SUPPLY = 10**18
FUNDS = 10**21
GAS, TIP, PRICE = 2_000_000, 10**9, 100 * 10**9
TRANSFER, TRANSFER_FROM, BALANCE = (
    keccak(text=text)[:4]
    for text in ("transfer(address,uint256)", "transferFrom(address,address,uint256)", "balanceOf(address)")
)
TRANSFERRED, APPROVED = (
    "0x" + keccak(text=f"{name}(address,address,uint256)").hex() for name in ("Transfer", "Approval")
)
LANDED_LOOKS, LOOK_SECONDS = 400, 0.05


class Bank:
    """One contract, and the key that made it; the same key is the spender."""

    def __init__(self, node: Node, entropy: bytes) -> None:
        self._node, self._key, self._turn = node, Account.from_key(entropy), asyncio.Lock()
        self.spender = str(self._key.address)
        self.token = ""

    async def open(self) -> None:
        """Make the token."""
        await ask(self._node, ("anvil_setBalance", [self.spender, hex(FUNDS)]))
        code = bytes.fromhex(Path(__file__).with_name("erc20.hex").read_text().replace("\n", ""))
        texts = (len(SYMBOL).to_bytes(32, "big") + SYMBOL.encode().ljust(32, b"\0")) * 2
        head = b"".join(number.to_bytes(32, "big") for number in (128, 192, DECIMALS, SUPPLY))
        receipt = await self._land(None, code + head + texts)
        self.token = to_checksum_address(receipt["contractAddress"])

    async def give(self, owner: str, amount: int) -> None:
        """Base units for an address; it has them when this returns."""
        await self._land(self.token, calldata(TRANSFER, owner, amount))

    async def take(self, owner: str, to: str, amount: int) -> bool:
        """Ask for what an owner may have allowed: whether the node took it; whether it moved shows in the chain."""
        try:
            await self._send(self.token, calldata(TRANSFER_FROM, owner, to, amount))
        except NodeRefused:
            return False
        return True

    async def _land(self, to: str | None, data: bytes) -> dict[str, Any]:
        sent = await self._send(to, data)
        for _ in range(LANDED_LOOKS):
            (receipt,) = await ask(self._node, ("eth_getTransactionReceipt", [sent]))
            if receipt:
                return dict(receipt)
            await asyncio.sleep(LOOK_SECONDS)
        raise RuntimeError(f"{sent} does not land")

    async def _send(self, to: str | None, data: bytes) -> str:
        async with self._turn:
            # what it has sent may be gone again, with the block that it was in
            counted = ("eth_getTransactionCount", [self.spender, "pending"])
            chain_id, nonce = await ask(self._node, ("eth_chainId", []), counted)
            fields = {"maxPriorityFeePerGas": TIP, "maxFeePerGas": PRICE, "gas": GAS, "value": 0, "data": data}
            whose = {"chainId": int(chain_id, 16), "nonce": int(nonce, 16)} | ({} if to is None else {"to": to})
            signed = self._key.sign_transaction({**fields, **whose})
            (sent,) = await ask(self._node, ("eth_sendRawTransaction", ["0x" + signed.raw_transaction.hex()]))
            return str(sent)


def calldata(selector: bytes, *arguments: str | int) -> bytes:
    """A call with addresses and numbers, as contracts read it."""
    numbers = (int(each, 16) if isinstance(each, str) else each for each in arguments)
    return selector + b"".join(number.to_bytes(32, "big") for number in numbers)
