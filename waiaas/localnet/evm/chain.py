"""The embedded Ethereum chain of one node: a pool, blocks made of it, and the state at every block.

A block is told of only after it is on disk. Nothing here runs by itself: who accepts transactions decides when
`settle` makes blocks of them.
"""

from collections.abc import Callable, Mapping, Sequence

import structlog

from waiaas.clock import Clock
from waiaas.errors import RpcRefusal
from waiaas.ids import entropy
from waiaas.localnet.evm.blocks import Made, make_block
from waiaas.localnet.evm.machine import (
    Accounts,
    Header,
    Nodes,
    Outcome,
    decode_header,
    genesis,
    next_base_fee,
    successor,
)
from waiaas.localnet.evm.pool import Account, Pool
from waiaas.localnet.evm.store import Store
from waiaas.localnet.evm.transactions import Call, Signed, read

#: what a call, or an estimate with all its tries, may take: nobody else in the process is served meanwhile
CALL_SECONDS = 0.5

log = structlog.get_logger(__name__)


class Chain:
    """One chain over its store; every call is short and blocks."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self.store = store
        self.pool = Pool()
        self._clock = clock
        self._nodes = Nodes(store.node)
        head = store.head()
        self.head: Header = decode_header(head) if head else self._begin()
        self._view: Accounts | None = None
        self._snapshots: dict[int, int] = {}
        self._last_snapshot = 0
        for raw in store.take():
            self._restore(raw)

    def accept(self, raw: bytes) -> Signed:
        """Take a transaction into the pool; RpcRefusal in geth's words if it cannot be."""
        transaction = read(raw)
        self.pool.add(transaction, self._account(transaction.sender))
        return transaction

    def settle(self) -> None:
        """Make blocks until nothing in the pool can go into one."""
        while ready := self.ready():
            made = self._make(ready)
            if made.executed:
                self._adopt(made)
            self._drop(made.dropped)

    def mine(self, balances: Mapping[bytes, int] | None = None) -> None:
        """Make one block of what is ready, be it empty; `balances` are set in front of it."""
        made = self._make([] if balances else self.ready(), balances)
        self._adopt(made)
        self._drop(made.dropped)

    def ready(self) -> list[Signed]:
        """What the next block may take."""
        return self.pool.ready(self.nonce, next_base_fee(self.head))

    def nonce(self, address: bytes) -> int:
        """How many transactions an address has in blocks."""
        return self.accounts(self.head).nonce(address)

    def accounts(self, header: Header) -> Accounts:
        """Accounts after a block, to be read."""
        if header is not self.head:
            return self._open(header)
        if self._view is None:
            self._view = self._open(header)
        return self._view

    def patience(self) -> Callable[[], bool]:
        """Tells from CALL_SECONDS from now on that time is over."""
        until = self._clock.monotonic() + CALL_SECONDS
        return lambda: self._clock.monotonic() > until

    def call(self, call: Call, header: Header, is_over: Callable[[], bool]) -> Outcome:
        """Execute on top of a block, without effect and free of charge; TooLong once time `is_over`."""
        return self._open(header, is_free=True).execute(call, is_over=is_over)

    def header(self, number: int) -> Header | None:
        """The header of a block; None if there is none yet."""
        if number == self.head.block_number:
            return self.head
        found = self.store.header(number)
        return decode_header(found) if found else None

    def snapshot(self) -> int:
        """A number to go back to this block with."""
        self._last_snapshot += 1
        self._snapshots[self._last_snapshot] = self.head.block_number
        return self._last_snapshot

    def revert(self, snapshot: int) -> bool:
        """Forget the blocks since a snapshot, the pool and later snapshots; False if there is no such snapshot."""
        number = self._snapshots.get(snapshot)
        if number is None or (header := self.header(number)) is None:
            return False
        self.store.cut(number)
        self._snapshots = {key: at for key, at in self._snapshots.items() if key < snapshot}
        self.pool.clear()
        self.head, self._view = header, None
        return True

    def close(self) -> None:
        """Keep the pool for the next start."""
        self.store.keep([transaction.raw for transaction in self.pool.all()])

    def _begin(self) -> Header:
        header = genesis(self._clock.now(), entropy(32))
        made = make_block(self._nodes, header, header.state_root, iter(()), candidates=(), balances={})
        self.store.save(made.block)
        return made.header

    def _restore(self, raw: bytes) -> None:
        try:
            self.accept(raw)
        except RpcRefusal as refusal:
            log.warning("a transaction kept from the last run was refused", error=refusal.message)

    def _account(self, address: bytes) -> Account:
        accounts = self.accounts(self.head)
        return Account(nonce=accounts.nonce(address), balance=accounts.balance(address))

    def _make(self, candidates: list[Signed], balances: Mapping[bytes, int] | None = None) -> Made:
        header = successor(self.head, max(self.head.timestamp, self._clock.now()))
        ancestors = self.store.ancestors(header.block_number)
        return make_block(
            self._nodes, header, self.head.state_root, ancestors, candidates=candidates, balances=balances or {}
        )

    def _adopt(self, made: Made) -> None:
        self.store.save(made.block)
        self.head, self._view = made.header, None
        for each in made.executed:
            self.pool.remove(each.transaction.hash)
        self.pool.prune(self.nonce)

    def _drop(self, unpayable: Sequence[Signed]) -> None:
        for each in unpayable:
            log.debug("dropped a transaction that cannot be paid for", transaction=each.hash.hex())
            self.pool.remove(each.hash)

    def _open(self, header: Header, *, is_free: bool = False) -> Accounts:
        ancestors = self.store.ancestors(header.block_number)
        return Accounts(self._nodes, header, header.state_root, ancestors, is_free=is_free)
