"""The owner's part: while no owner has proved the key nobody could approve, so a delay stands in."""

from waiaas.domain.decision import Finding
from waiaas.domain.tier import Tier
from waiaas.policy.judgement import Judgement, Terms, builtin

#: the shortest delay that may stand in for an approval
LEAST_DELAY_SECONDS = 60

DOWNGRADE = Judgement(
    builtin(
        "OWNER_DOWNGRADE",
        Finding.TIER,
        "no owner has proved the key yet, so the approval becomes a delay",
        tier=Tier.DELAY,
    )
)


def downgraded(terms: Terms) -> Terms:
    """APPROVAL as the DELAY that stands in for it."""
    return Terms(Tier.DELAY, max(LEAST_DELAY_SECONDS, terms.delay_seconds or 0), terms.approval_timeout)
