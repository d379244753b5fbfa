"""py-evm at arm's length: the Ethereum virtual machine of Prague, its state and its headers.

What the chain needs of py-evm is here, in `transactions.py` and in `roots.py`. Its system contracts (beacon roots,
block hashes, withdrawal requests) are not deployed: nobody but a consensus client would feed them.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import msgspec
import rlp
from eth.abc import AtomicWriteBatchAPI, DatabaseAPI, SignedTransactionAPI
from eth.constants import BLANK_ROOT_HASH, EMPTY_SHA256, POST_MERGE_NONCE, ZERO_ADDRESS
from eth.db.account import AccountDB
from eth.db.atomic import AtomicDBWriteBatch
from eth.db.backends.base import BaseAtomicDB, BaseDB
from eth.db.diff import DBDiff
from eth.db.journal import JournalDB
from eth.exceptions import (
    ContractCreationCollision,
    InsufficientFunds,
    InsufficientStack,
    InvalidInstruction,
    InvalidJumpDestination,
    OutOfBoundsRead,
    OutOfGas,
    Revert,
    WriteProtection,
)
from eth.vm import opcode_values
from eth.vm.chain_context import ChainContext
from eth.vm.forks.london.headers import calculate_expected_base_fee_per_gas
from eth.vm.forks.prague import PragueVM
from eth.vm.forks.prague.blocks import PragueBlockHeader
from eth.vm.forks.prague.computation import PragueComputation
from eth.vm.forks.prague.state import PragueState, PragueTransactionExecutor
from eth_typing import Address as Account
from eth_typing import BlockNumber, Hash32

from waiaas.localnet.evm.stack import deep
from waiaas.localnet.evm.transactions import CHAIN_ID, GAS_LIMIT, Call, Signed

GENESIS_BASE_FEE = 1_000_000_000
#: accounts that are remembered from block to block
MOST_KNOWN = 10_000

#: what geth says of an execution that failed
REASONS = {
    Revert: "execution reverted",
    OutOfGas: "out of gas",
    InvalidInstruction: "invalid opcode: INVALID",
    InvalidJumpDestination: "invalid jump destination",
    InsufficientFunds: "insufficient balance for transfer",
    InsufficientStack: "stack underflow",
    WriteProtection: "write protection",
    OutOfBoundsRead: "return data out of bounds",
    ContractCreationCollision: "contract address collision",
}

#: a PragueBlockHeader, whose fields py-evm types for all forks at once
Header = Any


class Event(msgspec.Struct, frozen=True):
    """A log entry; `topics` are 32 bytes each."""

    address: bytes
    topics: tuple[bytes, ...]
    data: bytes


class Outcome(msgspec.Struct, frozen=True):
    """What an execution did; `error` is None if it succeeded, `peak_gas` is what it took before refunds."""

    gas_used: int
    peak_gas: int
    output: bytes
    error: str | None
    is_revert: bool
    #: the address of the contract that was to be created, whether it was or not
    created: bytes | None
    events: tuple[Event, ...]


class TooLong(Exception):
    """An execution went on past the time it was given: nothing is known of its end."""


def impatient(opcode: Callable[..., Any]) -> Any:
    """The opcode, which first looks whether there is time left. Without it no code runs for long."""

    def run(computation: Any) -> Any:
        if computation.state.is_over():
            raise TooLong
        return opcode(computation=computation)

    return run


class Computation(PragueComputation):
    """Contract code that can be cut short wherever it could go on for ever: at jumps, and at calls of contracts."""

    opcodes = PragueComputation.opcodes | {
        code: impatient(PragueComputation.opcodes[code])
        for code in (
            opcode_values.JUMP,
            opcode_values.JUMPI,
            opcode_values.CALL,
            opcode_values.CALLCODE,
            opcode_values.DELEGATECALL,
            opcode_values.STATICCALL,
            opcode_values.CREATE,
            opcode_values.CREATE2,
        )
    }


class Executor(PragueTransactionExecutor):
    """Executes what was checked before: signature, nonce, gas and funds by the chain, nothing of them for a call."""

    def validate_transaction(self, transaction: Signed | Call) -> None:  # type: ignore[override]
        """Nothing: see the class."""


class Known(BaseDB):
    """Accounts in RLP by address at one state root, read from its trie once; py-evm's cache, shared by many states."""

    def __init__(self, trie: DatabaseAPI, accounts: dict[bytes, bytes]) -> None:
        self._trie = trie
        self._accounts = accounts

    def __getitem__(self, key: bytes) -> bytes:
        found = self._accounts.get(key)
        if found is None:
            found = self._accounts[key] = self._trie[key]
        return found

    def __setitem__(self, key: bytes, value: bytes) -> None:
        raise TypeError("accounts change in the journal alone")

    def __delitem__(self, key: bytes) -> None:
        raise TypeError("accounts change in the journal alone")

    def _exists(self, key: bytes) -> bool:
        return bool(self[key])

    def reset_cache(self) -> None:
        """The trie has moved on to another root: this one's accounts stay with those who still ask for it."""
        self._accounts = {}


class Ledger(AccountDB):
    """py-evm's accounts over those known of the root; `changed` is what went into the trie for the next one."""

    def __init__(self, nodes: "Nodes", root: Hash32) -> None:
        super().__init__(nodes, root)
        self.changed: dict[bytes, bytes] = {}
        self._trie_cache = Known(self._trie_logger, nodes.known(root))  # type: ignore[assignment]  # stands for a CacheDB
        self._journaltrie = JournalDB(self._trie_cache)

    def _apply_account_diff_without_proof(self, diff: DBDiff, trie: DatabaseAPI) -> None:
        super()._apply_account_diff_without_proof(diff, trie)
        self.changed |= {**dict(diff.pending_items()), **dict.fromkeys(diff.deleted_keys(), b"")}


class State(PragueState):
    """Accounts at one state root, within one block."""

    account_db_class = Ledger
    transaction_executor_class = Executor
    computation_class = Computation
    #: whether the time for an execution is over; never for a transaction: its gas alone ends it
    is_over: Callable[[], bool] = staticmethod(lambda: False)

    def set_system_contracts(self) -> None:
        """None: see the module."""


class Nodes(BaseAtomicDB):
    """The trie nodes and contract codes by their hash: those of the store, and `fresh` ones it does not have yet."""

    def __init__(self, read: Callable[[bytes], bytes | None]) -> None:
        self._read = read
        self.fresh: dict[bytes, bytes] = {}
        self._known: tuple[bytes, dict[bytes, bytes]] = (b"", {})

    def __getitem__(self, key: bytes) -> bytes:
        found = self.fresh.get(key)
        if found is None:
            found = self._read(key)
        if found is None:
            raise KeyError(key)
        return found

    def __setitem__(self, key: bytes, value: bytes) -> None:
        self.fresh[key] = value

    def __delitem__(self, key: bytes) -> None:
        # a root that was ever reached stays, so that its block can be asked for
        self.fresh.pop(key, None)

    def _exists(self, key: bytes) -> bool:
        return key in self.fresh or self._read(key) is not None

    def known(self, root: bytes) -> dict[bytes, bytes]:
        """Accounts that were read at a root: kept for one root, which is the newest block's nearly always."""
        if self._known[0] != root:
            self._known = (root, {})
        return self._known[1]

    def move(self, root: bytes, successor: bytes, changed: Mapping[bytes, bytes]) -> None:
        """What is known of a root is known of its successor, but for what changed."""
        before, accounts = self._known
        if before == root:
            self._known = (successor, {**(accounts if len(accounts) < MOST_KNOWN else {}), **changed})

    def take(self) -> dict[bytes, bytes]:
        """The fresh ones, to be stored: they are forgotten here."""
        fresh, self.fresh = self.fresh, {}
        return fresh

    @contextmanager
    def atomic_batch(self) -> Iterator[AtomicWriteBatchAPI]:
        """Writes that are taken over together, as py-evm wants them."""
        with AtomicDBWriteBatch._commit_unless_raises(self) as batch:
            yield batch


def genesis(timestamp: int, extra: bytes) -> Header:
    """The header of block 0, of a world without accounts; `extra` (32 bytes) makes its hash this chain's own."""
    return PragueBlockHeader(
        difficulty=0,
        block_number=BlockNumber(0),
        gas_limit=GAS_LIMIT,
        timestamp=timestamp,
        extra_data=extra,
        nonce=POST_MERGE_NONCE,
        base_fee_per_gas=GENESIS_BASE_FEE,
        withdrawals_root=BLANK_ROOT_HASH,
        requests_hash=EMPTY_SHA256,
    )


def successor(parent: Header, timestamp: int) -> Header:
    """The header that follows, with the base fee of EIP-1559 and no transactions yet."""
    return PragueVM.create_header_from_parent(
        parent, gas_limit=GAS_LIMIT, timestamp=timestamp, coinbase=ZERO_ADDRESS, mix_hash=parent.hash
    )


def next_base_fee(parent: Header) -> int:
    """Wei per gas that the block after `parent` burns (EIP-1559)."""
    return calculate_expected_base_fee_per_gas(parent)


def encode_header(header: Header) -> bytes:
    """The bytes whose hash is the block's."""
    encoded: bytes = rlp.encode(header)
    return encoded


def decode_header(encoded: bytes) -> Header:
    return rlp.decode(encoded, PragueBlockHeader)


class Accounts:
    """The accounts at a state root, inside the block of a header; `ancestors` are block hashes, newest first.

    Where gas `is_free` the base fee is 0, as nodes do it for calls that name no price.
    """

    def __init__(
        self, nodes: Nodes, header: Header, root: bytes, ancestors: Iterator[bytes], *, is_free: bool = False
    ) -> None:
        context = PragueVM.create_execution_context(
            header.copy(base_fee_per_gas=0) if is_free else header,
            cast(Iterator[Hash32], ancestors),
            ChainContext(CHAIN_ID),
        )
        self._nodes = nodes
        self._root = root
        self._state = State(nodes, context, Hash32(root))

    def nonce(self, address: bytes) -> int:
        return self._state.get_nonce(Account(address))

    def balance(self, address: bytes) -> int:
        """Wei."""
        return self._state.get_balance(Account(address))

    def code(self, address: bytes) -> bytes:
        return self._state.get_code(Account(address))

    def storage(self, address: bytes, slot: int) -> int:
        return self._state.get_storage(Account(address), slot)

    def set_balance(self, address: bytes, wei: int) -> None:
        self._state.set_balance(Account(address), wei)

    def execute(self, transaction: Signed | Call, *, is_over: Callable[[], bool] | None = None) -> Outcome:
        """Run a transaction on top of all before it; TooLong once time `is_over`, and then nothing here is sound."""
        if is_over is not None:
            self._state.is_over = is_over
        self._state.lock_changes()
        body = transaction.body if isinstance(transaction, Signed) else cast(SignedTransactionAPI, transaction)
        with deep():
            computation = self._state.apply_transaction(body)
        error = computation._error
        return Outcome(
            gas_used=PragueVM.finalize_gas_used(body, computation),
            peak_gas=transaction.gas - computation.get_gas_remaining() + computation.data_floor_gas,
            output=computation.output,
            error=None if error is None else reason(error),
            is_revert=isinstance(error, Revert),
            created=computation.msg.storage_address if computation.msg.is_create else None,
            events=tuple(
                Event(address, tuple(topic.to_bytes(32) for topic in topics), data)
                for address, topics, data in computation.get_log_entries()
            ),
        )

    def write(self) -> bytes:
        """Write all that changed into the nodes; the new root."""
        root = self._state.make_state_root()
        self._state.persist()
        self._nodes.move(self._root, root, cast(Ledger, self._state._account_db).changed)
        return root


def reason(error: Exception) -> str:
    """Why an execution failed, in geth's words."""
    return next((text for kind, text in REASONS.items() if isinstance(error, kind)), "execution failed")
