"""The slot clock of the embedded Solana chain, and the blockhashes of its newest blocks."""

import hashlib

from waiaas.clock import Clock

SLOT_MILLISECONDS = 400

#: MAX_PROCESSING_AGE of Solana: a blockhash may be used in the 150 blocks after its own
MAX_AGE = 150

SLOTS_PER_EPOCH = 432_000


class Slots:
    """Slots counted from the genesis time; one block per slot, so that block heights are slots.

    The hash of a slot is derived from the secret `seed` of the chain: nobody foresees it, none repeats, and
    a hash given out stays valid through a crash although empty blocks are never stored.
    """

    def __init__(self, clock: Clock, genesis_milliseconds: int, seed: bytes, last: int) -> None:
        self._clock = clock
        self._genesis = genesis_milliseconds
        self._seed = seed
        self._hashes: dict[bytes, int] = {}
        self.current = last
        self.move(self.due())

    def due(self) -> int:
        """The slot it is now; when the system's clock is set back, slots go on from the current one."""
        now = int(self._clock.wall() * 1000)
        self._genesis = min(self._genesis, now - self.current * SLOT_MILLISECONDS)
        return (now - self._genesis) // SLOT_MILLISECONDS

    def move(self, slot: int) -> None:
        """Make `slot` the current one; hashes older than MAX_AGE are forgotten."""
        oldest = max(0, slot - MAX_AGE)
        self._hashes = {each: born for each, born in self._hashes.items() if born >= oldest}
        newest = max(self._hashes.values(), default=oldest - 1)
        self._hashes |= {self._hash(born): born for born in range(newest + 1, slot + 1)}
        self.current = slot

    def latest(self) -> tuple[bytes, int]:
        """The newest blockhash, and the last block height at which it can be used."""
        return self._hash(self.current), self.current + MAX_AGE

    def is_recent(self, blockhash: bytes) -> bool:
        """Whether a transaction may use this hash in the current block."""
        return blockhash in self._hashes

    def parents(self) -> list[tuple[int, bytes]]:
        """(slot, hash) of the blocks before the current one, as far as hashes are recent, newest first."""
        return [(born, each) for each, born in reversed(self._hashes.items()) if born < self.current]

    def second(self, slot: int) -> int:
        """Epoch seconds at which a slot began."""
        return (self._genesis + slot * SLOT_MILLISECONDS) // 1000

    def _hash(self, slot: int) -> bytes:
        return hashlib.blake2b(slot.to_bytes(8, "little"), key=self._seed, digest_size=32).digest()
