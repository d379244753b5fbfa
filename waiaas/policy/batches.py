"""The refusal of a batch: it names every item that is refused, and why."""

from collections.abc import Sequence

from waiaas.domain.decision import Denial, Violation
from waiaas.domain.policy import PolicyType
from waiaas.domain.request import Batch, type_of
from waiaas.policy.judgement import Judgement

#: rules about the request as one, which no item can break
OF_THE_WHOLE = frozenset({PolicyType.TIME_RESTRICTION, PolicyType.RATE_LIMIT})


def breaks_batch(judgement: Judgement) -> bool:
    """Whether a policy's refusal is about what the batch holds, and not about its time or its count."""
    return judgement.verdict.type not in OF_THE_WHOLE


def violations(batch: Batch, refusing: Sequence[Judgement]) -> Denial:
    """Every violation with the item's index and type; one that is about the sum of several items has no index."""
    return Denial(
        violations=tuple(
            Violation(judgement.index, _type(batch, judgement.index), refused.code, judgement.verdict.message)
            for judgement in refusing
            if (refused := judgement.refused) is not None
        )
    )


def _type(batch: Batch, index: int | None) -> str:
    return type_of(batch if index is None else batch.instructions[index])
