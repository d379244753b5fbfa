"""What a request will cost on Solana, and whether it can succeed: accounts, price, simulation, funds."""

import asyncio
from base64 import b64encode

import msgspec
import structlog
from solders.hash import Hash
from solders.signature import Signature

from waiaas.chains.base import Prepared
from waiaas.chains.kept import Kept
from waiaas.chains.rpc import Rpc
from waiaas.chains.solana import answers, build, refusals
from waiaas.chains.solana.answers import Account, Simulated
from waiaas.clock import Clock
from waiaas.domain.request import Request
from waiaas.errors import ChainError, InsufficientBalance, InsufficientForFee, Transient

log = structlog.get_logger(__name__)

CONFIRMED = "confirmed"
PRICE_SECONDS = 2.0
#: simulated units, plus a fifth for what may differ when it lands
UNITS_NUMERATOR, UNITS_DENOMINATOR = 12, 10
LOG_LINES, LOG_LENGTH = 50, 256


class Funds(msgspec.Struct, frozen=True):
    """Lamports of sender and recipient (None: no account yet), and the least an account may hold."""

    sender: int
    recipient: int | None
    minimum: int

    def cover(self, request: Request, fee: int) -> None:
        """InsufficientBalance or InsufficientForFee unless the balance carries amount and fee."""
        amount = int(request.amount)
        if self.sender < amount:
            raise InsufficientBalance(held=str(self.sender), amount=request.amount)
        if self.sender < amount + fee:
            raise InsufficientForFee(held=str(self.sender), amount=request.amount, fee=str(fee))

    def leave_alive(self, request: Request, sender: str, fee: int) -> None:
        """InsufficientBalance if sender or recipient would hold something, but less than an account must."""
        amount = int(request.amount)
        rest = self.sender - fee - (0 if request.to == sender else amount)
        if 0 < rest < self.minimum:
            raise InsufficientBalance(f"The rest would be below the minimum of {self.minimum} lamports.")
        if self.recipient is None and 0 < amount < self.minimum:
            raise InsufficientBalance(f"A new account must receive at least {self.minimum} lamports.")


class Preparer:
    """Prepares requests of one network; prices are shared for two seconds, the rent minimum for good."""

    def __init__(self, rpc: Rpc, clock: Clock, max_priority_fee_lamports: int) -> None:
        self._rpc = rpc
        self._max_priority_fee = max_priority_fee_lamports
        self._prices: Kept[int] = Kept(clock, PRICE_SECONDS)
        self._minimums: Kept[int] = Kept(clock, float("inf"))

    async def prepare(self, request: Request, sender: str) -> Prepared:
        """Everything is asked for at once and leaves as one batch; Permanent if the request would fail."""
        unsigned = draft(request, sender)
        with refusals.reading():
            (payer, payee), price, minimum, simulated = await asyncio.gather(
                self._accounts(sender, request.to),
                self._price(sender, request.to),
                self._minimum(),
                self._simulate(unsigned),
            )
        funds = Funds(payer.lamports if payer else 0, payee.lamports if payee else None, minimum)
        funds.cover(request, build.LAMPORTS_PER_SIGNATURE)
        units = unit_limit(simulated)
        price = min(price, self._max_priority_fee * 1_000_000 // units)
        fee = build.fee(units, price)
        funds.cover(request, fee)
        funds.leave_alive(request, sender, fee)
        return Prepared(request, sender, fee, fee, 0, units, price, lines(simulated))

    def _accounts(self, *addresses: str) -> "asyncio.Future[tuple[Account | None, Account | None]]":
        config = {"commitment": CONFIRMED, "encoding": "base64", "dataSlice": {"offset": 0, "length": 0}}
        return self._rpc.call("getMultipleAccounts", [addresses, config], answers.accounts)

    async def _price(self, *writable: str) -> int:
        """Micro-lamports per unit that such transactions lately paid; 0 when the node cannot say."""
        try:
            return await self._prices.get(
                " ".join(writable),
                lambda: self._rpc.call("getRecentPrioritizationFees", [writable], answers.price),
            )
        except ChainError as error:
            log.info("no priority fee known", network=self._rpc.network, reason=error.message)
            return 0

    async def _minimum(self) -> int:
        return await self._minimums.get(
            "", lambda: self._rpc.call("getMinimumBalanceForRentExemption", [0], answers.COUNT.decode)
        )

    async def _simulate(self, unsigned: bytes) -> Simulated:
        config = {
            "encoding": "base64",
            "commitment": CONFIRMED,
            "sigVerify": False,
            "replaceRecentBlockhash": True,
        }
        params = [b64encode(unsigned).decode(), config]
        with refusals.judging():
            answer = await self._rpc.call("simulateTransaction", params, answers.SIMULATED.decode, slow=True)
        return answer.value


def draft(request: Request, sender: str) -> bytes:
    """The very bytes that will be signed but for unit limit, price, blockhash and signature."""
    payment = build.payment(request, sender, build.MAX_UNITS, 0, str(Hash.default()))
    return build.wire(build.message(payment), Signature.default())


def unit_limit(simulated: Simulated) -> int:
    """Units to ask for; the error if the simulation failed."""
    if simulated.err is not None:
        raise refusals.failure(simulated.err, build.TRANSFERS, lines(simulated))
    if not simulated.units_consumed:
        raise Transient("The simulation does not say what it consumed.")
    return min(build.MAX_UNITS, -(-simulated.units_consumed * UNITS_NUMERATOR // UNITS_DENOMINATOR))


def lines(simulated: Simulated) -> tuple[str, ...]:
    """The log, cut to what a person reads."""
    return tuple(line[:LOG_LENGTH] for line in (simulated.logs or ())[:LOG_LINES])
