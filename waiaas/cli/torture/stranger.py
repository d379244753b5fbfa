"""Somebody else who has the agents' keys, and pays with them past the daemon."""

import asyncio
import contextlib
from base64 import b64encode
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
from eth_account import Account
from solders.hash import Hash
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from waiaas.cli.torture import books, evm, solana
from waiaas.cli.torture.chance import Chance
from waiaas.cli.torture.exchange import Node, NodeRefused, ask
from waiaas.cli.torture.facts import Elsewhere
from waiaas.cli.torture.hunt import agent_keys
from waiaas.cli.torture.journal import Journal
from waiaas.cli.torture.operator import Agent, Operator
from waiaas.cli.torture.pauses import pause
from waiaas.cli.torture.stage import Stage
from waiaas.cli.torture.targets import INSTANT, Targets
from waiaas.domain.chain import Chain

#: between two payments, on average
PAUSE_SECONDS = 10.0
#: until a suspended agent is looked at again
LOOK_SECONDS = 0.3
#: wei per gas: more than the daemon pays, so that it takes the place of what waits under the same nonce
TIP, PRICE = 200 * 10**9, 400 * 10**9
TRANSFER_GAS = 21_000
#: of all payments, those that arrive from nowhere on the chain a second later than they are signed
LATE_SHARE, LATE_SECONDS = 0.3, 1.0


class Signed(msgspec.Struct, frozen=True):
    """Bytes that the daemon knows nothing of; `mark` is the nonce or the signature by which it may tell of them."""

    hash: str
    mark: str
    call: tuple[str, list[Any]]


async def pay_ether(node: Node, key: bytes, to: str, amount: int) -> Signed:
    """With the first nonce that is in no block, whether the daemon has bytes under it or not."""
    signer = Account.from_key(key)
    count, chain_id = await ask(node, ("eth_getTransactionCount", [signer.address, "latest"]), ("eth_chainId", []))
    whose = {"chainId": int(chain_id, 16), "nonce": int(count, 16), "to": to, "value": amount}
    signed = signer.sign_transaction(
        {**whose, "gas": TRANSFER_GAS, "maxPriorityFeePerGas": TIP, "maxFeePerGas": PRICE, "data": b""}
    )
    raw = bytes(signed.raw_transaction)
    return Signed(evm.hash_of(raw), str(whose["nonce"]), ("eth_sendRawTransaction", ["0x" + raw.hex()]))


async def pay_lamports(node: Node, key: bytes, to: str, amount: int) -> Signed:
    """With a blockhash of its own."""
    signer = Keypair.from_seed(key[:32])
    (latest,) = await ask(node, ("getLatestBlockhash", []))
    paid = transfer(TransferParams(from_pubkey=signer.pubkey(), to_pubkey=Pubkey.from_string(to), lamports=amount))
    message = MessageV0.try_compile(signer.pubkey(), [paid], [], Hash.from_string(latest["value"]["blockhash"]))
    raw = bytes(VersionedTransaction(message, [signer]))
    signature = solana.hash_of(raw)
    return Signed(signature, signature, ("sendTransaction", [b64encode(raw).decode(), {"encoding": "base64"}]))


PAYMENTS: dict[Chain, Callable[[Node, bytes, str, int], Awaitable[Signed]]] = {
    Chain.ETHEREUM: pay_ether,
    Chain.SOLANA: pay_lamports,
}


class Stranger:
    """One for a run. What it spends is nobody's limit; the daemon must tell of it, and stop the agent."""

    def __init__(
        self, stage: Stage, operator: Operator, agents: Sequence[Agent], journal: Journal, targets: Targets
    ) -> None:
        self._stage, self._operator, self._agents = stage, operator, agents
        self._journal, self._targets = journal, targets
        self._chance: Chance = stage.chance.apart("stranger")
        self._keys: dict[str, bytes] = {}
        self._paid: list[tuple[Agent, Signed]] = []

    async def work(self, turn: asyncio.Lock, quiet: asyncio.Event) -> None:
        """One payment after the other until told to be quiet; `turn` is held while a payment would be ambiguous."""
        while not await pause(quiet, self._chance.exponential(PAUSE_SECONDS)):
            async with turn:
                await self.pay(self._chance.pick(self._agents))

    async def pay(self, agent: Agent) -> None:
        """Some native money goes to an address that nobody has the key of; written down before it is sent."""
        if not self._keys:
            place = self._stage.place
            self._keys = await asyncio.to_thread(agent_keys, place.data / "keystore", self._stage.password)
        to = self._chance.pick(self._targets.sinks[agent.kind.network])
        amount = INSTANT * agent.kind.unit + next(self._targets.numbers)
        signed = await PAYMENTS[agent.kind.chain](agent.host.node, self._keys[agent.id], to, amount)
        self._journal.write(Elsewhere(signed.hash, agent.id, signed.mark))
        self._paid.append((agent, signed))
        if self._chance.happens(LATE_SHARE):
            await asyncio.sleep(LATE_SECONDS)
        with contextlib.suppress(NodeRefused):
            # somebody was faster with that nonce, or it was signed too long ago
            await ask(agent.host.node, signed.call)

    async def forgive(self, stopping: asyncio.Lock, enough: asyncio.Event) -> None:
        """Agents that the daemon has stopped for it go on, until told that it is enough."""
        while not await pause(enough, LOOK_SECONDS):
            for agent in books.read_suspended(self._stage.place.database):
                async with stopping:
                    await self._operator.try_once("POST", f"/v1/agents/{agent}/resume", {})

    async def is_told(self) -> bool:
        """Whether all that landed was told of, and nobody is stopped for it any more."""
        if books.read_suspended(self._stage.place.database):
            return False
        told = books.read_told(self._stage.place.database)
        silent = [(agent, signed.hash) for agent, signed in self._paid if (agent.id, signed.mark) not in told]
        return not [key for agent, key in silent if await agent.kind.known.landed(agent.host.node, [key])]

    def close(self) -> None:
        """No line follows."""
        self._journal.close()
