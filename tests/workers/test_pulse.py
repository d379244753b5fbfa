"""The pulse notices that the loop stood still, and only that."""

from tests.api.client import client_of
from waiaas.workers.pulse import Pulse


async def test_health_is_degraded_for_a_minute_after_the_loop_stood_still(open_daemon, clock):
    times = iter([100.0, 101.0, 112.0, 123.1, 124.1])
    async with open_daemon(clock=clock) as daemon, client_of(daemon) as client:
        pulse = Pulse(daemon.core, lambda: next(times))
        for _ in range(3):
            await pulse.tick()
        assert (await client.get("/health")).json()["status"] == "ok"
        await pulse.tick()
        told = (await client.get("/health")).json()
        assert (told["status"], told["warnings"]) == ("degraded", ["everything stood still for 10 s"])
        await pulse.tick()
        clock.move(60)
        assert (await client.get("/health")).json()["status"] == "ok"
