"""A Solana network behind the Chain protocol."""

import asyncio
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence

from solders.message import to_bytes_versioned
from solders.pubkey import Pubkey
from solders.signature import Signature

from waiaas.chains.base import (
    Allowed,
    Asset,
    Attempt,
    Blockhash,
    Fees,
    Grant,
    Holding,
    Mark,
    Prepared,
    Proof,
    Receipt,
    Sighting,
    Signed,
    Signer,
    Slot,
)
from waiaas.chains.kept import Kept
from waiaas.chains.reading import reading
from waiaas.chains.refused import judged
from waiaas.chains.rpc import Dialect, Rpc
from waiaas.chains.solana import answers, build, history, plan, refusals, watch
from waiaas.chains.solana.assets import list_assets
from waiaas.chains.solana.deaths import prove
from waiaas.chains.solana.grants import read_grants
from waiaas.chains.solana.plan import Plan
from waiaas.chains.solana.prepare import Preparer, SolanaPrepared
from waiaas.chains.solana.read import read
from waiaas.chains.solana.sweep import list_holdings
from waiaas.chains.solana.taken import read_untaken
from waiaas.clock import Clock
from waiaas.domain.chain import LOCALNETS, Network
from waiaas.domain.request import Request
from waiaas.errors import ChainNotSupported, NodeRefused, SignedBytesMismatch, Stale, Transient

DIALECT = Dialect(identity_method="getGenesisHash", head_method="getSlot", max_lag=50)
#: the genesis hashes that a public network's nodes must answer (https://docs.anza.xyz/clusters/available)
GENESIS = {
    Network.MAINNET: "5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d",
    Network.DEVNET: "EtWTRABZaYq6iMfeYKouRu166VU2xqa1wcaWoxPkrZBG",
    Network.TESTNET: "4uhcVJyU9pJkvQyS88uRDiswHXSGkY3zQawwpjk2NsNY",
}

CONFIRMED = {"commitment": "confirmed"}
#: a blockhash is good for 150 slots of 0.4 s, so a second of sharing costs little of it
SLOT_SECONDS = 1.0
#: blockhashes whose messages are remembered, so that equal ones are told apart
BLOCKHASHES = 8
#: hashes remembered as sent once already
SENT = 4096
#: rent of an associated account of Token-2022, the larger of the two (170 bytes and 128 of its own, at 6960 lamports)
HOLDER_RENT = 2_074_080
GIFT_SECONDS = 10.0


class SolanaChain:
    """One Solana network; `max_priority_fee_lamports` caps what is paid for priority, per transaction."""

    def __init__(self, network: Network, rpc: Rpc, clock: Clock, max_priority_fee_lamports: int) -> None:
        self.network = network
        self.rpc = rpc
        self.poll_seconds = 0.2 if network in LOCALNETS else 1.0
        self.rebroadcast_seconds = 2.0
        # a block ends with its slot, whatever is sent
        self.hurry_seconds: float | None = None
        self.stuck_seconds: float | None = None
        self._max_priority_fee = max_priority_fee_lamports
        self._preparer = Preparer(rpc, clock, max_priority_fee_lamports)
        self._slots: Kept[Blockhash] = Kept(clock, SLOT_SECONDS)
        self._signed: dict[str, dict[Plan, set[int]]] = {}
        self._sent: dict[str, None] = {}

    def address(self, text: str) -> str:
        """Base58 of exactly 32 bytes, case kept."""
        try:
            return str(Pubkey.from_string(text))
        except ValueError as error:
            raise ValueError("must be a Solana address: base58 of 32 bytes") from error

    def fee_bound(self, request: Request) -> int:
        """Every signature, the whole priority cap, and rent for each token account it may have to open."""
        signed = build.LAMPORTS_PER_SIGNATURE * plan.signatures(request)
        return signed + self._max_priority_fee + HOLDER_RENT * plan.holders(request)

    async def balance(self, address: str) -> int:
        """Lamports at commitment confirmed."""
        with reading():
            return await self.rpc.call("getBalance", [address, CONFIRMED], answers.balance)

    async def has_code(self, address: str) -> bool:
        """Programs and their accounts are told apart by nothing that a wallet would not have too."""
        return False

    async def assets(self, address: str, tokens: Sequence[str] = ()) -> list[Asset]:
        """SOL, and the tokens of both token programs."""
        with reading():
            return await list_assets(self.rpc, address)

    async def holdings(self, address: str, tokens: Sequence[str] = ()) -> list[Holding]:
        """The token accounts of both token programs that hold something."""
        with reading():
            return await list_holdings(self.rpc, address)

    async def allowances(self, grants: Sequence[Grant]) -> dict[Grant, Allowed]:
        """What delegates may still move, as `solana/grants.py` reads it."""
        with reading():
            return await read_grants(self.rpc, grants)

    async def untaken(self, grant: Grant, approval: str, *, since: int, block: int, granted: int) -> int:
        """What the history of the token accounts shows, as `solana/taken.py` reads it."""
        return await read_untaken(self.rpc, grant, approval, since=since, granted=granted)

    async def prepare(self, request: Request, sender: str) -> SolanaPrepared:
        """As `solana/prepare.py` reads, simulates and judges it."""
        return await self._preparer.prepare(request, sender)

    async def slot(self, sender: str) -> Blockhash:
        """The latest confirmed blockhash, at most a second old; the same for every sender."""
        with reading():
            return await self._slots.get("", lambda: self.rpc.call("getLatestBlockhash", [CONFIRMED], answers.slot))

    async def replacement(
        self, raw: bytes, request: Request, sender: str, *, cancel: bool, fees: Fees | None, afresh: bool = False
    ) -> Prepared:
        """Solana has no way to take signed bytes back."""
        raise ChainNotSupported("On Solana nothing that was signed can be replaced: it lands, or it expires.")

    def sign(self, prepared: Prepared, slot: Slot, signer: Signer, agent_id: str) -> Signed:
        """Sign a v0 message; equal requests on one blockhash get different unit limits, so that both can land.

        Stale if that blockhash has too many of them; the fee is never above the prepared one.
        """
        assert isinstance(prepared, SolanaPrepared)
        assert isinstance(slot, Blockhash)
        units = self._distinct_units(prepared, slot.blockhash)
        wanted = prepared.plan.message(units, prepared.unit_price, slot.blockhash)
        message = build.compiled(wanted)
        raw = build.wire(message, Signature.from_bytes(signer.sign(agent_id, to_bytes_versioned(message))))
        try:
            said, signature = read(raw, [type(step) for step in wanted.steps])
        except (ValueError, IndexError) as error:
            raise SignedBytesMismatch() from error
        if said != wanted:
            raise SignedBytesMismatch()
        max_fee = build.fee(units, prepared.unit_price, prepared.signatures) + prepared.rent
        return Signed(raw, signature, max_fee, slot)

    async def underpriced(self, raw: bytes) -> bool:
        """Solana's bytes are never replaced by dearer ones."""
        raise ChainNotSupported("On Solana nothing that was signed can be replaced: it lands, or it expires.")

    async def broadcast(self, raw: bytes, hash: str) -> str:
        """To the preferred endpoint the first time, to every one from then on."""
        config = {"encoding": "base64", "skipPreflight": True, "maxRetries": 0}
        again = hash in self._sent
        self._remember(hash)
        try:
            return await self.rpc.send(
                "sendTransaction",
                [b64encode(raw).decode(), config],
                answers.signature(hash),
                accepted=refusals.already_processed,
                everywhere=again,
            )
        except NodeRefused as error:
            raise judged(error, refusals.refusal) from error

    async def statuses(self, hashes: Iterable[str]) -> dict[str, Sighting]:
        """The whole history is searched each time: after a long stop a node's short memory knows nothing."""
        with reading():
            return await watch.statuses(self.rpc, list(hashes))

    async def seconded(self, sightings: Mapping[str, Sighting]) -> set[str]:
        """Every witness is asked for the statuses; two must agree with what was seen."""
        return await watch.seconded(self.rpc, sightings)

    async def receipts(self, hashes: Iterable[str]) -> dict[str, Receipt]:
        """One getTransaction each, together in as few batches as fit."""
        with reading():
            return await watch.receipts(self.rpc, list(hashes))

    async def deaths(self, attempts: Iterable[Attempt]) -> dict[str, Proof]:
        """Proofs as `solana/deaths.py` defines them."""
        with reading():
            return await prove(self.rpc, attempts)

    async def landed_since(self, address: str, mark: Mark | None) -> Sequence[Mark]:
        """Signatures of what names the address, incoming payments included."""
        assert not isinstance(mark, int)
        with reading():
            return await history.since(self.rpc, address, mark)

    async def signed_by(self, address: str, marks: Sequence[Mark]) -> dict[Mark, bool]:
        """As the signed bytes themselves say."""
        signed = await history.signed_by(self.rpc, address, [mark for mark in marks if isinstance(mark, str)])
        return dict(signed.items())

    async def refresh(self) -> None:
        """Nothing: the reservation is the cap that the configuration sets."""

    async def faucet(self, address: str, amount: int) -> None:
        """requestAirdrop, on localnet; Transient if the chain does not show it in ten seconds."""
        if self.network not in LOCALNETS:
            raise ChainNotSupported(f"{self.network} gives nothing away.")
        with reading():
            gift = await self.rpc.call("requestAirdrop", [address, amount], answers.SIGNATURE.decode)
        try:
            async with asyncio.timeout(GIFT_SECONDS):
                await self._shown(gift)
        except TimeoutError as error:
            raise Transient("The gift was sent, but the chain does not show it yet.") from error

    async def _shown(self, hash: str) -> None:
        while True:
            if hash in await self.statuses([hash]):
                return
            await asyncio.sleep(self.poll_seconds)

    def _distinct_units(self, prepared: SolanaPrepared, blockhash: str) -> int:
        """The unit limit, or the next lower one that no equal message on this blockhash has.

        Equal bytes would be one transaction on chain, not two. What the simulation used plus a tenth stays.
        """
        signed = self._signed.setdefault(blockhash, {})
        while len(self._signed) > BLOCKHASHES:
            del self._signed[next(iter(self._signed))]
        taken = signed.setdefault(prepared.plan, set())
        lowest = -(-prepared.units * 11 // 12)
        for units in range(prepared.units, lowest - 1, -1):
            if units not in taken:
                taken.add(units)
                return units
        raise Stale("Too many equal transactions on this blockhash.")

    def _remember(self, hash: str) -> None:
        self._sent[hash] = None
        if len(self._sent) > SENT:
            del self._sent[next(iter(self._sent))]
