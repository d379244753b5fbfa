"""What a request will cost on an EVM network, and whether it can succeed: simulation, gas, price, funds."""

import asyncio

import msgspec

from waiaas.chains.base import Fees, FeeTerms, Prepared
from waiaas.chains.evm import abi, answers, ask, build, refusals, tokens
from waiaas.chains.evm.build import Call, Payment
from waiaas.chains.evm.networks import Profile
from waiaas.chains.evm.prices import Price, Prices, dearer, raised
from waiaas.chains.reading import reading
from waiaas.chains.rpc import Rpc
from waiaas.domain.request import Approve, Request, Sweep, SweepToken, TokenTransfer, Transfer, swept
from waiaas.errors import (
    InsufficientBalance,
    InsufficientForFee,
    InsufficientTokenBalance,
    MemoToContract,
    NodeRefused,
    Permanent,
    SimulationFailed,
    TransactionTooLarge,
    Transient,
)

#: GasPriceOracle of the OP stack (https://specs.optimism.io/protocol/predeploys.html)
L1_FEE_ORACLE = "0x420000000000000000000000000000000000000F"
#: what L1 costs moves between estimate and landing, and there is no field that caps it
L1_FACTOR = 2
#: estimated gas, plus a fifth for what may differ when it lands
GAS_NUMERATOR, GAS_DENOMINATOR = 12, 10
#: fields of a draft, as long as real ones may get
DRAFT_NONCE, DRAFT_FEE, DRAFT_VALUE = 2**32 - 1, 2**48 - 1, 2**72 - 1


class PreparedCall(Prepared, frozen=True, kw_only=True):
    """A request with its gas limit and fees per gas, in wei."""

    gas_limit: int
    max_fee_per_gas: int
    max_priority_fee_per_gas: int

    def terms(self) -> FeeTerms:
        """Gas limit and fees per gas."""
        return FeeTerms(self.gas_limit, self.max_fee_per_gas, self.max_priority_fee_per_gas)


class Trial(msgspec.Struct, frozen=True):
    """What the node said of a call that is only tried."""

    estimate: int | NodeRefused
    returned: bytes | NodeRefused

    def check(self, request: Request) -> int:
        """The gas it would use; SimulationFailed if it would fail."""
        if isinstance(self.estimate, NodeRefused):
            raise refusals.failure(self.estimate)
        if isinstance(self.returned, NodeRefused):
            raise refusals.failure(self.returned)
        if isinstance(request, TokenTransfer | Approve) and abi.refuses(self.returned):
            raise SimulationFailed("The token refuses: it returns false.")
        return self.estimate


class Funds(msgspec.Struct, frozen=True):
    """What the sender has, and what is already spoken for on L1, in wei."""

    balance: int
    l1_fee: int

    def check(self, value: int, gas_limit: int, fees: Fees) -> None:
        """InsufficientBalance or InsufficientForFee unless value and the highest possible fee are covered."""
        fee = self.bound(gas_limit, fees)
        if self.balance < value:
            raise InsufficientBalance(held=str(self.balance), amount=str(value))
        if self.balance < value + fee:
            raise InsufficientForFee(held=str(self.balance), amount=str(value), fee=str(fee))

    def bound(self, gas_limit: int, fees: Fees) -> int:
        """The most that signed bytes can cost besides their value."""
        return gas_limit * fees.max_fee_per_gas + L1_FACTOR * self.l1_fee


class Preparer:
    """Prepares requests of one network."""

    def __init__(self, rpc: Rpc, profile: Profile, prices: Prices) -> None:
        #: the last known fee for the data of a transaction on L1; 0 where there is none
        self.latest_l1_fee = 0
        self._rpc = rpc
        self._profile = profile
        self._prices = prices

    async def prepare(self, request: Request, sender: str) -> PreparedCall:
        """Everything is asked for at once and leaves as one batch; Permanent if the request would fail.

        An approval over an allowance that is not 0 is judged by its reset, which has to come first. A sweep is prepared
        as the transfer that it comes to.
        """
        if isinstance(request, Sweep):
            return await self._empty(request, sender)
        if isinstance(request, SweepToken):
            with reading():
                held = await tokens.balance(self._rpc, request.token.address, sender)
            if not held:
                raise InsufficientTokenBalance(held="0", amount="0")
            request = swept(request, held)
        call = build.call_of(request)
        if len(call.data) > build.LARGEST_DATA:
            raise TransactionTooLarge(f"It has {len(call.data)} bytes of data, {build.LARGEST_DATA} are allowed.")
        with reading():
            code, holding, funds, price, trial = await asyncio.gather(
                self._code(request),
                self._holding(request, sender),
                self._funds(call, sender),
                self._prices.now(),
                self._try(call, sender),
            )
        if code:
            raise MemoToContract()
        if holding is not None and isinstance(request, TokenTransfer | Approve):
            tokens.check(request, holding)
        if funds.balance < call.value:
            raise InsufficientBalance(held=str(funds.balance), amount=str(call.value))
        present = holding.allowance if holding else 0
        reset = isinstance(request, Approve) and present > 0 and int(request.amount) > 0
        if reset:
            trial = await self._try_reset(request, sender)
        prepared = self._judge(request, sender, call.value, funds, price, trial)
        notes = (f"The spender may move {present} already.",) if present else ()
        return msgspec.structs.replace(prepared, needs_reset=reset, notes=notes, consumed=trial.check(request))

    async def replacement(
        self, old: Payment, request: Request, sender: str, *, cancel: bool, fees: Fees | None, afresh: bool
    ) -> PreparedCall:
        """The same call dearer, or 0 to oneself; its gas is never below what was signed before for that call.

        But for `afresh`, which takes it from the estimate alone where there is one.
        """
        wanted: Request = Transfer(sender, "0") if cancel else as_signed(request, old.call)
        call = build.call_of(wanted)
        with reading():
            price, funds, trial = await asyncio.gather(
                self._prices.now(), self._funds(call, sender), self._try(call, sender)
            )
        paid = Fees(old.max_fee_per_gas, old.max_priority_fee_per_gas)
        fees = dearer(paid, price) if fees is None else checked(fees, paid)
        gas_limit = limit_again(trial, wanted, old.gas_limit if call == old.call else 0, afresh=afresh)
        return self._prepared(wanted, sender, call.value, gas_limit, funds, price, self._prices.check(fees))

    async def _empty(self, request: Sweep, sender: str) -> PreparedCall:
        """All that the highest fee leaves; a plain transfer's gas is known, and what of it is not used stays behind."""
        draft = Call(build.address(request.to), DRAFT_VALUE, b"")
        with reading():
            funds, price = await asyncio.gather(self._funds(draft, sender), self._prices.now())
            fees = self._prices.check(price.fees)
            likely = self._rest(funds, answers.LEAST_GAS, fees)
            trial = await self._try(msgspec.structs.replace(draft, value=likely), sender)
        estimate = trial.check(request)
        gas_limit = estimate if estimate == answers.LEAST_GAS else limit(estimate)
        amount = self._rest(funds, gas_limit, fees)
        return self._prepared(swept(request, amount), sender, amount, gas_limit, funds, price, fees)

    def _rest(self, funds: Funds, gas_limit: int, fees: Fees) -> int:
        fee = funds.bound(gas_limit, fees)
        if (rest := funds.balance - fee) <= 0:
            raise InsufficientForFee(held=str(funds.balance), fee=str(fee))
        return rest

    async def refresh(self) -> None:
        """Know the present price, and on an OP stack what L1 costs a transfer."""
        call = Call(L1_FEE_ORACLE, 10**18, b"")
        with reading():
            await asyncio.gather(self._prices.now(), self._l1_fee(call))

    async def _code(self, request: Request) -> bytes:
        """Code at the recipient of a memo: there it would be a call."""
        if not isinstance(request, Transfer) or request.memo is None:
            return b""
        return await ask.code(self._rpc, request.to)

    async def _holding(self, request: Request, sender: str) -> tokens.Holding | None:
        return await tokens.read(self._rpc, request, sender) if isinstance(request, TokenTransfer | Approve) else None

    async def _funds(self, call: Call, sender: str) -> Funds:
        balance, l1_fee = await asyncio.gather(ask.balance(self._rpc, sender), self._l1_fee(call))
        return Funds(balance, l1_fee)

    async def _l1_fee(self, call: Call) -> int:
        """The L1 part of a transaction that is not yet priced: its length is what counts."""
        if not self._profile.has_l1_fee:
            return 0
        pay = Payment(self._profile.chain_id, DRAFT_NONCE, DRAFT_FEE, DRAFT_FEE, build.LARGEST_GAS, call)
        question = abi.call_bytes(abi.GET_L1_FEE, build.unsigned(pay))
        answer = await ask.view(self._rpc, L1_FEE_ORACLE, question)
        self.latest_l1_fee = read_l1_fee(answer)
        return self.latest_l1_fee

    async def _try(self, call: Call, sender: str) -> Trial:
        params = ask.attempt(call, sender)
        estimate, returned = await asyncio.gather(
            refusals.outcome(self._rpc.call("eth_estimateGas", params[:1], answers.gas, slow=True)),
            refusals.outcome(self._rpc.call("eth_call", params, answers.data, slow=True)),
        )
        return Trial(estimate, returned)

    async def _try_reset(self, request: Request, sender: str) -> Trial:
        assert isinstance(request, Approve)
        return await self._try(build.call_of(msgspec.structs.replace(request, amount="0")), sender)

    def _judge(
        self, request: Request, sender: str, value: int, funds: Funds, price: Price, trial: Trial
    ) -> PreparedCall:
        gas_limit = limit(trial.check(request))
        return self._prepared(request, sender, value, gas_limit, funds, price, self._prices.check(price.fees))

    def _prepared(
        self, request: Request, sender: str, value: int, gas_limit: int, funds: Funds, price: Price, fees: Fees
    ) -> PreparedCall:
        funds.check(value, gas_limit, fees)
        likely = min(price.base + fees.max_priority_fee_per_gas, fees.max_fee_per_gas)
        return PreparedCall(
            request=request,
            sender=sender,
            fee=gas_limit * GAS_DENOMINATOR // GAS_NUMERATOR * likely + funds.l1_fee,
            max_fee=funds.bound(gas_limit, fees),
            gas_limit=gas_limit,
            max_fee_per_gas=fees.max_fee_per_gas,
            max_priority_fee_per_gas=fees.max_priority_fee_per_gas,
        )


def limit(estimate: int) -> int:
    """A fifth above the estimate, rounded up; TransactionTooLarge above what a transaction may use."""
    units = -(-estimate * GAS_NUMERATOR // GAS_DENOMINATOR)
    if units > build.LARGEST_GAS:
        raise TransactionTooLarge(f"It needs up to {units} gas, {build.LARGEST_GAS} are allowed.")
    return units


def as_signed(request: Request, call: Call) -> Request:
    """What a sweep had come to when it was signed, any other request as it is."""
    if isinstance(request, Sweep):
        return swept(request, call.value)
    if isinstance(request, SweepToken):
        return swept(request, int.from_bytes(call.data[-abi.WORD :], "big"))
    return request


def limit_again(trial: Trial, request: Request, signed: int, *, afresh: bool) -> int:
    """The gas limit of a replacement, unless `afresh` not below the one signed for the same call (0: another call).

    What could be signed once may revert now: its nonce must be freed all the same.
    """
    if not signed:
        return limit(trial.check(request))
    if not isinstance(trial.estimate, int):
        return signed
    return limit(trial.estimate) if afresh else max(signed, limit(trial.estimate))


def checked(fees: Fees, old: Fees) -> Fees:
    """Fees that somebody asked for; Permanent if nodes would not take them for a replacement."""
    least = Fees(raised(old.max_fee_per_gas), raised(old.max_priority_fee_per_gas))
    if fees.max_fee_per_gas < least.max_fee_per_gas or fees.max_priority_fee_per_gas < least.max_priority_fee_per_gas:
        raise Permanent(
            f"A replacement pays {least.max_fee_per_gas} per gas or more, {least.max_priority_fee_per_gas} as tip.",
            maxFeePerGas=str(least.max_fee_per_gas),
            maxPriorityFeePerGas=str(least.max_priority_fee_per_gas),
        )
    if fees.max_priority_fee_per_gas > fees.max_fee_per_gas:
        raise Permanent("The tip is a part of the fee: it cannot be larger.")
    return fees


def read_l1_fee(answer: bytes) -> int:
    """Wei; Transient if the oracle answers with anything else."""
    try:
        return abi.number(answer)
    except ValueError as error:
        raise Transient("The L1 fee oracle gives no number.") from error
