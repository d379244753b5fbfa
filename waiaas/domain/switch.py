"""The kill switch: whether anything may be signed at all."""

from enum import StrEnum

import msgspec


class KillSwitchState(StrEnum):
    """NORMAL → ACTIVATED → (RECOVERING →) NORMAL."""

    NORMAL = "NORMAL"
    ACTIVATED = "ACTIVATED"
    #: as closed as ACTIVATED, until `eligible_at`
    RECOVERING = "RECOVERING"


class KillSwitch(msgspec.Struct, frozen=True):
    """The one row of `kill_switch`; `generation` is the fence that signing commits carry. Times in epoch seconds."""

    state: KillSwitchState
    generation: int
    activated_at: int | None
    reason: str | None = None
    #: the actor's name in the audit log
    activated_by: str | None = None
    #: RECOVERING: from when on it can be switched off
    eligible_at: int | None = None

    @property
    def is_on(self) -> bool:
        """Whether nothing may be accepted, signed or sent."""
        return self.state is not KillSwitchState.NORMAL
