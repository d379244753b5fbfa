"""EVM chains: over nodes that misbehave on request, and over two real machines, the embedded one and anvil."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import rlp
from coincurve import PrivateKey
from eth_hash.auto import keccak

from tests.anvil import Anvil, anvil  # noqa: F401  (a fixture)
from tests.chains.conftest import AGENT, HandClock, Node
from waiaas.chains.base import Attempt, Nonce, Signed
from waiaas.chains.endpoint import Endpoint, Limits
from waiaas.chains.evm import abi, build
from waiaas.chains.evm.adapter import EvmChain
from waiaas.chains.evm.networks import DIALECT, PROFILES
from waiaas.chains.rpc import Rpc
from waiaas.domain.chain import Network
from waiaas.domain.request import Approve, ContractCall, Token, TokenTransfer, Transfer
from waiaas.keystore.curves import SECP256K1
from waiaas.localnet import open_evm

ETHER = 10**18
GWEI = 10**9
TO = "0x00000000000000000000000000000000DeaDBeef"
SPENDER = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
CONTRACTS = json.loads((Path(__file__).parents[2] / "fixtures" / "evm" / "contracts.json").read_text())


class KeySigner:
    """A keystore with one key."""

    def __init__(self) -> None:
        self.key = PrivateKey()
        self.address = SECP256K1.public_key(bytearray(self.key.secret))

    def sign(self, agent_id: str, payload: bytes) -> bytes:
        assert agent_id == AGENT
        return self.key.sign_recoverable(payload, hasher=None)


def pay(amount: int = ETHER, to: str = TO, memo: str | None = None) -> Transfer:
    return Transfer(to, str(amount), memo)


def pay_token(token: str, amount: int = 5, decimals: int = 6, to: str = TO) -> TokenTransfer:
    return TokenTransfer(to, str(amount), Token(token, decimals, "TKN"))


def approve(token: str, amount: int = 5, decimals: int = 6) -> Approve:
    return Approve(SPENDER, Token(token, decimals, "TKN"), str(amount))


def call(to: str, signature: str, *arguments: int | str, value: int = 0) -> ContractCall:
    """A call of a function such as `store(uint256)`."""
    data = abi.call(keccak(signature.encode())[:4], *arguments)
    return ContractCall(to=to, calldata="0x" + data.hex(), value=str(value))


def tx_hash(number: int) -> str:
    """A well-formed hash of a transaction nobody sent."""
    return f"0x{number:064x}"


def attempt(signer: KeySigner, signed: Signed) -> Attempt:
    return Attempt(signed.hash, signer.address, signed.slot)


async def make(chain: EvmChain, signer: KeySigner, request: Any, nonce: int | None = None) -> Signed:
    """Signed bytes for a request, with the next nonce unless told otherwise."""
    prepared = await chain.prepare(request, signer.address)
    slot = await chain.slot(signer.address) if nonce is None else Nonce(nonce)
    return chain.sign(prepared, slot, signer, AGENT)


# --- nodes that misbehave ----------------------------------------------------------------------


def block(number: int, hash: int | None = None) -> dict[str, Any]:
    """A block as a node shows it; its hash is its number unless told otherwise."""
    return {"number": hex(number), "hash": tx_hash(number if hash is None else hash), "baseFeePerGas": hex(10 * GWEI)}


def stub(head: int = 100, finalized: int = 36, **answers: Any) -> Node:
    """A node of sepolia that answers as it should, unless told otherwise."""
    tags = {"latest": head, "finalized": finalized}
    healthy = {
        "eth_chainId": PROFILES[Network.ETHEREUM_SEPOLIA].identity,
        "eth_blockNumber": hex(head),
        "eth_getBlockByNumber": lambda tag, full: block(tags.get(tag) or int(tag, 16)),
        "eth_getBalance": hex(10 * ETHER),
        "eth_getTransactionCount": "0x5",
        "eth_getCode": "0x",
        "eth_estimateGas": hex(21_000),
        "eth_call": "0x",
        "eth_feeHistory": history([GWEI] * 5, 10 * GWEI),
        "eth_getTransactionReceipt": None,
        "eth_getTransactionByHash": None,
    }
    return Node(**healthy | answers)


def history(tips: list[int], base: int) -> dict[str, Any]:
    """eth_feeHistory with these tips, and this base fee for the next block."""
    return {"baseFeePerGas": [hex(1)] * len(tips) + [hex(base)], "reward": [[hex(tip)] for tip in tips]}


def receipt(hash: str, number: int = 95, **fields: Any) -> dict[str, Any]:
    """The receipt of a transfer."""
    return {
        "transactionHash": hash,
        "blockNumber": hex(number),
        "blockHash": tx_hash(number),
        "status": "0x1",
        "gasUsed": hex(21_000),
        "effectiveGasPrice": hex(11 * GWEI),
    } | fields


@pytest.fixture
async def make_evm(clock) -> AsyncIterator[Callable[..., EvmChain]]:
    """`make_evm(node, node, …)`: a sepolia whose endpoints a, b, c, … are these nodes."""
    async with AsyncExitStack() as stack:

        def make(*nodes: Node, network: Network = Network.ETHEREUM_SEPOLIA, cap: int = 1000) -> EvmChain:
            endpoints = []
            for name, node in zip("abcdefgh", nodes, strict=False):
                node.answers["eth_chainId"] = node.answers.get("chain id") or PROFILES[network].identity
                client = httpx.AsyncClient(transport=httpx.MockTransport(node))
                endpoints.append(Endpoint(name, f"https://{name}.example/", client, Limits(), clock))
            rpc = Rpc(network, endpoints, DIALECT, clock, PROFILES[network].identity)
            stack.push_async_callback(rpc.close)
            return EvmChain(network, rpc, clock, cap)

        yield make


# --- real machines -----------------------------------------------------------------------------


class Machine:
    """A real chain: the adapter over it, and its JSON-RPC past the adapter."""

    def __init__(self, chain: EvmChain, clock: HandClock, http: httpx.AsyncClient) -> None:
        self.chain = chain
        self.clock = clock
        self._http = http

    async def call(self, method: str, *params: Any) -> Any:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        reply = (await self._http.post("/", json=body)).json()
        assert "error" not in reply, reply["error"]
        return reply["result"]

    async def mine(self, blocks: int = 1) -> None:
        """Blocks, and the time after which nothing that was kept is fresh."""
        for _ in range(blocks):
            await self.call("evm_mine")
        self.clock.seconds += 5

    async def land(self, signed: Signed) -> None:
        """Send it and see it in a block; anvil makes its block beside the answer."""
        await self.chain.broadcast(signed.raw, signed.hash)
        await self.mine()

    async def deploy(self, signer: KeySigner, name: str, arguments: bytes = b"") -> str:
        """Make a contract of the fixtures; its address."""
        nonce = int(await self.call("eth_getTransactionCount", signer.address, "latest"), 16)
        code = bytes.fromhex(CONTRACTS[name]["bytecode"][2:]) + arguments
        fields = [31_337, nonce, GWEI, 20 * GWEI, 2_000_000, b"", 0, code, []]
        signature = signer.sign(AGENT, keccak(build.TYPE + rlp.encode(fields)))
        r, s = (int.from_bytes(part, "big") for part in (signature[:32], signature[32:64]))
        raw = build.TYPE + rlp.encode([*fields, signature[64], r, s])
        await self.call("eth_sendRawTransaction", "0x" + raw.hex())
        await self.mine()
        made = await self.call("eth_getTransactionReceipt", build.hash_of(raw))
        assert made["status"] == "0x1"
        return build.address(made["contractAddress"])

    async def deploy_token(self, signer: KeySigner, supply: int = 1000, decimals: int = 6, name: str = "Test") -> str:
        """An ERC-20 whose whole supply is the signer's, with the symbol TKN."""
        texts = [len(text).to_bytes(32, "big") + text.encode().ljust(32, b"\0") for text in (name, "TKN")]
        head = [128, 192, decimals, supply]
        return await self.deploy(signer, "Token", b"".join(one.to_bytes(32, "big") for one in head) + b"".join(texts))


@pytest.fixture
async def open_machine(tmp_path, clock, request) -> AsyncIterator[Callable[..., Any]]:
    """`await open_machine("embedded")` or `("anvil")`."""
    async with AsyncExitStack() as stack:

        async def opened(kind: str) -> Machine:
            network = Network.ETHEREUM_LOCALNET
            if kind == "anvil":
                node: Anvil = request.getfixturevalue("anvil")
                snapshot = node.call("evm_snapshot")
                stack.callback(node.call, "evm_revert", snapshot)
                url, transport = node.url, httpx.AsyncHTTPTransport()
            else:
                app = await stack.enter_async_context(open_evm(tmp_path / "localnet", clock))
                url, transport = "http://embedded", httpx.ASGITransport(app)
            http = httpx.AsyncClient(transport=transport, base_url=url, trust_env=False)
            endpoint = Endpoint(kind, url + "/", http, Limits(), clock)
            rpc = Rpc(network, [endpoint], DIALECT, clock, PROFILES[network].identity)
            stack.push_async_callback(rpc.close)
            return Machine(EvmChain(network, rpc, clock, 1000), clock, http)

        yield opened


@pytest.fixture(params=["embedded", "anvil"])
async def machine(open_machine, request) -> Machine:
    """Each of the two machines in turn."""
    return await open_machine(request.param)


@pytest.fixture
def signer() -> KeySigner:
    return KeySigner()


@pytest.fixture
async def funded(machine, signer) -> KeySigner:
    """A key with 10 ETH on the machine."""
    await machine.chain.faucet(signer.address, 10 * ETHER)
    return signer
