"""Owners with wallets of their own, signing with libraries that the daemon does not use for it."""

import base64
from typing import Any, Protocol

import httpx
from eth_account import Account
from eth_account.messages import encode_defunct
from solders.keypair import Keypair

from tests.api.client import RECIPIENT, Caller
from waiaas.app import Daemon
from waiaas.db import Statement

OWN = "UPDATE agents SET owner_address = :owner, owner_verified = :verified WHERE id = :id"


class Wallet(Protocol):
    """A person's wallet."""

    address: str

    def sign(self, text: str) -> str:
        """The signature as the header carries it."""
        ...


class SolanaWallet:
    """Ed25519 over the text."""

    def __init__(self, number: int = 1) -> None:
        self.key = Keypair.from_seed(bytes([number]) * 32)
        self.address = str(self.key.pubkey())

    def sign(self, text: str) -> str:
        return str(self.key.sign_message(text.encode()))


class EvmWallet:
    """personal_sign over the text."""

    def __init__(self, number: int = 1) -> None:
        self.key = Account.from_key(bytes([number]) * 32)
        self.address = self.key.address

    def sign(self, text: str) -> str:
        return "0x" + bytes(self.key.sign_message(encode_defunct(text=text)).signature).hex()


def shown(wallet: Wallet, message: str, signature: str | None = None) -> dict[str, str]:
    """The owner headers for a text."""
    return {
        "X-Owner-Address": wallet.address,
        "X-Owner-Message": base64.b64encode(message.encode()).decode(),
        "X-Owner-Signature": wallet.sign(message) if signature is None else signature,
    }


class Owned:
    """An agent with an owner; amounts above `free` wait for the owner."""

    def __init__(self, caller: Caller, wallet: Wallet) -> None:
        self.caller, self.wallet = caller, wallet
        self.agent_id: str = caller.agent["id"]
        self.client = caller.api.client

    async def own(self, address: str | None = None, **headers: str) -> httpx.Response:
        """Register an owner, as the operator."""
        body = {"owner_address": address or self.wallet.address}
        return await self.caller.api.operator("PUT", f"/v1/agents/{self.agent_id}/owner", json=body, headers=headers)

    async def limit(self, free: int = 0, **rules: Any) -> None:
        """From now on more than `free` needs the owner."""
        bounds = {"instant_max": str(free), "notify_max": str(free), "delay_max": str(free), **rules}
        body = {"type": "SPENDING_LIMIT", "agentId": self.agent_id, "rules": bounds}
        answer = await self.caller.api.operator("POST", "/v1/policies", json=body)
        assert answer.status_code == 201, answer.text

    async def send(self, amount: int = 1_000_000, **fields: Any) -> dict[str, Any]:
        """An accepted send."""
        answer = await self.caller.send(str(amount), distinct=True, **fields)
        assert answer.status_code == 201, answer.text
        sent: dict[str, Any] = answer.json()
        return sent

    async def message(self, tx_id: str, action: str = "approve") -> httpx.Response:
        return await self.client.get(f"/v1/transactions/{tx_id}/approval-message", params={"action": action})

    async def text(self, tx_id: str, action: str = "approve") -> str:
        """The text to sign."""
        answer = await self.message(tx_id, action)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["message"])

    async def signed(self, tx_id: str, action: str = "approve") -> dict[str, str]:
        """Headers that decide it."""
        return shown(self.wallet, await self.text(tx_id, action))

    async def decide(self, tx_id: str, headers: dict[str, str], action: str = "approve") -> httpx.Response:
        return await self.client.post(f"/v1/transactions/{tx_id}/{action}", headers=headers)

    async def approve(self, tx_id: str) -> httpx.Response:
        return await self.decide(tx_id, await self.signed(tx_id))

    async def reject(self, tx_id: str) -> httpx.Response:
        return await self.decide(tx_id, await self.signed(tx_id, "reject"), "reject")

    async def show(self, tx_id: str) -> dict[str, Any]:
        found: dict[str, Any] = (await self.caller.api.operator("GET", f"/v1/transactions/{tx_id}")).json()
        return found

    async def state(self) -> str:
        answer = await self.caller.api.operator("GET", f"/v1/agents/{self.agent_id}")
        return str(answer.json()["ownerState"])

    async def lock(self) -> None:
        """GRACE → LOCKED, by rejecting something."""
        rejected = await self.reject((await self.send())["id"])
        assert rejected.status_code == 200, rejected.text


async def make_owned(caller: Caller, wallet: Wallet | None = None, *, locked: bool = True, **rules: Any) -> Owned:
    """The caller's agent with an owner that has proved the key, and limits that ask the owner for everything."""
    owned = Owned(caller, wallet or SolanaWallet())
    assert (await owned.own()).status_code == 200
    await owned.limit(**rules)
    if locked:
        await owned.lock()
    return owned


async def own(daemon: Daemon, agent_id: str, *, owner: str | None = RECIPIENT, verified: bool = True) -> None:
    """The agent has this owner, as if it had signed."""
    params = {"id": agent_id, "owner": owner, "verified": int(verified)}
    await daemon.core.db.commit(Statement(OWN, params, touches=f"agent:{agent_id}"))
