"""The embedded Solana cluster of one node: it accepts transactions, lands them a block per slot, and keeps history.

Nothing runs in the background. Every call first settles the chain: a block whose slot has ended is executed
and committed before anything is answered, so no reply tells of what a crash could undo.
"""

import msgspec
import structlog
from solders.account import Account
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.system_program import ID as SYSTEM_PROGRAM
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from waiaas.clock import Clock
from waiaas.errors import RpcRefusal
from waiaas.ids import entropy
from waiaas.localnet.solana.keys import message_of, read_keys
from waiaas.localnet.solana.machine import Machine, Outcome
from waiaas.localnet.solana.meta import as_meta, preflight_failure, read_balances
from waiaas.localnet.solana.slots import Slots
from waiaas.localnet.solana.store import Block, Identity, Landed, Store

LAMPORTS_PER_SOL = 1_000_000_000
FAUCET_LAMPORTS = 500_000_000 * LAMPORTS_PER_SOL

MEMO_PROGRAM = Pubkey.from_string("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr")

SIGNATURE_FAILURE = -32003

log = structlog.get_logger(__name__)


class Cluster:
    """One chain over its store; every call is short and blocks."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self.store = store
        self.machine = Machine()
        identity = store.identity() or self._begin(clock)
        self.genesis_hash = identity.genesis_hash
        self._faucet = Keypair.from_seed(identity.faucet)
        self.slots = Slots(clock, identity.genesis_milliseconds, identity.seed, identity.last_slot)
        for address, account in store.accounts():
            self.machine.put(Pubkey(address), account)
        self._pending: dict[Signature, VersionedTransaction] = {}
        self._unsaved: Block | None = None

    def settle(self) -> None:
        """Bring the chain up to the present: end the block of a slot that is over, then let the slots pass."""
        self._save()
        slot = self.slots.due()
        if slot > self.slots.current:
            self._seal()
            self.slots.move(slot)

    def close(self) -> None:
        """End the present block early, so that a stop in good order loses nothing that was accepted."""
        self.settle()
        self._seal()

    def submit(self, transaction: VersionedTransaction, *, preflight: bool) -> Signature:
        """Accept a transaction for the present block; without `preflight` one that cannot land is dropped silently.

        Raises RpcRefusal for a wrong signature, or if the simulation fails.
        """
        signature: Signature = transaction.signatures[0]
        if not all(transaction.verify_with_results()):
            if preflight:
                raise RpcRefusal(SIGNATURE_FAILURE, "Transaction signature verification failure")
            log.debug("dropped a transaction that cannot land", transaction=str(signature), error="SignatureFailure")
            return signature
        if preflight and (outcome := self.simulate(transaction)).error is not None:
            raise preflight_failure(outcome)
        self._pending[signature] = transaction
        return signature

    def simulate(self, transaction: VersionedTransaction, *, any_hash: bool = False) -> Outcome:
        """Run it on the newest block without effect; with `any_hash` its age and signature do not matter."""
        if not any_hash and self.store.status(bytes(transaction.signatures[0])):
            return Outcome(error="AlreadyProcessed")
        self._set_time()
        return self.machine.simulate(transaction, is_durable=not any_hash and not self._is_recent(transaction))

    def airdrop(self, address: Pubkey, lamports: int) -> Signature:
        """Send money from the faucet; a random memo keeps equal airdrops on one blockhash apart."""
        faucet = self._faucet.pubkey()
        instructions = [
            transfer(TransferParams(from_pubkey=faucet, to_pubkey=address, lamports=lamports)),
            Instruction(MEMO_PROGRAM, f"airdrop {entropy(8).hex()}".encode(), [AccountMeta(faucet, True, False)]),
        ]
        message = MessageV0.try_compile(faucet, instructions, [], Hash(self.slots.latest()[0]))
        return self.submit(VersionedTransaction(message, [self._faucet]), preflight=True)

    def _begin(self, clock: Clock) -> Identity:
        identity = Identity(
            genesis_hash=entropy(32),
            genesis_milliseconds=int(clock.wall() * 1000),
            seed=entropy(32),
            faucet=entropy(32),
        )
        faucet = Keypair.from_seed(identity.faucet).pubkey()
        self.store.begin(identity, {bytes(faucet): Account(FAUCET_LAMPORTS, b"", SYSTEM_PROGRAM)})
        return identity

    def _seal(self) -> None:
        """Execute what was accepted in the current slot and commit the block."""
        if not self._pending:
            return
        self._set_time()
        pending, self._pending = self._pending, {}
        touched: set[Pubkey] = set()
        landed = [each for transaction in pending.values() if (each := self._land(transaction, touched))]
        accounts = {bytes(address): self.machine.account(address) for address in touched}
        self._unsaved = Block(self.slots.current, landed, accounts)
        self._save()

    def _save(self) -> None:
        """Commit the block that was executed last; it is kept for the next try if the disk refuses it."""
        if self._unsaved:
            self.store.save(self._unsaved)
            self._unsaved = None

    def _land(self, transaction: VersionedTransaction, touched: set[Pubkey]) -> Landed | None:
        """Execute one transaction; None if it did not go into the block."""
        signature = transaction.signatures[0]
        if self.store.status(bytes(signature)):
            return None
        keys = read_keys(message_of(transaction), self.machine.account)
        before = read_balances(keys.all, self.machine)
        outcome = self.machine.execute(transaction, is_durable=not self._is_recent(transaction))
        if not outcome.landed:
            log.debug("dropped a transaction that cannot land", transaction=str(signature), error=outcome.error)
            return None
        touched.update(keys.writable)
        return Landed(
            signature=bytes(signature),
            slot=self.slots.current,
            raw=bytes(transaction),
            error=None if outcome.error is None else msgspec.json.encode(outcome.error).decode(),
            meta=msgspec.json.encode(as_meta(outcome, keys, before, read_balances(keys.all, self.machine))),
            mentions=tuple({bytes(key): None for key in keys.all}),
        )

    def _is_recent(self, transaction: VersionedTransaction) -> bool:
        return self.slots.is_recent(bytes(transaction.message.recent_blockhash))

    def _set_time(self) -> None:
        self.machine.at(self.slots.current, self.slots.second(self.slots.current), self.slots.parents())
