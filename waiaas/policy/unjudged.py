"""Deny first: an effect that no rule of this version speaks of does not pass for lack of a rule."""

from collections.abc import Iterator

from waiaas.domain.chain import native_asset
from waiaas.domain.policy import Denial, Finding
from waiaas.errors import PolicyDenied
from waiaas.policy.facts import Case
from waiaas.policy.judgement import Judgement, Refused, builtin


def unjudged(case: Case) -> Iterator[Judgement]:
    """Only native transfers of the agent's own chain are judged; everything else is denied."""
    native = native_asset(case.facts.chain)
    for effect in case.facts.effects:
        if effect.kind != "TRANSFER" or effect.asset != native:
            message = f"no rule allows {effect.kind} of {effect.asset}"
            refused = Refused(code=PolicyDenied.code, denial=Denial(asset=effect.asset))
            yield Judgement(builtin("UNJUDGED", Finding.DENY, message), refused)
            return
