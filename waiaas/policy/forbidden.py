"""Deny first: what no policy can allow, and what no policy speaks of."""

from collections.abc import Iterator

from waiaas.domain.asset import chain_of_asset, token_of
from waiaas.domain.chain import Chain, native_asset
from waiaas.domain.decision import Finding
from waiaas.domain.request import Effect
from waiaas.errors import PolicyDenied
from waiaas.policy.facts import Case
from waiaas.policy.judgement import Judgement, builtin, refusal


def forbidden(case: Case) -> Iterator[Judgement]:
    """Every effect must be of a kind that is judged, in money of the agent's chain that has a name."""
    for effect in case.facts.effects:
        if (message := _why(effect, case.facts.chain)) is not None:
            verdict = builtin("FORBIDDEN", Finding.DENY, message, observed=effect.counterparty)
            yield refusal(verdict, PolicyDenied.code, index=effect.index)


def _why(effect: Effect, chain: Chain) -> str | None:
    match effect:
        case Effect(kind="CONTRACT_CALL") | Effect(kind="APPROVE", asset=None, amount=0):
            return None
        case Effect(kind="TRANSFER", asset=str(asset), amount=int()) if asset == native_asset(chain):
            return None
        case Effect(kind="TOKEN_TRANSFER" | "APPROVE", asset=str(asset), amount=int()) if _is_token(asset, chain):
            return None
        case Effect(kind="TOKEN_TRANSFER" | "APPROVE", asset=None):
            return f"a {effect.kind} of a token that the call does not name cannot be held to a limit"
        case Effect(kind="FORBIDDEN"):
            return f"{effect.selector} of {effect.counterparty} is never allowed, or cannot be looked through"
        case _:
            return f"nothing allows {effect.kind} of {effect.asset}"


def _is_token(asset: str, chain: Chain) -> bool:
    return token_of(asset) is not None and chain_of_asset(asset) is chain
