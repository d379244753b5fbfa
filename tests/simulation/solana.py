"""A model of a Solana cluster: slots, some of them without a block, blockhashes that die, forks, commitment."""

import hashlib
from base64 import b64decode, b64encode
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
from solders.pubkey import Pubkey

from tests import signed
from tests.signed import SolanaBytes
from tests.simulation.node import Refused, Seat
from tests.simulation.programs import Account, Failure, minimum, run

SLOT_SECONDS = 0.4
#: one slot in so many has no block
SKIPPED = 13
CONFIRMED_SLOTS, FINAL_SLOTS = 2, 12
DEPTH = {"processed": 0, "confirmed": CONFIRMED_SLOTS, "finalized": FINAL_SLOTS}
VALID_BLOCKS = 150
DEVNET = "EtWTRABZaYq6iMfeYKouRu166VU2xqa1wcaWoxPkrZBG"


class Landing(msgspec.Struct):
    """A transaction in a block; `before` undoes it."""

    said: SolanaBytes
    slot: int
    error: Any
    pre: list[int]
    post: list[int]
    before: dict[str, Account | None]


class Waiting(msgspec.Struct):
    """A transaction on its way into a block."""

    slot: int
    said: SolanaBytes


class Cluster:
    """The ledger; `delay` says how many slots a transaction waits for its block (None: it is lost)."""

    def __init__(self, name: str, accounts: dict[str, Account], delay: Callable[[], int | None]) -> None:
        self.accounts = dict(accounts)
        self.landed: dict[str, Landing] = {}
        #: everything that ever landed and was undone since
        self.undone: list[Landing] = []
        self.slot = 0
        self._name, self._delay = name, delay
        self._issued: dict[str, int] = {}
        self._forks: list[int] = []
        self._pool: list[Waiting] = []

    # --- time ------------------------------------------------------------------------------------

    def pass_time(self, now: float) -> None:
        """Blocks until now."""
        self.slot = max(self.slot, int(now / SLOT_SECONDS))
        due = sorted((one for one in self._pool if one.slot <= self.slot), key=lambda one: one.slot)
        self._pool = [one for one in self._pool if one.slot > self.slot]
        for one in due:
            self._include(one.said, one.slot + has_no_block(one.slot))

    def reorganise(self, depth: int) -> None:
        """The last slots are dropped; what was in them comes again, later or never."""
        first = self.slot - depth + 1
        gone = [one for one in self.landed.values() if one.slot >= first]
        for one in reversed(gone):
            del self.landed[one.said.hash]
            self.undone.append(one)
            for address, account in one.before.items():
                self._put(address, account)
            self._wait(one.said)
        self._forks.append(first)

    def height(self, slot: int | None = None) -> int:
        """Blocks up to a slot: slots without a block do not count."""
        slot = self.slot if slot is None else slot
        return slot - (slot + SKIPPED - 5) // SKIPPED

    @property
    def final_height(self) -> int:
        """Of the newest finalized block."""
        return self.height(max(0, self.slot - FINAL_SLOTS))

    # --- transactions ----------------------------------------------------------------------------

    def take(self, said: SolanaBytes) -> None:
        """A transaction reached a leader."""
        if said.hash not in self.landed and all(one.said.hash != said.hash for one in self._pool):
            self._wait(said)

    def _wait(self, said: SolanaBytes) -> None:
        slots = self._delay()
        if slots is not None:
            self._pool.append(Waiting(self.slot + slots, said))

    def _include(self, said: SolanaBytes, slot: int) -> None:
        payer = self.accounts.get(said.payer)
        if said.hash in self.landed or not self._is_valid(said.blockhash, slot):
            return
        if payer is None or payer.lamports < said.fee:
            return
        before = {key: self.accounts.get(key) for key in said.keys}
        paid = {said.payer: msgspec.structs.replace(payer, lamports=payer.lamports - said.fee)}
        error, changes = self._execute(said, paid, for_good=True)
        for address, account in (paid | changes).items():
            self._put(address, account)
        pre, post = ([lamports(where.get(key)) for key in said.keys] for where in (before, self.accounts))
        self.landed[said.hash] = Landing(said, slot, error, pre, post, before)

    def _execute(
        self, said: SolanaBytes, over: dict[str, Account], *, for_good: bool
    ) -> tuple[Any, dict[str, Account | None]]:
        draft: dict[str, Account | None] = {key: over.get(key, self.accounts.get(key)) for key in said.keys}
        try:
            run(said, draft, for_good=for_good)
        except Failure as failure:
            return failure.error, {}
        for place, key in enumerate(said.keys):
            account, was = draft[key], self.accounts.get(key)
            if account != was and account is not None and 0 < account.lamports < minimum(len(account.data)):
                return {"InsufficientFundsForRent": {"account_index": place}}, {}
        return None, draft

    def _put(self, address: str, account: Account | None) -> None:
        if account is None or account.lamports == 0:
            self.accounts.pop(address, None)
        else:
            self.accounts[address] = account

    def _is_valid(self, blockhash: str, slot: int) -> bool:
        issued = self._issued.get(blockhash)
        if issued is None or self._blockhash(issued) != blockhash:
            return False
        return self.height(slot) - self.height(issued) <= VALID_BLOCKS

    def _blockhash(self, slot: int) -> str:
        fork = bisect_right(sorted(self._forks), slot)
        return str(Pubkey(hashlib.sha256(f"{self._name} {slot} {fork}".encode()).digest()))

    # --- what a node says ------------------------------------------------------------------------

    def ask(self, seat: Seat, method: str, params: list[Any]) -> Any:
        """One JSON-RPC call."""
        said = getattr(self, f"_{method}", None)
        if said is None:
            raise Refused(-32601, "Method not found")
        return said(seat, *params)

    def _seen(self, seat: Seat) -> int:
        """The newest slot of which this endpoint tells."""
        return self._known(seat) + (5000 if "height" in seat.lies else 0)

    def _known(self, seat: Seat) -> int:
        """The newest slot that it knows."""
        return max(0, self.slot - int(seat.lag_seconds / SLOT_SECONDS))

    def _context(self, seat: Seat, value: Any) -> dict[str, Any]:
        return {"context": {"slot": self._seen(seat)}, "value": value}

    def _getGenesisHash(self, seat: Seat) -> str:
        return self._blockhash(0) if "identity" in seat.lies else DEVNET

    def _getSlot(self, seat: Seat, *_: Any) -> int:
        return self._seen(seat)

    def _getBlockHeight(self, seat: Seat, *_: Any) -> int:
        return self.height(self._seen(seat))

    def _getEpochInfo(self, seat: Seat, config: dict[str, str]) -> dict[str, int]:
        slot = max(0, self._seen(seat) - DEPTH[config["commitment"]])
        return {"absoluteSlot": slot, "blockHeight": self.height(slot)}

    def _getFirstAvailableBlock(self, seat: Seat) -> int:
        return 0

    def _getMinimumBalanceForRentExemption(self, seat: Seat, size: int, *_: Any) -> int:
        return minimum(size)

    def _getRecentPrioritizationFees(self, seat: Seat, *_: Any) -> list[dict[str, int]]:
        return [{"slot": self._seen(seat), "prioritizationFee": 1000}]

    def _getBalance(self, seat: Seat, address: str, *_: Any) -> Any:
        return self._context(seat, lamports(self.accounts.get(address)))

    def _getMultipleAccounts(self, seat: Seat, addresses: list[str], *_: Any) -> Any:
        return self._context(seat, shown(self.accounts, addresses))

    def _getLatestBlockhash(self, seat: Seat, config: dict[str, str]) -> Any:
        slot = max(0, min(self._seen(seat), self.slot) - DEPTH[config["commitment"]])
        blockhash = self._blockhash(slot)
        self._issued[blockhash] = slot
        return self._context(seat, {"blockhash": blockhash, "lastValidBlockHeight": self.height(slot) + VALID_BLOCKS})

    def _simulateTransaction(self, seat: Seat, raw: str, config: dict[str, Any]) -> Any:
        said = signed.solana(b64decode(raw), verify=False)
        payer = self.accounts.get(said.payer)
        error: Any = "AccountNotFound" if payer is None else None
        changes: dict[str, Account | None] = {}
        if payer is not None and payer.lamports < said.fee:
            error = "InsufficientFundsForFee"
        elif payer is not None:
            paid = {said.payer: msgspec.structs.replace(payer, lamports=payer.lamports - said.fee)}
            error, changes = self._execute(said, paid, for_good=False)
        wanted = config.get("accounts", {}).get("addresses", [])
        value = {"err": error, "logs": [], "unitsConsumed": 300 * len(said.instructions)}
        if wanted and error is None:
            value["accounts"] = shown({**self.accounts, **changes}, wanted)
        return self._context(seat, value)

    def _sendTransaction(self, seat: Seat, raw: str, *_: Any) -> str:
        try:
            said = signed.solana(b64decode(raw))
        except signed.Refused as error:
            raise Refused(-32003, str(error)) from error
        if not seat.loses and "send" not in seat.lies:
            self.take(said)
        return self._blockhash(1) + self._blockhash(2)[:20] if "hash" in seat.lies else said.hash

    def _getSignatureStatuses(self, seat: Seat, hashes: list[str], *_: Any) -> Any:
        return self._context(seat, [self._status(seat, one) for one in hashes])

    def _status(self, seat: Seat, hash: str) -> dict[str, Any] | None:
        landing, head = self.landed.get(hash), self._known(seat)
        if landing is None or landing.slot > head or "unseen" in seat.lies:
            return None
        depth = head - landing.slot
        level = "finalized" if depth >= FINAL_SLOTS else "confirmed" if depth >= CONFIRMED_SLOTS else "processed"
        confirmations = None if level == "finalized" else depth
        error = {"InstructionError": [0, "Custom"]} if "outcome" in seat.lies else landing.error
        return {
            "slot": landing.slot, "err": error, "confirmations": confirmations, "confirmationStatus": level
        }  # fmt: skip

    def _getTransaction(self, seat: Seat, hash: str, *_: Any) -> Any:
        landing = self.landed.get(hash)
        if landing is None or landing.slot > self._seen(seat) - CONFIRMED_SLOTS or "unseen" in seat.lies:
            return None
        named = self._blockhash(3) if "receipt" in seat.lies else hash
        meta = {"err": landing.error, "fee": landing.said.fee, "preBalances": landing.pre, "postBalances": landing.post}
        return {"slot": landing.slot, "meta": meta, "transaction": {"signatures": [named]}}


def has_no_block(slot: int) -> bool:
    """Whether its leader slept."""
    return slot % SKIPPED == 5


def lamports(account: Account | None) -> int:
    """What an account holds."""
    return account.lamports if account else 0


def shown(accounts: Mapping[str, Account | None], addresses: Iterable[str]) -> list[dict[str, Any] | None]:
    """Accounts as getMultipleAccounts tells of them."""
    return [
        None
        if (account := accounts.get(address)) is None
        else {
            "lamports": account.lamports,
            "owner": account.owner,
            "data": [b64encode(account.data).decode(), "base64"],
        }
        for address in addresses
    ]
