"""What is known from outside the daemon: what was wanted, what was answered, what landed on a chain."""

from collections import Counter

import msgspec


class Effect(msgspec.Struct, frozen=True):
    """Something that happens on a chain: so many base units of an asset go from one address to another.

    An allowance is an asset of its own, `allowance_of` its token, that goes to the spender; 0 of it takes it back.
    """

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


class Decision(msgspec.Struct, frozen=True, tag="decision"):
    """What an owner is about to say of a transaction: approve or reject."""

    id: str
    transaction: str
    action: str


class Decided(msgspec.Struct, frozen=True, tag="decided"):
    """What the daemon answered to a decision; there is none if the answer was lost."""

    decision: str
    status: int
    code: str | None = None


class Renewal(msgspec.Struct, frozen=True, tag="renewal"):
    """A session that is about to be renewed, or, `done`, that has been."""

    session: str
    done: bool = False


class Elsewhere(msgspec.Struct, frozen=True, tag="elsewhere"):
    """What a stranger is about to send with an agent's key; `mark` is the nonce or the signature it is told of by."""

    hash: str
    agent_id: str
    mark: str


class Gone(msgspec.Struct, frozen=True, tag="gone"):
    """What was in a block that a branch took away."""

    hash: str


class Landed(msgspec.Struct, frozen=True):
    """A transaction in a block; `effects` is empty if it failed there. `paid` is what left the signer, fee included."""

    network: str
    hash: str
    signer: str
    ok: bool
    fee: int
    paid: int
    effects: tuple[Effect, ...]

    def paid_in(self, asset: str, native: str, address: str) -> int:
        """Units of an asset that left an address with it."""
        if asset == native:
            return self.paid if self.signer == address else 0
        return sum(effect.amount for effect in self.effects if (effect.sender, effect.asset) == (address, asset))


class Truth(msgspec.Struct, frozen=True):
    """The chains' own word: all that landed for some addresses by hash, and what each holds.

    `balances` by (network, address, asset); `native` and `tokens` are the assets there are, by network.
    """

    landed: dict[str, Landed]
    balances: dict[tuple[str, str, str], int]
    native: dict[str, str]
    tokens: dict[str, str]

    def effects(self) -> Counter[Effect]:
        """How often each effect happened."""
        return Counter(effect for landed in self.landed.values() for effect in landed.effects)

    def assets(self, network: str) -> list[str]:
        """What an address there can hold."""
        return [known[network] for known in (self.native, self.tokens) if network in known]

    def received(self, network: str, address: str, asset: str) -> int:
        """Units that others sent there."""
        return sum(
            effect.amount
            for landed in self.landed.values()
            for effect in landed.effects
            if (effect.network, effect.to, effect.asset) == (network, address, asset) and effect.sender != address
        )

    def taken(self, network: str, address: str, asset: str) -> int:
        """Units of a token that left the address by what others signed."""
        return sum(
            landed.paid_in(asset, self.native[network], address)
            for landed in self.landed.values()
            if landed.network == network and landed.signer != address
        )

    def paid(self, network: str, address: str, asset: str) -> int:
        """Units that left the address: native ones with what it signed, fees included; of a token by anybody."""
        return sum(
            landed.paid_in(asset, self.native[network], address)
            for landed in self.landed.values()
            if landed.network == network
        )


def allowance_of(asset: str) -> str:
    """The asset that somebody who may spend a token is given."""
    return f"allowance:{asset}"
