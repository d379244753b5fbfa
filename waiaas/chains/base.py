"""The Chain protocol: everything the pipeline may ask of a network, whatever runs behind it.

An adapter knows no status, policy, session or table, keeps nothing that a restart would miss, and
reaches its node only through `chains/rpc.py`. Amounts are base-unit ints. Errors are Permanent
(cannot succeed as asked), Transient (unknown, again later) or Stale (fetch the slot anew).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import msgspec

from waiaas.domain.chain import Network
from waiaas.domain.request import Effect, Request


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


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """A request that the chain has simulated: what it will cost. Each adapter adds how it will be built."""

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

    async def assets(self, address: str, tokens: Sequence[str] = ()) -> list[Asset]:
        """Native first, then tokens with a balance, largest first, ties by symbol; EVM: of those named in `tokens`."""
        ...

    async def prepare(self, request: Request, sender: str) -> Prepared:
        """Read accounts and prices and simulate exactly this request; Permanent if it would fail."""
        ...

    async def slot(self, sender: str) -> Slot:
        """A fresh slot, fetched last, right before signing; EVM: the next nonce as the chain counts landed ones."""
        ...

    async def replacement(
        self, raw: bytes, request: Request, sender: str, *, cancel: bool, fees: Fees | None
    ) -> Prepared:
        """Dearer bytes for the same nonce: the same call, or (`cancel`) 0 to oneself. ChainNotSupported on Solana.

        `fees` None: at least 9/8 of the old ones and the present price. Permanent if `fees` are below 9/8 of the old.
        """
        ...

    def sign(self, prepared: Prepared, slot: Slot, signer: Signer, agent_id: str) -> Signed:
        """Build, sign, then decode the bytes again; SignedBytesMismatch if they say anything else."""
        ...

    async def underpriced(self, raw: bytes) -> bool:
        """EVM: whether signed bytes pay less than the network now asks. Never asked of Solana."""
        ...

    async def broadcast(self, raw: bytes, hash: str) -> str:
        """Send stored bytes; the endpoint that accepted. "Already known" is acceptance."""
        ...

    async def statuses(self, hashes: Iterable[str]) -> dict[str, Sighting]:
        """Which of these some endpoint has seen; absent means only that it was not seen."""
        ...

    async def receipts(self, hashes: Iterable[str]) -> dict[str, Receipt]:
        """Fee and outflow of landed transactions, in one JSON-RPC batch; absent: not known yet."""
        ...

    async def deaths(self, attempts: Iterable[Attempt]) -> dict[str, Proof]:
        """Proof for those that can never land any more; absent means only that it is not proven."""
        ...

    async def faucet(self, address: str, amount: int) -> None:
        """Give units away on a localnet, until the chain shows it; ChainNotSupported anywhere else, Transient."""
        ...
