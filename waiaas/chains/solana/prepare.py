"""What a request will cost on Solana, and whether it can succeed: accounts, price, simulation, funds."""

import asyncio
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import structlog
from solders.hash import Hash
from solders.signature import Signature

from waiaas.chains.base import FeeTerms, Prepared
from waiaas.chains.kept import Kept
from waiaas.chains.reading import reading
from waiaas.chains.rpc import Rpc
from waiaas.chains.solana import answers, build, refusals, sweep
from waiaas.chains.solana import plan as plans
from waiaas.chains.solana.answers import Account, Simulated
from waiaas.chains.solana.funds import Funds, lamports
from waiaas.chains.solana.outflow import estate, undeclared
from waiaas.chains.solana.plan import Accounts, Plan
from waiaas.chains.solana.programs import SYSTEM
from waiaas.chains.solana.steps import Call, program_of
from waiaas.chains.solana.tokens import CREATED_SIZE, TYPED_HOLDER_SIZE
from waiaas.clock import Clock
from waiaas.domain.chain import Chain
from waiaas.domain.effects import effects
from waiaas.domain.request import Batch, ContractCall, Effect, Request, Sweep, SweepToken
from waiaas.errors import ChainError, Transient

log = structlog.get_logger(__name__)

CONFIRMED = "confirmed"
PRICE_SECONDS = 2.0
#: how much of an account's data is asked for: all of it, or what tells a token account
WHOLE: dict[str, Any] = {}
HOLDER = {"dataSlice": {"offset": 0, "length": TYPED_HOLDER_SIZE}}
#: accounts that getMultipleAccounts takes at once
ACCOUNTS = 100
#: simulated units, plus a fifth for what may differ when it lands
UNITS_NUMERATOR, UNITS_DENOMINATOR = 12, 10
LOG_LINES, LOG_LENGTH = 50, 256


class SolanaPrepared(Prepared, frozen=True, kw_only=True):
    """What will be signed, but for the blockhash: `units` is the compute unit limit, `unit_price` in micro-lamports."""

    plan: Plan
    signatures: int
    units: int
    unit_price: int

    def terms(self) -> FeeTerms:
        """The compute unit limit, which is what is paid for."""
        return FeeTerms(compute_units=self.units)


class Seen(msgspec.Struct, frozen=True):
    """What the chain says of a plan; `after` is empty unless the simulation was asked for the accounts."""

    before: Accounts
    after: Accounts
    simulated: Simulated
    #: micro-lamports per compute unit
    price: int
    minimum: int
    #: of the token accounts that the plan opens
    rents: tuple[int, ...]


class Preparer:
    """Prepares requests of one network; prices are shared for two seconds, rents for good."""

    def __init__(self, rpc: Rpc, clock: Clock, max_priority_fee_lamports: int) -> None:
        self._rpc = rpc
        self._max_priority_fee = max_priority_fee_lamports
        self._prices: Kept[int] = Kept(clock, PRICE_SECONDS)
        self._rents: Kept[int] = Kept(clock, float("inf"))

    async def prepare(self, request: Request, sender: str) -> SolanaPrepared:
        """Tokens are looked up first, everything else leaves as one batch; Permanent if the request would fail.

        A sweep is prepared as the transfer that it comes to.
        """
        is_watched = isinstance(request, ContractCall | Batch)
        signatures = plans.signatures(request)
        with reading():
            request, plan = await self._plan(request, sender)
            seen = await self._see(plan, watched=plan.writable if is_watched or plan.closes else ())
            again = await self._accounts(plan.writable, HOLDER) if is_watched else seen.before
        base_fee = build.fee(0, 0, signatures)
        funds = Funds(plan, seen.before, seen.after, rent(plan, seen), base_fee, seen.minimum)
        funds.cover(base_fee)
        units = unit_limit(plan, seen.simulated)
        price = 0 if plan.empties else min(seen.price, self._max_priority_fee * 1_000_000 // units)
        fee = build.fee(units, price, signatures)
        funds.cover(fee)
        if plan.empties and funds.rest(fee):
            raise Transient("The agent's balance moved while it was to be emptied.")
        funds.leave_alive(fee)
        return SolanaPrepared(
            request=request,
            sender=sender,
            fee=fee,
            max_fee=fee + funds.rent,
            rent=funds.rent,
            undeclared=further(request, funds, again) if is_watched else (),
            notes=plan.notes,
            logs=lines(seen.simulated),
            consumed=seen.simulated.units_consumed,
            plan=plan,
            signatures=signatures,
            units=units,
            unit_price=price,
        )

    async def _plan(self, request: Request, sender: str) -> tuple[Request, Plan]:
        """What a sweep comes to, any other request as it is; and how it is done."""
        if isinstance(request, SweepToken):
            return sweep.token_plan(request, sender, await self._accounts(sweep.to_look_up(request)))
        if isinstance(request, Sweep):
            held = lamports(await self._accounts([sender], HOLDER), sender)
            return sweep.native_plan(request, sender, held)
        return request, plans.make_plan(request, sender, await self._accounts(plans.to_look_up(request, sender)))

    async def _see(self, plan: Plan, *, watched: Sequence[str]) -> Seen:
        unsigned = draft(plan)
        sizes = [CREATED_SIZE[step.program] for step in plan.opened]
        present = asyncio.ensure_future(self._accounts(plan.writable, HOLDER))
        if watched:
            # what is read later than it is simulated would hide what moves, or show what only came in meanwhile
            await present
        before, (simulated, after), price, minimum, rents = await asyncio.gather(
            present,
            self._simulate(unsigned, watched),
            self._price(plan.writable),
            self._rent(0),
            asyncio.gather(*map(self._rent, sizes)),
        )
        return Seen(before, after, simulated, price, minimum, tuple(rents))

    async def _accounts(self, addresses: Sequence[str], part: Mapping[str, Any] = WHOLE) -> dict[str, Account | None]:
        """By address, None where there is none."""
        config = {"commitment": CONFIRMED, "encoding": "base64", **part}
        chunks = [addresses[start : start + ACCOUNTS] for start in range(0, len(addresses), ACCOUNTS)]
        calls = (self._rpc.call("getMultipleAccounts", [one, config], answers.accounts(one)) for one in chunks)
        return {address: account for found in await asyncio.gather(*calls) for address, account in found.items()}

    async def _price(self, writable: Sequence[str]) -> int:
        """Micro-lamports per unit that such transactions lately paid; 0 when the node cannot say."""
        try:
            return await self._prices.get(
                " ".join(writable),
                lambda: self._rpc.call("getRecentPrioritizationFees", [writable], answers.price),
            )
        except ChainError as error:
            log.info("no priority fee known", network=self._rpc.network, reason=error.message)
            return 0

    async def _rent(self, size: int) -> int:
        """The least that an account of so many bytes may hold."""
        return await self._rents.get(
            str(size), lambda: self._rpc.call("getMinimumBalanceForRentExemption", [size], answers.COUNT.decode)
        )

    async def _simulate(self, unsigned: bytes, watched: Sequence[str]) -> tuple[Simulated, Accounts]:
        config: dict[str, Any] = {
            "encoding": "base64",
            "commitment": CONFIRMED,
            "sigVerify": False,
            "replaceRecentBlockhash": True,
        }
        if watched:
            config["accounts"] = {"encoding": "base64", "addresses": watched}
        params = [b64encode(unsigned).decode(), config]
        with refusals.simulating():
            return await self._rpc.call("simulateTransaction", params, answers.simulated(watched), slow=True)


def draft(plan: Plan) -> bytes:
    """The very bytes that will be signed but for unit limit, price, blockhash and signature."""
    return build.wire(build.compiled(plan.message(build.MAX_UNITS, 0, str(Hash.default()))), Signature.default())


def rent(plan: Plan, seen: Seen) -> int:
    """What the token accounts that the plan opens still lack."""
    needs = zip(plan.opened, seen.rents, strict=True)
    return sum(max(0, whole - lamports(seen.before, step.holder)) for step, whole in needs)


def unit_limit(plan: Plan, simulated: Simulated) -> int:
    """Units to ask for; the error if the simulation failed."""
    if simulated.err is not None:
        programs = (*build.BUDGET, *(program_of(step) for step in plan.steps))
        raise refusals.failure(simulated.err, programs, lines(simulated))
    if not simulated.units_consumed:
        raise Transient("The simulation does not say what it consumed.")
    return min(build.MAX_UNITS, -(-simulated.units_consumed * UNITS_NUMERATOR // UNITS_DENOMINATOR))


def further(request: Request, funds: Funds, again: Accounts) -> tuple[Effect, ...]:
    """What leaves undeclared; Transient if the agent's accounts changed while they were looked at."""
    plan = funds.plan
    if estate(plan.sender, again) != estate(plan.sender, funds.before):
        raise Transient("The agent's accounts changed during the simulation.")
    program = next((step.program for step in plan.steps if isinstance(step, Call)), SYSTEM)
    declared = effects(request, Chain.SOLANA, sender=plan.sender)
    return undeclared(declared, plan.sender, program, funds.before, funds.after, funds.base_fee + funds.rent)


def lines(simulated: Simulated) -> tuple[str, ...]:
    """The log, cut to what a person reads."""
    return tuple(line[:LOG_LENGTH] for line in (simulated.logs or ())[:LOG_LINES])
