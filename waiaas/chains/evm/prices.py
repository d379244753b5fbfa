"""What a unit of gas costs now (EIP-1559): asked of fee history, shared for a moment, and kept for reservations."""

import asyncio

import msgspec
import structlog

from waiaas.chains.base import Fees
from waiaas.chains.evm import answers, refusals
from waiaas.chains.evm.answers import Block
from waiaas.chains.evm.networks import GWEI
from waiaas.chains.kept import Kept
from waiaas.chains.rpc import Rpc
from waiaas.clock import Clock
from waiaas.errors import FeeAboveCap, NodeRefused, Transient

log = structlog.get_logger(__name__)

PRICE_SECONDS = 2.0
#: five blocks up to the newest, and of each what the transaction in the middle of its gas paid
BLOCKS = ["0x5", "latest", [50]]
#: replacements pay an eighth more; nodes ask for a tenth (geth: txpool.pricebump)
RAISE_NUMERATOR, RAISE_DENOMINATOR = 9, 8


class Price(msgspec.Struct, frozen=True):
    """The next block's base fee, and the tip that gets a transaction into it, in wei per gas."""

    base: int
    tip: int

    @property
    def fees(self) -> Fees:
        """What is signed: room for the base fee to double."""
        return Fees(2 * self.base + self.tip, self.tip)

    def is_above(self, fees: Fees) -> bool:
        """Whether signed fees leave less for the proposer than the present tip, or do not reach the base fee."""
        return min(fees.max_priority_fee_per_gas, fees.max_fee_per_gas - self.base) < self.tip


class Prices:
    """Prices of one network; `latest` is the last one known, for the accept path, which asks nobody."""

    def __init__(self, rpc: Rpc, clock: Clock, least_tip: int, max_fee_gwei: int) -> None:
        self.latest: Price | None = None
        self.cap = max_fee_gwei * GWEI
        self._rpc = rpc
        self._least_tip = least_tip
        self._kept: Kept[Price] = Kept(clock, PRICE_SECONDS)

    async def now(self) -> Price:
        """At most two seconds old; Transient or NodeRefused if no endpoint tells."""
        self.latest = await self._kept.get("", lambda: asyncio.ensure_future(self._ask()))
        return self.latest

    def check(self, fees: Fees) -> Fees:
        """FeeAboveCap where they are above what the configuration allows to sign."""
        if fees.max_fee_per_gas > self.cap:
            raise FeeAboveCap(
                f"Gas costs {fees.max_fee_per_gas // GWEI} gwei now, above the ceiling of {self.cap // GWEI}."
            )
        return fees

    async def _ask(self) -> Price:
        try:
            history = await self._rpc.call("eth_feeHistory", BLOCKS, answers.fee_history)
        except NodeRefused as error:
            log.info("no fee history", network=self._rpc.network, reason=error.message)
            return await self._ask_otherwise()
        if not history.tips:
            return await self._ask_otherwise()
        tips = sorted(history.tips)
        return Price(history.base, max(tips[len(tips) // 2], self._least_tip))

    async def _ask_otherwise(self) -> Price:
        """The node's own suggestion, else 1 gwei, over the head's base fee."""
        tip, head = await asyncio.gather(
            refusals.outcome(self._rpc.call("eth_maxPriorityFeePerGas", (), answers.quantity)),
            self._rpc.call("eth_getBlockByNumber", ["latest", False], answers.there),
        )
        return Price(_base_fee(head), max(GWEI if isinstance(tip, NodeRefused) else tip, self._least_tip))


def _base_fee(head: Block) -> int:
    if head.base_fee is None:
        raise Transient("The network has no base fee.")
    return head.base_fee


def raised(old: int) -> int:
    """The least that replaces a fee: an eighth more, rounded up."""
    return -(-old * RAISE_NUMERATOR // RAISE_DENOMINATOR)


def dearer(old: Fees, price: Price) -> Fees:
    """What a replacement pays: the present price, and an eighth more than before at least."""
    now = price.fees
    return Fees(
        max(now.max_fee_per_gas, raised(old.max_fee_per_gas)),
        max(now.max_priority_fee_per_gas, raised(old.max_priority_fee_per_gas)),
    )
