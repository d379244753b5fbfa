"""The tier of contract calls: a call that is not understood needs the owner."""

from collections.abc import Iterator

from waiaas.domain.decision import Finding
from waiaas.domain.rules.lists import MethodWhitelist
from waiaas.domain.tier import Tier
from waiaas.policy.facts import Case
from waiaas.policy.judgement import Judgement, Terms, builtin
from waiaas.policy.spending import seconds


def call_tiers(case: Case) -> Iterator[Judgement]:
    """NOTIFY where every call is decoded or a METHOD_WHITELIST names its method, else APPROVAL."""
    calls = case.effects("CONTRACT_CALL")
    if not calls:
        return
    lists = [rules for _, rules in case.having(MethodWhitelist)]
    for call in calls:
        if not call.decoded and not any(rules.allows(call.counterparty, call.selector) for rules in lists):
            tier, message = (
                Tier.APPROVAL,
                f"what {call.selector or 'the call'} of {call.counterparty} does is not known",
            )
            break
    else:
        tier, message = Tier.NOTIFY, "what is called is known"
    verdict = builtin("CONTRACT_CALL", Finding.TIER, message, tier=tier)
    yield Judgement(verdict, terms=Terms(tier, *seconds(case)))
