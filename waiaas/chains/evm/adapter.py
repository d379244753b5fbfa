"""An EVM network behind the Chain protocol."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence

import structlog

from waiaas.chains.base import (
    Allowed,
    Asset,
    Attempt,
    Fees,
    Grant,
    Holding,
    Mark,
    Nonce,
    Prepared,
    Proof,
    Receipt,
    Sighting,
    Signed,
    Signer,
    Slot,
)
from waiaas.chains.evm import answers, ask, build, faucet, refusals, spent, watch
from waiaas.chains.evm.answers import Landed
from waiaas.chains.evm.build import Payment
from waiaas.chains.evm.deaths import Deaths
from waiaas.chains.evm.grants import read_grants, read_untaken
from waiaas.chains.evm.networks import PROFILES
from waiaas.chains.evm.prepare import L1_FACTOR, PreparedCall, Preparer
from waiaas.chains.evm.prices import Prices
from waiaas.chains.evm.tokens import list_assets
from waiaas.chains.kept import Kept
from waiaas.chains.reading import reading
from waiaas.chains.refused import judged
from waiaas.chains.rpc import Rpc
from waiaas.clock import Clock
from waiaas.domain.chain import LOCALNETS, Network
from waiaas.domain.request import (
    Approve,
    Batch,
    ContractCall,
    Request,
    Sweep,
    SweepToken,
    Token,
    TokenTransfer,
    Transfer,
)
from waiaas.errors import ChainNotSupported, NodeRefused, SignedBytesMismatch, Stale, Transient

log = structlog.get_logger(__name__)

#: a count that is a moment old is corrected by what this wallet knows as landed
COUNT_SECONDS = 0.2
#: hashes remembered as sent once already
SENT = 4096
#: the reservation holds while the price or the gas doubles
RESERVED_FACTOR = 2
#: what the code of a plain account begins with that has delegated to a contract
DELEGATION = b"\xef\x01\x00"
#: what a byte of a memo costs at most (EIP-7623)
MEMO_BYTE_GAS = 40
TOKEN_TRANSFER_GAS, APPROVE_GAS, CALL_GAS = 100_000, 160_000, 500_000


class EvmChain:
    """One EVM network; nothing is signed while gas costs more than `max_fee_gwei`."""

    def __init__(self, network: Network, rpc: Rpc, clock: Clock, max_fee_gwei: int) -> None:
        self.network = network
        self.rpc = rpc
        self._profile = PROFILES[network]
        self.poll_seconds = self._profile.poll_seconds
        self.rebroadcast_seconds = self._profile.rebroadcast_seconds
        self.hurry_seconds = self._profile.hurry_seconds
        self.stuck_seconds: float | None = self._profile.stuck_seconds
        self._prices = Prices(rpc, clock, self._profile.least_tip, max_fee_gwei)
        self._preparer = Preparer(rpc, self._profile, self._prices)
        self._counts: Kept[int] = Kept(clock, COUNT_SECONDS)
        self._deaths = Deaths(rpc, self._profile.final_depth)
        self._landed: dict[str, Landed] = {}
        self._sent: dict[str, None] = {}
        self._giver = faucet.Giver(rpc)

    def address(self, text: str) -> str:
        """EIP-55; one case says nothing of a checksum, mixed case must carry it."""
        return build.address(text)

    def fee_bound(self, request: Request) -> int:
        """The usual gas of such a request, twice, at the last known price; at the ceiling while none is known."""
        price = self._prices.latest
        per_gas = self._prices.cap if price is None else min(price.fees.max_fee_per_gas, self._prices.cap)
        calls = len(request.instructions) if isinstance(request, Batch) else 1
        l1_fees = calls * L1_FACTOR * self._preparer.latest_l1_fee
        return RESERVED_FACTOR * (self._usual_gas(request) * per_gas + l1_fees)

    async def balance(self, address: str) -> int:
        """Wei in the newest block."""
        with reading():
            return await ask.balance(self.rpc, address)

    async def has_code(self, address: str) -> bool:
        """Code in the newest block, but for a delegation, whose account keeps its key (EIP-7702)."""
        with reading():
            code = await ask.code(self.rpc, address)
        return bool(code) and not code.startswith(DELEGATION)

    async def assets(self, address: str, tokens: Sequence[str] = ()) -> list[Asset]:
        """Native money, and those of the tokens named that the address holds."""
        with reading():
            return await list_assets(self.rpc, address, tokens)

    async def holdings(self, address: str, tokens: Sequence[str] = ()) -> list[Holding]:
        """Those of the tokens named that the address holds; whether one is stopped, only its simulation tells."""
        held = (await self.assets(address, tokens))[1:]
        return [Holding(Token(one.mint, one.decimals, one.symbol), one.balance) for one in held]

    async def allowances(self, grants: Sequence[Grant]) -> dict[Grant, Allowed]:
        """What spenders may still move, as `evm/grants.py` reads it."""
        with reading():
            return await read_grants(self.rpc, grants)

    async def untaken(self, grant: Grant, approval: str, *, since: int, block: int, granted: int) -> int:
        """What was allowed at the block before, less all that left in that block, as `evm/grants.py` reads it."""
        return min(granted, await read_untaken(self.rpc, grant, approval, block))

    async def prepare(self, request: Request, sender: str) -> Prepared:
        """As `evm/prepare.py` reads, simulates and judges it; FeeAboveCap while gas is too dear."""
        return await self._preparer.prepare(request, sender)

    async def slot(self, sender: str) -> Slot:
        """The nonce after the last one that landed."""
        with reading():
            return Nonce(
                await self._counts.get(sender, lambda: asyncio.ensure_future(ask.lowest_count(self.rpc, sender)))
            )

    async def replacement(
        self, raw: bytes, request: Request, sender: str, *, cancel: bool, fees: Fees | None, afresh: bool = False
    ) -> Prepared:
        """Dearer bytes for the nonce of `raw`; FeeAboveCap, InsufficientForFee, or Permanent for fees too low."""
        old, _ = build.read(raw)
        return await self._preparer.replacement(old, request, sender, cancel=cancel, fees=fees, afresh=afresh)

    async def underpriced(self, raw: bytes) -> bool:
        """Whether the next block would take others first."""
        paid, _ = build.read(raw)
        with reading():
            price = await self._prices.now()
        return price.is_above(Fees(paid.max_fee_per_gas, paid.max_priority_fee_per_gas))

    def sign(self, prepared: Prepared, slot: Slot, signer: Signer, agent_id: str) -> Signed:
        """Sign a type 2 transaction; Stale for an approval whose reset must land first."""
        assert isinstance(prepared, PreparedCall)
        assert isinstance(slot, Nonce)
        if prepared.needs_reset:
            raise Stale("The allowance must be set to 0 first.")
        wanted = Payment(
            chain_id=self._profile.chain_id,
            nonce=slot.number,
            max_priority_fee_per_gas=prepared.max_priority_fee_per_gas,
            max_fee_per_gas=prepared.max_fee_per_gas,
            gas_limit=prepared.gas_limit,
            call=build.call_of(prepared.request),
        )
        raw = build.signed(wanted, signer.sign(agent_id, build.digest(wanted)))
        try:
            said, signed_by = build.read(raw)
        except ValueError as error:
            raise SignedBytesMismatch() from error
        if said != wanted or signed_by != prepared.sender or said.gas_limit * said.max_fee_per_gas > prepared.max_fee:
            raise SignedBytesMismatch()
        return Signed(raw, build.hash_of(raw), prepared.max_fee, slot)

    async def broadcast(self, raw: bytes, hash: str) -> str:
        """To the preferred endpoint the first time, to every one from then on; a spent nonce may be our own landing."""
        again = hash in self._sent
        self._remember(hash)
        try:
            return await self.rpc.send(
                "eth_sendRawTransaction",
                [ask.hexed(raw)],
                answers.sent(hash),
                accepted=refusals.already_known,
                everywhere=again,
            )
        except NodeRefused as error:
            if refusals.nonce_spent(error) and (endpoint := await self._who_knows(hash)):
                return endpoint
            raise judged(error, refusals.refusal) from error

    async def statuses(self, hashes: Iterable[str]) -> dict[str, Sighting]:
        """Those in a block, with its hash; what only a mempool holds is not seen yet."""
        with reading():
            sightings, self._landed = await watch.statuses(self.rpc, self._profile, list(hashes))
        return sightings

    async def seconded(self, sightings: Mapping[str, Sighting]) -> set[str]:
        """Every witness is asked for its receipt and its head; two must agree with what was seen."""
        return await watch.seconded(self.rpc, self._profile, sightings)

    async def receipts(self, hashes: Iterable[str]) -> dict[str, Receipt]:
        """Fees as paid; those that `statuses` has just read are not asked for again, so both tell of one block."""
        wanted = list(hashes)
        known = {key: self._landed[key] for key in wanted if key in self._landed}
        with reading():
            asked = await watch.landed(self.rpc, [key for key in wanted if key not in known])
        return watch.receipts(known | asked)

    async def deaths(self, attempts: Iterable[Attempt]) -> dict[str, Proof]:
        """Proofs as `evm/deaths.py` defines them."""
        with reading():
            return await self._deaths.prove(attempts)

    async def faucet(self, address: str, amount: int) -> None:
        """Wei out of nothing, on ethereum-localnet."""
        if self.network not in LOCALNETS:
            raise ChainNotSupported(f"{self.network} gives nothing away.")
        with reading():
            await self._giver.give(address, amount)

    async def landed_since(self, address: str, mark: Mark | None) -> Sequence[Mark]:
        """Nonces that landed after the one given."""
        assert not isinstance(mark, str)
        with reading():
            return await spent.since(self.rpc, address, -1 if mark is None else mark)

    async def signed_by(self, address: str, marks: Sequence[Mark]) -> dict[Mark, bool]:
        """Nothing but its key spends a nonce: true of those that every witness counts."""
        with reading():
            agreed = await spent.agreed(self.rpc, address, [mark for mark in marks if isinstance(mark, int)])
        return dict.fromkeys(agreed, True)

    async def refresh(self) -> None:
        """Know the present price, for reservations that ask nobody; what fails is logged."""
        try:
            await self._preparer.refresh()
        except Transient as error:
            log.info("price unknown", network=self.network, reason=error.message)

    def _usual_gas(self, request: Request) -> int:
        match request:
            case Transfer():
                return self._profile.transfer_gas + MEMO_BYTE_GAS * len((request.memo or "").encode())
            case Sweep():
                return self._profile.transfer_gas
            case TokenTransfer() | SweepToken():
                return TOKEN_TRANSFER_GAS
            case Approve():
                return APPROVE_GAS
            case ContractCall():
                return CALL_GAS
            case Batch():
                return sum(map(self._usual_gas, request.instructions))

    async def _who_knows(self, hash: str) -> str | None:
        """An endpoint that has this very transaction."""
        for witness in await self.rpc.witnesses():
            try:
                if await witness.call("eth_getTransactionByHash", [hash], answers.known(hash)):
                    return witness.name
            except (NodeRefused, Transient) as error:
                log.info("not looked up", network=self.network, endpoint=witness.name, reason=error.message)
        return None

    def _remember(self, hash: str) -> None:
        self._sent[hash] = None
        if len(self._sent) > SENT:
            del self._sent[next(iter(self._sent))]
