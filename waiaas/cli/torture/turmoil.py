"""What befalls a chain by itself: its newest blocks go, and the price of its blocks jumps."""

import asyncio
import contextlib
from collections import Counter

from eth_account import Account

from waiaas.cli.torture import books
from waiaas.cli.torture.chance import Chance
from waiaas.cli.torture.exchange import Node, NodeRefused, ask
from waiaas.cli.torture.facts import Gone
from waiaas.cli.torture.forks import Fork
from waiaas.cli.torture.hosts import Host
from waiaas.cli.torture.journal import Journal
from waiaas.cli.torture.pauses import pause
from waiaas.cli.torture.stage import Stage
from waiaas.ids import entropy

#: between two, on average
PAUSE_SECONDS = 8.0
#: of all, those that take blocks away; and of these, those in which what was in them waits again
FORK_SHARE, KEPT_SHARE = 0.5, 0.4
FORK_SECONDS = (0.3, 3.0)
LOOK_SECONDS = 0.2
#: blocks that are nearly full: the base fee (EIP-1559) rises by a tenth with each, to about ten times what it was
FULL_BLOCKS = 28
FULLNESS = 0.9
#: as many nearly empty ones bring it back
EMPTY_BLOCKS = 24
EMPTY_SECONDS = 0.15
FUNDS, TIP, PRICE = 10**23, 10**9, 10**13
#: creation code of one instruction, which burns all gas there is (EIP-141)
BURN = b"\xfe"


class Turmoil:
    """One for a run."""

    def __init__(self, stage: Stage, journal: Journal) -> None:
        self._stage, self._journal = stage, journal
        self._chance: Chance = stage.chance.apart("turmoil")
        self._crowd = Account.from_key(entropy(32))
        self.forks = self.jumps = 0

    async def work(self, turn: asyncio.Lock, quiet: asyncio.Event) -> None:
        """One after the other until told to be quiet; while blocks are away `turn` is held."""
        hosts = [(host, host.fork) for host in self._stage.hosts if host.fork is not None]
        while hosts and not await pause(quiet, self._chance.exponential(PAUSE_SECONDS)):
            host, fork = self._chance.pick(hosts)
            if self._chance.happens(FORK_SHARE):
                async with turn:
                    await self.take_away(host, fork, quiet)
            else:
                await self.raise_price(host.node)

    async def take_away(self, host: Host, fork: Fork, quiet: asyncio.Event) -> None:
        """Some blocks are made and go again; until what agents had in them has landed anew, or it must be quiet."""
        await fork.open()
        await pause(quiet, self._chance.between(*FORK_SECONDS))
        gone = await fork.close()
        self.forks += 1
        mine = books.read_raw(self._stage.place.database, gone)
        for key in mine:
            self._journal.write(Gone(key))
        await self._give_back(host, mine)
        while mine and len(await host.kind.known.landed(host.node, list(mine))) < len(mine):
            if await pause(quiet, LOOK_SECONDS):
                return

    def close(self) -> None:
        """No line follows."""
        self._journal.close()

    async def _give_back(self, host: Host, gone: dict[str, books.Row]) -> None:
        """Some wait again, as with most nodes; the rest is for the daemon to send again."""
        several: Counter[str] = Counter(row["tx_id"] for row in books.read_signed(self._stage.place.database))
        kept = self._chance.happens(KEPT_SHARE)
        # of bytes that compete for a nonce another could land instead, after the daemon has told of these
        for row in (row for row in gone.values() if kept or several[row["tx_id"]] > 1):
            with contextlib.suppress(NodeRefused):
                await ask(host.node, ("eth_sendRawTransaction", ["0x" + row["raw"].hex()]))

    async def raise_price(self, node: Node) -> None:
        """A crowd fills blocks; then nobody does, and the price comes down."""
        self.jumps += 1
        await ask(node, ("anvil_setBalance", [self._crowd.address, hex(FUNDS)]))
        count, chain_id, block = await ask(
            node,
            ("eth_getTransactionCount", [self._crowd.address, "pending"]),
            ("eth_chainId", []),
            ("eth_getBlockByNumber", ["latest", False]),
        )
        gas = int(int(block["gasLimit"], 16) * FULLNESS)
        for nonce in range(int(count, 16), int(count, 16) + FULL_BLOCKS):
            whose = {"chainId": int(chain_id, 16), "nonce": nonce, "value": 0, "data": BURN, "gas": gas}
            signed = self._crowd.sign_transaction({**whose, "maxPriorityFeePerGas": TIP, "maxFeePerGas": PRICE})
            await ask(node, ("eth_sendRawTransaction", ["0x" + signed.raw_transaction.hex()]))
        for _ in range(EMPTY_BLOCKS):
            await asyncio.sleep(EMPTY_SECONDS)
            await ask(node, ("evm_mine", []))
