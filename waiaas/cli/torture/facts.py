"""What is known from outside the daemon: what was wanted, what was answered, what landed on a chain."""

from collections import Counter

import msgspec


class Effect(msgspec.Struct, frozen=True):
    """Something that happens on a chain: so many base units of an asset go from one address to another."""

    network: str
    sender: str
    asset: str
    to: str
    amount: int


class Intent(msgspec.Struct, frozen=True, tag="intent"):
    """What a client is about to ask for; no two intents have an effect in common."""

    id: str
    operation: str
    agent_id: str
    key: str | None
    effects: tuple[Effect, ...]


class Answer(msgspec.Struct, frozen=True, tag="answer"):
    """What the daemon said to an intent: the transaction it accepted, or the code of its refusal."""

    intent: str
    status: int
    transaction: str | None = None
    code: str | None = None

    @property
    def accepted(self) -> bool:
        """Whether the daemon took it upon itself."""
        return self.transaction is not None


class Seen(msgspec.Struct, frozen=True, tag="seen"):
    """A final status that the daemon told a client."""

    transaction: str
    status: str


class Landed(msgspec.Struct, frozen=True):
    """A transaction in a block; `effects` is empty if it failed there. `paid` is what left the signer, fee included."""

    network: str
    hash: str
    signer: str
    ok: bool
    fee: int
    paid: int
    effects: tuple[Effect, ...]


class Truth(msgspec.Struct, frozen=True):
    """The chains' own word: all that landed for some addresses by hash, and what each holds by (network, address)."""

    landed: dict[str, Landed]
    balances: dict[tuple[str, str], int]
    native: dict[str, str]

    def effects(self) -> Counter[Effect]:
        """How often each effect happened."""
        return Counter(effect for landed in self.landed.values() for effect in landed.effects)

    def received(self, network: str, address: str) -> int:
        """Native units that others sent there."""
        return sum(
            effect.amount
            for landed in self.landed.values()
            for effect in landed.effects
            if (effect.network, effect.to, effect.asset) == (network, address, self.native[network])
            and effect.sender != address
        )

    def paid(self, network: str, address: str) -> int:
        """Native units that left the address with transactions it signed, fees included."""
        return sum(
            landed.paid for landed in self.landed.values() if (landed.network, landed.signer) == (network, address)
        )
