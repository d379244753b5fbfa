"""Session constraints: what the token's holder was allowed, on the session and then on each ancestor."""

from collections.abc import Callable, Iterator

from waiaas.domain.asset import token_of
from waiaas.domain.decision import Denial, Finding, RuleVerdict, Scope, Sum
from waiaas.domain.request import Batch, Effect, type_of
from waiaas.domain.session import Constraints
from waiaas.errors import ConstraintViolated, SessionLimitExceeded
from waiaas.policy.facts import EXPOSURE, OUTFLOW, Case, Facts, SessionFacts
from waiaas.policy.judgement import Judgement, Refused
from waiaas.policy.lists import UNNAMED

#: as much of a list as a trace keeps
LISTED = 256


def session_constraints(case: Case) -> Iterator[Judgement]:
    """Amount, total, count and lists, in this order, of the session and its ancestors, nearest first."""
    for session in case.facts.sessions:
        if session.constraints is not None:
            yield from _amounts(session, session.constraints, case.facts)
            yield from _count(session, session.constraints)
            yield from _operations(session, session.constraints, case)
            yield from _lists(session, session.constraints, case.facts)


def _amounts(session: SessionFacts, constraints: Constraints, facts: Facts) -> Iterator[Judgement]:
    limited = list(constraints.amounts(facts.chain))
    for path, asset, limit in limited:
        if limit.max_amount_per_tx is not None:
            yield _amount(session, facts, f"{path}maxAmountPerTx", asset, int(limit.max_amount_per_tx), 0)
    for path, asset, limit in limited:
        if limit.max_total_amount is not None:
            spent = session.spent.get(asset, 0)
            judged = _amount(session, facts, f"{path}maxTotalAmount", asset, int(limit.max_total_amount), spent)
            yield Judgement(judged.verdict, judged.refused, sums=(Sum(asset, str(spent), session_id=session.id),))


def _amount(session: SessionFacts, facts: Facts, constraint: str, asset: str, limit: int, spent: int) -> Judgement:
    observed = spent + facts.total(asset, EXPOSURE)
    room = limit - spent
    return _limited(session, constraint, observed, limit, fails=observed > limit, asset=asset, room=room)


def _count(session: SessionFacts, constraints: Constraints) -> Iterator[Judgement]:
    if (most := constraints.max_transactions) is not None:
        made = session.transactions
        yield _limited(session, "maxTransactions", made, most, fails=made >= most)


def _limited(
    session: SessionFacts,
    constraint: str,
    observed: int,
    limit: int,
    *,
    fails: bool,
    asset: str | None = None,
    room: int | None = None,
) -> Judgement:
    if not fails:
        return Judgement(
            _line(session, constraint, Finding.PASS, str(observed), str(limit), "within the session's limit")
        )
    message = f"{constraint} of the session is {limit}, this makes {observed}"
    if asset is None:
        message = f"{constraint} of the session is reached: {observed} of {limit}"
    denial = Denial(constraint=constraint, session_id=session.id, observed=str(observed), limit=str(limit), asset=asset)
    return Judgement(
        _line(session, constraint, Finding.DENY, str(observed), str(limit), message),
        Refused(code=SessionLimitExceeded.code, denial=denial, room=room),
    )


def _operations(session: SessionFacts, constraints: Constraints, case: Case) -> Iterator[Judgement]:
    if (allowed := constraints.allowed_operations) is not None:
        items = case.request.instructions if isinstance(case.request, Batch) else ()
        asked = dict.fromkeys(type_of(request) for request in (case.request, *items))
        yield _listed(session, "allowedOperations", tuple(asked), allowed)


def _recipient(effect: Effect) -> str | None:
    return effect.counterparty if effect.kind in OUTFLOW else None


def _token(effect: Effect) -> str | None:
    if effect.kind not in EXPOSURE:
        return None
    return UNNAMED if effect.asset is None else token_of(effect.asset)


def _contract(effect: Effect) -> str | None:
    return effect.counterparty if effect.kind == "CONTRACT_CALL" else None


def _spender(effect: Effect) -> str | None:
    return effect.counterparty if effect.kind == "APPROVE" else None


#: what each list is about; None where an effect has no such thing
LISTED_BY: dict[str, Callable[[Effect], str | None]] = {
    "allowedDestinations": _recipient,
    "allowedTokens": _token,
    "allowedContracts": _contract,
    "allowedSpenders": _spender,
}


def _lists(session: SessionFacts, constraints: Constraints, facts: Facts) -> Iterator[Judgement]:
    lists = (
        constraints.allowed_destinations,
        constraints.allowed_tokens,
        constraints.allowed_contracts,
        constraints.allowed_spenders,
    )
    for (constraint, subject), allowed in zip(LISTED_BY.items(), lists, strict=True):
        if allowed is not None:
            asked = tuple(value for effect in facts.effects if (value := subject(effect)) is not None)
            yield _listed(session, constraint, asked, allowed)


def _listed(session: SessionFacts, constraint: str, asked: tuple[str, ...], allowed: tuple[str, ...]) -> Judgement:
    limit = ", ".join(allowed)[:LISTED]
    refused = next((value for value in asked if value not in allowed), None)
    if refused is None:
        message = "on the session's list" if asked else "nothing of this kind in the request"
        outcome = Finding.PASS if asked else Finding.NOT_APPLICABLE
        return Judgement(_line(session, constraint, outcome, ", ".join(asked)[:LISTED] or None, limit, message))
    return Judgement(
        _line(session, constraint, Finding.DENY, refused, limit, f"{refused} is not in {constraint} of the session"),
        Refused(
            code=ConstraintViolated.code,
            denial=Denial(constraint=constraint, session_id=session.id, observed=refused),
        ),
    )


def _line(
    session: SessionFacts, constraint: str, outcome: Finding, observed: str | None, limit: str | None, message: str
) -> RuleVerdict:
    return RuleVerdict(None, constraint, Scope.SESSION, outcome, None, observed, limit, message)
