"""The policy engine: pure, so that preview, real run, replay and simulation decide alike."""

from waiaas.policy.decide import decide, reservation
from waiaas.policy.facts import Facts, SessionFacts

__all__ = ("Facts", "SessionFacts", "decide", "reservation")
