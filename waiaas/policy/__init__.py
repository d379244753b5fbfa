"""The policy engine: pure, so that preview, real run, replay and simulation decide alike."""

from waiaas.policy.booking import Booking, reservation
from waiaas.policy.decide import decide
from waiaas.policy.facts import Facts, SessionFacts, lookback

__all__ = ("Booking", "Facts", "SessionFacts", "decide", "lookback", "reservation")
