"""LiteSVM, the Solana virtual machine of the solders wheel, as the chain uses it: run, simulate, read accounts."""

import hashlib
import json
from base64 import b64encode
from collections.abc import Sequence
from typing import Any

import msgspec
from solders.account import Account
from solders.clock import Clock as ClockSysvar
from solders.hash import Hash
from solders.litesvm import LiteSVM
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction
from solders.transaction_metadata import (
    FailedTransactionMetadata,
    SimulatedTransactionInfo,
    TransactionMetadata,
)

from waiaas.localnet.solana import base58
from waiaas.localnet.solana.slots import SLOTS_PER_EPOCH

#: where a nonce account keeps its value (version u32, state u32, authority 32 bytes before it)
NONCE = slice(40, 72)
#: the mint of wrapped SOL, which every cluster has from its genesis: no authorities, supply 0, 9 decimals
WRAPPED_SOL = Pubkey.from_string("So11111111111111111111111111111111111111112")
WRAPPED_SOL_MINT = bytes(36) + bytes(8) + bytes([9, 1]) + bytes(36)
TOKEN = Pubkey.from_string("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA")


class Outcome(msgspec.Struct, frozen=True):
    """What running a transaction led to; `error`, `inner` and `return_data` are in the RPC's JSON form."""

    #: whether it went into the block: it then paid its fee, failed or not
    landed: bool = False
    error: Any = None
    logs: tuple[str, ...] = ()
    units: int = 0
    fee: int = 0
    inner: tuple[dict[str, Any], ...] = ()
    return_data: dict[str, Any] | None = None
    #: after a simulation: writable accounts as they would be
    accounts: dict[Pubkey, Account] = {}


class Machine:
    """The accounts and the runtime. Signatures and the age of blockhashes are checked before it is called."""

    def __init__(self) -> None:
        self._svm = LiteSVM().with_sigverify(False).with_blockhash_check(False)
        self._slot = -1
        rent = self.rent(len(WRAPPED_SOL_MINT))
        self.put(WRAPPED_SOL, Account(rent, WRAPPED_SOL_MINT, TOKEN, False, 0))

    def at(self, slot: int, second: int, parents: Sequence[tuple[int, bytes]]) -> None:
        """Set the time that programs see, and the slots they take as recent: those of `parents`, newest first."""
        if slot == self._slot:
            return
        self._slot = slot
        self._svm.set_slot_hashes([(each, Hash(blockhash)) for each, blockhash in parents])
        epoch, since = divmod(slot, SLOTS_PER_EPOCH)
        started = second - since * 2 // 5
        self._svm.set_clock(ClockSysvar(slot, started, epoch, epoch + 1, second))

    def account(self, address: Pubkey) -> Account | None:
        """An account that exists: one without lamports does not."""
        account = self._svm.get_account(address)
        return account if account and account.lamports else None

    def put(self, address: Pubkey, account: Account) -> None:
        """Set an account."""
        self._svm.set_account(address, account)

    def balance(self, address: Pubkey) -> int:
        """Lamports; 0 for an account that does not exist."""
        return self._svm.get_balance(address) or 0

    def rent(self, size: int) -> int:
        """Lamports that exempt an account of `size` bytes from rent."""
        return self._svm.minimum_balance_for_rent_exemption(size)

    def execute(self, transaction: VersionedTransaction, *, is_durable: bool) -> Outcome:
        """Run it for good. With `is_durable` its hash must be that of a nonce account, which LiteSVM judges."""
        self._svm.with_blockhash_check(is_durable)
        result = self._svm.send_transaction(transaction)
        landed = self._svm.get_transaction(transaction.signatures[0]) is not None
        if not landed or isinstance(result, TransactionMetadata):
            return outcome(result, landed=landed)
        if is_durable:
            self._advance_nonce(transaction)
        return outcome(result, landed=True)

    def simulate(self, transaction: VersionedTransaction, *, is_durable: bool) -> Outcome:
        """Run it without any effect."""
        self._svm.with_blockhash_check(is_durable)
        return outcome(self._svm.simulate_transaction(transaction), landed=False)

    def _advance_nonce(self, transaction: VersionedTransaction) -> None:
        """A failed transaction uses its nonce up, too, which LiteSVM leaves undone."""
        message = transaction.message
        address = message.account_keys[message.instructions[0].accounts[0]]
        account = self._svm.get_account(address)
        assert account is not None
        data = bytearray(account.data)
        data[NONCE] = hashlib.sha256(b"DURABLE_NONCE" + bytes(message.recent_blockhash)).digest()
        self.put(address, Account(account.lamports, bytes(data), account.owner, account.executable, account.rent_epoch))


def outcome(
    result: TransactionMetadata | FailedTransactionMetadata | SimulatedTransactionInfo, *, landed: bool
) -> Outcome:
    """LiteSVM's result as an Outcome."""
    error, accounts = None, {}
    if isinstance(result, TransactionMetadata):
        meta = result
    else:
        meta = result.meta()
        if isinstance(result, FailedTransactionMetadata):
            error = json.loads(result.to_json())["err"]
        else:
            accounts = dict(result.post_accounts())
    return Outcome(
        landed=landed,
        error=error,
        logs=tuple(meta.logs()),
        units=meta.compute_units_consumed(),
        fee=meta.fee(),
        inner=inner_instructions(meta),
        return_data=return_data(meta),
        accounts=accounts,
    )


def inner_instructions(meta: TransactionMetadata) -> tuple[dict[str, Any], ...]:
    """The instructions that programs called, under the index of the outer one."""
    return tuple(
        {"index": index, "instructions": [compiled(each.instruction(), each.stack_height()) for each in inner]}
        for index, inner in enumerate(meta.inner_instructions())
        if inner
    )


def compiled(instruction: Any, stack_height: int | None) -> dict[str, Any]:
    """An instruction as RPC nodes show it, by index into the account keys."""
    return {
        "programIdIndex": instruction.program_id_index,
        "accounts": list(instruction.accounts),
        "data": base58.encode(instruction.data),
        "stackHeight": stack_height,
    }


def return_data(meta: TransactionMetadata) -> dict[str, Any] | None:
    """What the last program returned; None if nothing."""
    returned = meta.return_data()
    if not returned.data:
        return None
    return {"programId": str(returned.program_id), "data": [b64encode(returned.data).decode(), "base64"]}
