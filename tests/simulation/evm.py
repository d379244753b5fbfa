"""A model of an EVM chain: blocks and base fee, a pool by nonce and price, replacement, reorganisation, finality."""

import hashlib
from collections.abc import Callable
from typing import Any

import msgspec

from tests import signed
from tests.signed import EvmBytes
from tests.simulation import contracts
from tests.simulation.contracts import Reverted, State
from tests.simulation.node import Refused, Seat

SEPOLIA = 11_155_111
BLOCK_SECONDS = 4.0
#: blocks on top of one that nothing takes away any more
FINAL_BLOCKS = 6
GWEI = 10**9
BASE_FEE, TIP = 10 * GWEI, GWEI
#: a replacement pays a tenth more
BUMP = 110
CALL_GAS = 16_000_000


class Receipt(msgspec.Struct, frozen=True):
    """What became of a transaction in a block."""

    said: EvmBytes
    block: int
    block_hash: str
    ok: bool
    gas_used: int
    price: int

    @property
    def fee(self) -> int:
        """Wei."""
        return self.gas_used * self.price


class Block(msgspec.Struct, frozen=True):
    """A block and the state it leaves."""

    number: int
    hash: str
    base_fee: int
    receipts: tuple[Receipt, ...]
    state: State


class Pooled(msgspec.Struct):
    """A transaction in the pool; `seats` know it, from block `since` on it may be taken."""

    said: EvmBytes
    since: int
    seats: set[int]


class EvmChain:
    """The ledger; `delay` says how many blocks a transaction waits (None: its endpoint forgets it)."""

    def __init__(self, name: str, state: State, delay: Callable[[], int | None], price: Callable[[], float]) -> None:
        self.blocks = [Block(0, self._hash(name, 0), BASE_FEE, (), state)]
        #: by transaction hash, of the present chain
        self.landed: dict[str, Receipt] = {}
        self.undone: list[Receipt] = []
        #: hashes that an agent's key has signed elsewhere
        self.strangers: set[str] = set()
        self._name, self._delay, self._price = name, delay, price
        self._pool: dict[str, Pooled] = {}
        #: what was replaced in a pool, by sender and nonce: other nodes may still have it
        self._replaced: dict[tuple[str, int], EvmBytes] = {}
        self._forks = 0

    @property
    def head(self) -> Block:
        """The newest block."""
        return self.blocks[-1]

    @property
    def final(self) -> Block:
        """The newest block that stays."""
        return self.blocks[max(0, len(self.blocks) - 1 - FINAL_BLOCKS)]

    # --- time ------------------------------------------------------------------------------------

    def pass_time(self, now: float) -> None:
        """Blocks until now."""
        while len(self.blocks) <= int(now / BLOCK_SECONDS):
            self._make_block()

    def reorganise(self, depth: int) -> None:
        """Other blocks take the place of the last ones; what was in those comes again, later or never."""
        depth = min(depth, len(self.blocks) - 1, FINAL_BLOCKS - 1)
        gone, self.blocks = self.blocks[-depth:], self.blocks[:-depth]
        self._forks += 1
        for receipt in (receipt for block in gone for receipt in block.receipts):
            del self.landed[receipt.said.hash]
            self.undone.append(receipt)
            said = receipt.said
            if self._forks % 2:
                said = self._replaced.get((said.signer, said.nonce), said)
            if (blocks := self._delay()) is not None:
                self._pool[said.hash] = Pooled(said, self.head.number + blocks, {0, 1})
        for _ in range(depth):
            self._make_block()

    def _make_block(self) -> None:
        number, base = self.head.number + 1, int(BASE_FEE * self._price())
        block_hash, state = self._hash(self._name, number, self._forks), self.head.state
        receipts: list[Receipt] = []
        if not self._pool:
            self.blocks.append(Block(number, block_hash, base, (), state))
            return
        while (pooled := self._next(number, base, state)) is not None:
            del self._pool[pooled.said.hash]
            state = state.copy()
            receipts.append(self._execute(state, pooled.said, number, block_hash, base))
        self.blocks.append(Block(number, block_hash, base, tuple(receipts), state))
        self.landed |= {receipt.said.hash: receipt for receipt in receipts}
        nonces = state.nonces
        self._pool = {key: one for key, one in self._pool.items() if one.said.nonce >= nonces.get(one.said.signer, 0)}

    def _next(self, number: int, base: int, state: State) -> Pooled | None:
        """The best paying transaction whose turn it is."""
        fit = [
            one
            for one in self._pool.values()
            if one.since <= number
            and one.said.max_fee >= base
            and one.said.nonce == state.nonces.get(one.said.signer, 0)
            and state.balances.get(one.said.signer, 0) >= one.said.value + one.said.gas * one.said.max_fee
        ]
        return max(fit, key=lambda one: (min(one.said.tip, one.said.max_fee - base), one.said.hash), default=None)

    def _execute(self, state: State, said: EvmBytes, number: int, block_hash: str, base: int) -> Receipt:
        price = base + min(said.tip, said.max_fee - base)
        state.nonces[said.signer] = said.nonce + 1
        draft = state.copy()
        ok, gas_used = True, said.gas
        try:
            if said.to == contracts.FICKLE and int(said.hash, 16) % 2:
                raise Reverted("not today")
            _, needed = contracts.call(draft, said.signer, said.to, said.value, said.data)
            ok, gas_used = needed <= said.gas, min(needed, said.gas)
        except Reverted:
            ok, gas_used = False, min(contracts.TRANSFER_GAS + 9000, said.gas)
        if ok:
            for mine, theirs in zip(_parts(state), _parts(draft), strict=True):
                mine |= theirs
        state.balances[said.signer] = state.balances.get(said.signer, 0) - gas_used * price
        return Receipt(said, number, block_hash, ok, gas_used, price)

    def _hash(self, *parts: Any) -> str:
        return "0x" + hashlib.sha256(" ".join(map(str, parts)).encode()).hexdigest()

    # --- transactions ----------------------------------------------------------------------------

    def take(self, seat: Seat, said: EvmBytes) -> None:
        """Refused, or in the pool."""
        state = self.head.state
        if said.chain_id != SEPOLIA:
            raise Refused(-32000, "invalid chain id for signer")
        if said.nonce < state.nonces.get(said.signer, 0):
            raise Refused(-32000, "nonce too low")
        if (known := self._pool.get(said.hash)) is not None:
            already = seat.place in known.seats
            known.seats.add(seat.place)
            if already:
                raise Refused(-32000, "already known")
            return
        if said.gas < contracts.TRANSFER_GAS:
            raise Refused(-32000, "intrinsic gas too low")
        if state.balances.get(said.signer, 0) < said.value + said.gas * said.max_fee:
            raise Refused(-32000, "insufficient funds for gas * price + value")
        self._replace(said)
        blocks = self._delay()
        if blocks is not None and not seat.loses and "send" not in seat.lies:
            self._pool[said.hash] = Pooled(said, self.head.number + blocks, {seat.place})

    def _replace(self, said: EvmBytes) -> None:
        for key, one in list(self._pool.items()):
            if (one.said.signer, one.said.nonce) == (said.signer, said.nonce):
                if said.tip * 100 < one.said.tip * BUMP or said.max_fee * 100 < one.said.max_fee * BUMP:
                    raise Refused(-32000, "replacement transaction underpriced")
                self._replaced[said.signer, said.nonce] = self._pool.pop(key).said

    def evict(self) -> int:
        """The pool is full: everything in it is forgotten; how much that was."""
        count = len(self._pool)
        self._pool.clear()
        return count

    # --- what a node says ------------------------------------------------------------------------

    def ask(self, seat: Seat, method: str, params: list[Any]) -> Any:
        """One JSON-RPC call."""
        said = getattr(self, f"_{method}", None)
        if said is None:
            raise Refused(-32601, "the method does not exist")
        return said(seat, *params)

    def _seen(self, seat: Seat) -> Block:
        """The newest block that this endpoint knows."""
        return self.blocks[max(0, len(self.blocks) - 1 - int(seat.lag_seconds / BLOCK_SECONDS))]

    def _at(self, seat: Seat, tag: str) -> Block | None:
        head = self._seen(seat)
        if tag == "latest":
            return head
        number = max(0, head.number - FINAL_BLOCKS) if tag == "finalized" else int(tag, 16)
        return self.blocks[number] if number <= head.number else None

    def _state(self, seat: Seat, tag: str) -> State:
        block = self._at(seat, tag)
        if block is None:
            raise Refused(-32000, "header not found")
        return block.state

    def _eth_chainId(self, seat: Seat) -> str:
        return hex(1) if "identity" in seat.lies else hex(SEPOLIA)

    def _eth_blockNumber(self, seat: Seat) -> str:
        return hex(self._seen(seat).number + (5000 if "height" in seat.lies else 0))

    def _eth_getBlockByNumber(self, seat: Seat, tag: str, _: bool) -> Any:
        block = self._at(seat, tag)
        if block is None:
            return None
        return {"number": hex(block.number), "hash": block.hash, "baseFeePerGas": hex(block.base_fee)}

    def _eth_getBalance(self, seat: Seat, address: str, tag: str) -> str:
        return hex(self._state(seat, tag).balances.get(address.lower(), 0))

    def _eth_getTransactionCount(self, seat: Seat, address: str, tag: str) -> str:
        lie = 3 if "unseen" in seat.lies else 0
        return hex(self._state(seat, tag).nonces.get(address.lower(), 0) + lie)

    def _eth_getCode(self, seat: Seat, address: str, _: str) -> str:
        return "0xfe" if address.lower() in contracts.ALL else "0x"

    def _eth_feeHistory(self, seat: Seat, *_: Any) -> Any:
        base, tip = int(BASE_FEE * self._price()), int(TIP * self._price())
        return {"oldestBlock": "0x0", "baseFeePerGas": [hex(base)] * 6, "reward": [[hex(tip)]] * 5}

    def _eth_call(self, seat: Seat, what: dict[str, str], tag: str) -> str:
        return "0x" + self._try(seat, what, tag)[0].hex()

    def _eth_estimateGas(self, seat: Seat, what: dict[str, str], *_: Any) -> str:
        return hex(self._try(seat, what, "latest")[1])

    def _try(self, seat: Seat, what: dict[str, str], tag: str) -> tuple[bytes, int]:
        state = self._state(seat, tag).copy()
        sender, value = what.get("from", "0x").lower(), int(what.get("value", "0x0"), 16)
        if state.balances.get(sender, 0) < value:
            raise Refused(-32000, "insufficient funds for transfer")
        try:
            return contracts.call(state, sender, what["to"].lower(), value, bytes.fromhex(what["data"][2:]))
        except Reverted as error:
            raise Refused(3, f"execution reverted: {error.reason}", "0x" + error.data.hex()) from error

    def _eth_sendRawTransaction(self, seat: Seat, raw: str) -> str:
        try:
            said = signed.evm(bytes.fromhex(raw[2:]))
        except signed.Refused as error:
            raise Refused(-32000, str(error)) from error
        self.take(seat, said)
        return self._hash("a lie") if "hash" in seat.lies else said.hash

    def _eth_getTransactionByHash(self, seat: Seat, hash: str) -> Any:
        pooled = self._pool.get(hash)
        known = self._eth_getTransactionReceipt(seat, hash) or (pooled is not None and seat.place in pooled.seats)
        return {"hash": hash} if known else None

    def _eth_getTransactionReceipt(self, seat: Seat, hash: str) -> Any:
        found = self.landed.get(hash)
        if found is None or found.block > self._seen(seat).number or "unseen" in seat.lies:
            return None
        return {
            "transactionHash": self._hash("another") if "receipt" in seat.lies else hash,
            "blockHash": found.block_hash,
            "blockNumber": hex(found.block),
            "status": hex(found.ok and "outcome" not in seat.lies),
            "gasUsed": hex(found.gas_used),
            "effectiveGasPrice": hex(found.price),
        }


def _parts(state: State) -> tuple[dict[Any, int], ...]:
    return state.balances, state.nonces, state.tokens, state.allowances
