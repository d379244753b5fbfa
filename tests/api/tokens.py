"""Tokens and contracts on the embedded chains of a running daemon, made past the daemon."""

from typing import Any

import msgspec
from eth_abi import encode

from tests.api.client import Api, Caller, MovedClock
from tests.chains.conftest import KeySigner
from tests.chains.tokens import Bank
from tests.localnet.evm.conftest import CONTRACTS, calldata, person, sign
from waiaas.app import Daemon
from waiaas.chains.evm.build import address as checksummed
from waiaas.domain.chain import Network

ETHER = 10**18
GWEI = 10**9


class SlotClock(MovedClock):
    """Real time that a bank moves ahead by slots."""

    def pass_slots(self, slots: int) -> None:
        self.move(slots * 0.4)


async def open_bank(daemon: Daemon) -> Bank:
    """Somebody with 10 SOL on the embedded Solana chain who makes tokens; the daemon runs on a SlotClock."""
    chain: Any = daemon.core.chains.chain(Network.LOCALNET)
    signer = KeySigner()
    await chain.faucet(signer.address, 10 * 10**9)
    return Bank(chain, daemon.core.clock, signer)


class Ethereum:
    """The embedded EVM chain behind a daemon, asked past the adapter; `maker` holds what it deploys."""

    def __init__(self, daemon: Daemon) -> None:
        self.chain: Any = daemon.core.chains.chain(Network.ETHEREUM_LOCALNET)
        self.maker = person(77)
        self._nonce = 0

    async def call(self, method: str, *params: Any) -> Any:
        """One JSON-RPC call."""
        return await self.chain.rpc.call(method, list(params), msgspec.json.decode)

    async def hold(self) -> None:
        """No block is made until `mine`."""
        await self.call("evm_setAutomine", False)

    async def go_on(self) -> None:
        """A block for every transaction again."""
        await self.call("evm_setAutomine", True)

    async def mine(self) -> None:
        """One block."""
        await self.call("evm_mine")

    async def land(self, **fields: Any) -> dict[str, Any]:
        """A transaction of the maker's; its receipt."""
        if self._nonce == 0:
            await self.chain.faucet(self.maker.address, 10 * ETHER)
        raw = sign(self.maker, self._nonce, gas=2_000_000, **fields)
        self._nonce += 1
        receipt: dict[str, Any] = await self.call(
            "eth_getTransactionReceipt", await self.call("eth_sendRawTransaction", raw)
        )
        assert receipt["status"] == "0x1", receipt
        return receipt

    async def deploy(self, name: str, *arguments: Any) -> str:
        """A contract of the fixtures; its address."""
        types = next((each["inputs"] for each in CONTRACTS[name]["abi"] if each["type"] == "constructor"), [])
        data = CONTRACTS[name]["bytecode"] + encode([each["type"] for each in types], arguments).hex()
        return checksummed((await self.land(to=None, data=data))["contractAddress"])

    async def token(self, owner: str, amount: int) -> dict[str, Any]:
        """A token with 6 decimals, of which the owner holds so much, as requests name it."""
        address = await self.deploy("Token", "Test", "TKN", 6, 10**12)
        await self.land(to=address, data=calldata("transfer(address,uint256)", owner, amount))
        return {"address": address, "decimals": 6, "symbol": "TKN"}


async def allow(caller: Caller, kind: str, rules: dict[str, Any]) -> dict[str, Any]:
    """One more policy of the caller's agent."""
    body = {"type": kind, "rules": rules, "agentId": caller.agent["id"]}
    answer = await caller.api.operator("POST", "/v1/policies", json=body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def ask(caller: Caller, **body: Any) -> dict[str, Any]:
    """An accepted send."""
    answer = await caller.request("POST", "/v1/transactions/send", json=body)
    assert answer.status_code == 201, answer.text
    sent: dict[str, Any] = answer.json()
    return sent


async def finished(caller: Caller, tx_id: str) -> dict[str, Any]:
    """The transaction once it is final."""
    answer = await caller.request("GET", f"/v1/transactions/{tx_id}", params={"wait": 20})
    found: dict[str, Any] = answer.json()
    return found


async def made(caller: Caller, **body: Any) -> dict[str, Any]:
    """A send, followed to its end."""
    return await finished(caller, (await ask(caller, **body))["id"])


async def make_evm_caller(api: Api) -> Caller:
    """An agent on the embedded EVM chain with a session."""
    agent = await api.make_agent(chain="ethereum", network="ethereum-localnet")
    return Caller(api, agent, await api.make_session(agent["id"]))
