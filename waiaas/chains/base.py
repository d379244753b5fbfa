"""The Chain protocol: everything the pipeline may ask of a network, whatever runs behind it.

An adapter knows no status, policy, session or table, keeps nothing that a restart would miss, and
reaches its node only through `chains/rpc.py`. Amounts are base-unit ints. Errors are Permanent
(cannot succeed as asked), Transient (unknown, again later) or Stale (fetch the slot anew).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import msgspec

from waiaas.domain.chain import Network
from waiaas.domain.request import Effect, Request, Token


class Signer(Protocol):
    """The keystore, as a chain sees it: the key never leaves it."""

    def sign(self, agent_id: str, payload: bytes) -> bytes:
        """Ed25519 over `payload`, or 65-byte recoverable secp256k1 over a 32-byte hash."""
        ...


class Asset(msgspec.Struct, frozen=True):
    """A balance at an address; `mint` is "native" or the token's address."""

    mint: str
    symbol: str
    name: str
    balance: int
    decimals: int
    is_native: bool


class FeeTerms(msgspec.Struct, frozen=True):
    """What a fee bound is made of: on EVM the gas limit and wei per gas, on Solana the compute unit limit."""

    gas_limit: int | None = None
    max_fee_per_gas: int | None = None
    max_priority_fee_per_gas: int | None = None
    compute_units: int | None = None


class Holding(msgspec.Struct, frozen=True):
    """A token that an address holds; on Solana one token account of it. `obstacle`: why it cannot be sent from here."""

    token: Token
    amount: int
    account: str | None = None
    #: frozen (by its issuer) or unsupported; None: nothing is known to stand in the way
    obstacle: str | None = None


class Grant(msgspec.Struct, frozen=True):
    """Somebody who may move an owner's tokens."""

    owner: str
    token: str
    spender: str


class Allowed(msgspec.Struct, frozen=True):
    """How much that is, as every healthy endpoint says; `height` is the lowest block or slot that one answered at."""

    amount: int
    height: int


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """A request that the chain has simulated: what it will cost. Each adapter adds how it will be built.

    Of a sweep `request` is what it comes to: a transfer of all there is.
    """

    request: Request
    sender: str
    #: expected fee, and the upper bound of what the signed bytes can cost, rent included
    fee: int
    max_fee: int
    #: rent the sender pays for accounts the request creates
    rent: int = 0
    #: what the simulation saw leave beyond the declared effects; judged and booked before anything is signed
    undeclared: tuple[Effect, ...] = ()
    #: EVM: an allowance that is not 0 must be set to 0 before this approval
    needs_reset: bool = False
    #: what a person should know: the previous delegate or allowance, for instance
    notes: tuple[str, ...] = ()
    logs: tuple[str, ...] = ()
    #: gas or compute units that the simulation used; None where it did not tell
    consumed: int | None = None

    def terms(self) -> FeeTerms:
        """What the fee bound is made of."""
        return FeeTerms()


class Blockhash(msgspec.Struct, frozen=True):
    """Solana: signed bytes can land until the block height passes `last_valid_block_height`."""

    blockhash: str
    last_valid_block_height: int
    context_slot: int


class Nonce(msgspec.Struct, frozen=True):
    """EVM: signed bytes can land until another transaction of the sender takes this number."""

    number: int


#: what makes signed bytes valid once and not for ever
Slot = Blockhash | Nonce


#: what tells one landed transaction of a key from the next: its nonce (EVM), its signature (Solana)
Mark = int | str


class Fees(msgspec.Struct, frozen=True):
    """EVM (EIP-1559): the most paid per gas, and what of it may go to the block's proposer, in wei."""

    max_fee_per_gas: int
    max_priority_fee_per_gas: int


class Signed(msgspec.Struct, frozen=True):
    """Signed bytes, their hash computed here, and the most they can cost."""

    raw: bytes
    hash: str
    max_fee: int
    slot: Slot


class Attempt(msgspec.Struct, frozen=True):
    """What a chain needs to know of signed bytes to follow them."""

    hash: str
    sender: str
    slot: Slot


class Sighting(msgspec.Struct, frozen=True):
    """One endpoint's word that it has seen a transaction."""

    hash: str
    #: slot or block number it landed in
    block: int
    #: in a block at the depth that CONFIRMED needs
    confirmed: bool
    finalized: bool
    #: False: landed and failed; `error` says how
    ok: bool
    error: str | None = None
    #: blocks on top, its own included; None once finalized and no longer counted
    confirmations: int | None = None
    #: EVM: the hash of that block, which must stay the same until it is final
    block_hash: str | None = None

    def is_seconded_by(self, other: "Sighting") -> bool:
        """Whether another endpoint says the same: that block, that outcome, and no less deep."""
        same = (other.block, other.block_hash, other.ok) == (self.block, self.block_hash, self.ok)
        return same and other.confirmed and (other.finalized or not self.finalized)


class Receipt(msgspec.Struct, frozen=True):
    """What a landed transaction really cost: `fee` as paid, `outflow` of native money without the fee."""

    hash: str
    block: int
    fee: int
    #: None on EVM: what the effects declare is what leaves
    outflow: int | None


class Proof(msgspec.Struct, frozen=True):
    """Evidence that signed bytes can never land; goes into the audit row."""

    hash: str
    evidence: Mapping[str, int | str]


class Chain(Protocol):
    """One adapter, for one network."""

    network: Network
    #: seconds between polls, and between sendings of bytes that nobody has seen yet
    poll_seconds: float
    rebroadcast_seconds: float
    #: seconds after a look from which freshly sent bytes bring on the next one; None: they wait for the poll
    hurry_seconds: float | None
    #: seconds without a sighting after which bytes are replaced by dearer ones; None: never (Solana)
    stuck_seconds: float | None

    def address(self, text: str) -> str:
        """The canonical spelling of an address; ValueError if it is none. No I/O."""
        ...

    def fee_bound(self, request: Request) -> int:
        """An upper bound of fee and rent from what is known without asking; for the reservation at acceptance."""
        ...

    async def balance(self, address: str) -> int:
        """Native units at the address; never cached."""
        ...

    async def has_code(self, address: str) -> bool:
        """Whether a contract stands there, which has no key to sign with; never on Solana."""
        ...

    async def assets(self, address: str, tokens: Sequence[str] = ()) -> list[Asset]:
        """Native first, then tokens with a balance, largest first, ties by symbol; EVM: of those named in `tokens`."""
        ...

    async def holdings(self, address: str, tokens: Sequence[str] = ()) -> list[Holding]:
        """What a withdrawal can move besides native money, where there is any; EVM: of those named in `tokens`."""
        ...

    async def allowances(self, grants: Sequence[Grant]) -> dict[Grant, Allowed]:
        """What each spender may still move; absent where an endpoint does not answer or they do not all agree."""
        ...

    async def untaken(self, grant: Grant, approval: str, *, since: int, block: int, granted: int) -> int:
        """Of what was `granted` from block `since` on, at least so much was left when an approval replaced it.

        That is known by its hash and landed in `block`. 0 where the past is not told, Transient when nobody answers.
        """
        ...

    async def prepare(self, request: Request, sender: str) -> Prepared:
        """Read accounts and prices and simulate exactly this request; Permanent if it would fail."""
        ...

    async def slot(self, sender: str) -> Slot:
        """A fresh slot, fetched last, right before signing; EVM: the next nonce as the chain counts landed ones."""
        ...

    async def replacement(
        self, raw: bytes, request: Request, sender: str, *, cancel: bool, fees: Fees | None, afresh: bool = False
    ) -> Prepared:
        """Dearer bytes for the same nonce: the same call, or (`cancel`) 0 to oneself. ChainNotSupported on Solana.

        `fees` None: at least 9/8 of the old ones and the present price. Permanent if `fees` are below 9/8 of the old.
        The gas limit is not below the old one, unless it is to be estimated `afresh` because nodes refuse it.
        """
        ...

    def sign(self, prepared: Prepared, slot: Slot, signer: Signer, agent_id: str) -> Signed:
        """Build, sign, then decode the bytes again; SignedBytesMismatch if they say anything else."""
        ...

    async def underpriced(self, raw: bytes) -> bool:
        """EVM: whether signed bytes pay less than the network now asks. Never asked of Solana."""
        ...

    async def broadcast(self, raw: bytes, hash: str) -> str:
        """Send stored bytes; the endpoint that accepted. "Already known" is acceptance.

        ChainRejected if every endpoint refuses them for good; any other ChainError says less than that.
        """
        ...

    async def statuses(self, hashes: Iterable[str]) -> dict[str, Sighting]:
        """Which of these some endpoint has seen; absent means only that it was not seen."""
        ...

    async def seconded(self, sightings: Mapping[str, Sighting]) -> set[str]:
        """Those of which a second endpoint says the same, as `Sighting.is_seconded_by`; all if there is one."""
        ...

    async def receipts(self, hashes: Iterable[str]) -> dict[str, Receipt]:
        """Fee and outflow of landed transactions, in one JSON-RPC batch; absent: not known yet."""
        ...

    async def deaths(self, attempts: Iterable[Attempt]) -> dict[str, Proof]:
        """Proof for those that can never land any more; absent means only that it is not proven."""
        ...

    async def landed_since(self, address: str, mark: Mark | None) -> Sequence[Mark]:
        """What landed for the address after `mark`, oldest first; on Solana also what others signed that names it."""
        ...

    async def signed_by(self, address: str, marks: Sequence[Mark]) -> Mapping[Mark, bool]:
        """Whether the key of the address signed each; absent while that is not beyond doubt."""
        ...

    async def refresh(self) -> None:
        """Know the present price, for reservations that ask nobody; what fails is logged."""
        ...

    async def faucet(self, address: str, amount: int) -> None:
        """Give units away on a localnet, until the chain shows it; ChainNotSupported anywhere else, Transient."""
        ...
