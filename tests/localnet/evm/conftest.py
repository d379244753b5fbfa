"""The embedded Ethereum chain and anvil, spoken to as any client speaks to them: JSON over HTTP."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx
import pytest
from eth_abi import encode
from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_utils import keccak

from tests.anvil import anvil  # noqa: F401
from tests.localnet.conftest import HandClock, RpcFailed
from waiaas.localnet import open_evm

ETHER = 10**18
GWEI = 10**9
CHAIN_ID = 31337

CONTRACTS = json.loads((Path(__file__).parents[2] / "fixtures" / "evm" / "contracts.json").read_text())


class Node:
    """A client of one node."""

    def __init__(self, http: httpx.AsyncClient, clock: HandClock | None = None) -> None:
        self.http = http
        self.clock = clock

    async def call(self, method: str, *params):
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
        reply = (await self.http.post("/", json=body)).json()
        if "error" in reply:
            raise RpcFailed(reply["error"])
        return reply["result"]

    async def number(self, method: str, *params) -> int:
        return int(await self.call(method, *params), 16)

    async def fund(self, address: str, wei: int = 1000 * ETHER) -> None:
        await self.call("anvil_setBalance", address, hex(wei))

    async def balance(self, address: str, tag: str = "latest") -> int:
        return await self.number("eth_getBalance", address, tag)

    async def nonce(self, address: str, tag: str = "latest") -> int:
        return await self.number("eth_getTransactionCount", address, tag)

    async def send(self, raw: str) -> str:
        return await self.call("eth_sendRawTransaction", raw)

    async def receipt(self, hash: str) -> dict:
        """The receipt, as soon as there is one; anvil makes its block beside the answer."""
        for _ in range(500):
            if receipt := await self.call("eth_getTransactionReceipt", hash):
                return receipt
            await asyncio.sleep(0.01)
        raise AssertionError(f"{hash} is in no block")

    async def land(self, raw: str) -> dict:
        return await self.receipt(await self.send(raw))

    async def deploy(self, sender: LocalAccount, name: str, *arguments, nonce: int = 0) -> str:
        """Make a contract of tests/fixtures/evm/contracts.sol; its address."""
        types = next((each["inputs"] for each in CONTRACTS[name]["abi"] if each["type"] == "constructor"), [])
        data = CONTRACTS[name]["bytecode"] + encode([each["type"] for each in types], arguments).hex()
        receipt = await self.land(sign(sender, nonce, to=None, data=data, gas=2_000_000))
        assert receipt["status"] == "0x1"
        return receipt["contractAddress"]

    async def ask(self, contract: str, signature: str, *arguments, tag: str = "latest", **fields) -> str:
        """What a function of a contract returns, as hexadecimal digits."""
        return await self.call("eth_call", {"to": contract, "data": calldata(signature, *arguments), **fields}, tag)


def sign(sender: LocalAccount, nonce: int = 0, **fields) -> str:
    """A signed transaction, a plain transfer of type 2 unless said otherwise."""
    defaults = {"type": 2, "chainId": CHAIN_ID, "nonce": nonce, "gas": 21_000, "value": 0, "to": "0x" + "aa" * 20}
    transaction = defaults | fields
    if transaction["type"] == 2:
        transaction = {"maxFeePerGas": 10 * GWEI, "maxPriorityFeePerGas": GWEI} | transaction
    else:
        transaction = {"gasPrice": 10 * GWEI} | transaction
    if transaction["type"] == 0:
        del transaction["type"]
    if transaction["to"] is None:
        del transaction["to"]
    elif isinstance(transaction["to"], str):
        transaction["to"] = bytes.fromhex(transaction["to"][2:])
    return sender.sign_transaction(transaction).raw_transaction.to_0x_hex()


def calldata(signature: str, *arguments) -> str:
    """A call of a function such as `transfer(address,uint256)`."""
    types = [each for each in signature.partition("(")[2].rstrip(")").split(",") if each]
    return "0x" + (keccak(text=signature)[:4] + encode(types, arguments)).hex()


def person(number: int) -> LocalAccount:
    """An account that is the same in every run."""
    return Account.from_key(number.to_bytes(32))


@asynccontextmanager
async def open_node(directory: Path, clock: HandClock) -> AsyncIterator[Node]:
    async with AsyncExitStack() as stack:
        app = await stack.enter_async_context(open_evm(directory, clock))
        transport = httpx.ASGITransport(app)
        http = await stack.enter_async_context(httpx.AsyncClient(transport=transport, base_url="http://embedded"))
        yield Node(http, clock)


@pytest.fixture
async def node(directory, clock) -> AsyncIterator[Node]:
    """The embedded chain."""
    async with open_node(directory, clock) as node:
        yield node


@pytest.fixture
async def real(anvil) -> AsyncIterator[Node]:  # noqa: F811
    """anvil, whose chain is afterwards as it was."""
    async with httpx.AsyncClient(base_url=anvil.url, trust_env=False) as http:
        node = Node(http)
        snapshot = await node.call("evm_snapshot")
        yield node
        await node.call("evm_setAutomine", True)
        assert await node.call("evm_revert", snapshot)


@pytest.fixture(params=["embedded", "anvil"])
def ethereum(request) -> Node:
    """The one and then the other."""
    return request.getfixturevalue({"embedded": "node", "anvil": "real"}[request.param])


@pytest.fixture
def alice() -> LocalAccount:
    return person(0xA11CE)


@pytest.fixture
def bob() -> LocalAccount:
    return person(0xB0B)
