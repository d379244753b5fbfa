"""The kill switch: whether anything may be signed at all."""

from enum import StrEnum

import msgspec


class KillSwitchState(StrEnum):
    """NORMAL → ACTIVATED → (RECOVERING →) NORMAL."""

    NORMAL = "NORMAL"
    ACTIVATED = "ACTIVATED"
    RECOVERING = "RECOVERING"


class KillSwitch(msgspec.Struct, frozen=True):
    """The one row of `kill_switch`; `generation` is the fence that signing commits carry."""

    state: KillSwitchState
    generation: int
    activated_at: int | None
