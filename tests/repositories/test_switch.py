"""The kill switch's row: each step starts from where it says."""

import pytest

from tests.repositories.make import NOW
from waiaas.domain.switch import KillSwitch, KillSwitchState
from waiaas.errors import StaleState
from waiaas.repositories import switch

ON, RECOVERING, OFF = KillSwitchState.ACTIVATED, KillSwitchState.RECOVERING, KillSwitchState.NORMAL


def at(state: KillSwitchState, generation: int = 3) -> KillSwitch:
    return KillSwitch(state, generation, NOW)


STEPS = {
    "activate": (lambda state: switch.activate(reason="why", by="operator", at=NOW, now=NOW), {OFF, RECOVERING}, ON),
    "begin": (lambda state: switch.begin_recovery(at(state), eligible_at=NOW, now=NOW), {ON}, RECOVERING),
    "recover": (lambda state: switch.recover(at(state), NOW), {ON, RECOVERING, OFF}, OFF),
}


@pytest.mark.parametrize("name", STEPS)
async def test_each_step_of_the_switch_starts_from_where_it_says(db, rows, name):
    step, origins, end = STEPS[name]
    for state in KillSwitchState:
        await rows.run("UPDATE kill_switch SET generation = 3, state = :state", state=state)
        if state in origins:
            await db.commit(step(state))
            found = await switch.get(db)
            assert (found.state, found.generation) == (end, 4 if name == "activate" else 3)
        else:
            with pytest.raises(StaleState):
                await db.commit(step(state))


async def test_a_recovery_does_not_end_what_was_thrown_after_it_began(db, rows):
    await rows.run("UPDATE kill_switch SET generation = 4, state = 'ACTIVATED'")
    for statement in (switch.recover(at(ON), NOW), switch.begin_recovery(at(ON), eligible_at=NOW, now=NOW)):
        with pytest.raises(StaleState):
            await db.commit(statement)
