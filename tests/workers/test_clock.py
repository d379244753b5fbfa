"""A clock that is set back revives nothing, while running and over a restart."""

from tests.api.client import Api, Caller, client_of


async def test_a_backward_step_revives_no_session(open_daemon, clock) -> None:
    async with open_daemon(clock=clock) as daemon, client_of(daemon) as client:
        api = Api(client)
        agent = await api.make_agent_while(clock)
        caller = Caller(api, agent, await api.make_session(agent["id"], ttl=300))
        clock.move(299)
        assert (await caller.request("GET", "/v1/wallet/address")).status_code == 200
        clock.move(1)
        assert (await caller.request("GET", "/v1/wallet/address")).status_code == 401
        clock.step(-3600)
        assert (await caller.request("GET", "/v1/wallet/address")).status_code == 401


async def test_nor_does_a_step_over_a_restart(open_daemon, clock) -> None:
    async with open_daemon(clock=clock) as daemon, client_of(daemon) as client:
        api = Api(client)
        agent = await api.make_agent_while(clock)
        session = await api.make_session(agent["id"], ttl=300)
        clock.move(330)
    async with open_daemon(clock=clock):
        pass
    # what is set back by less than the tolerance is no reason not to start
    clock.step(-59)
    fresh = type(clock)(clock.wall())
    async with open_daemon(clock=fresh) as daemon, client_of(daemon) as client:
        caller = Caller(Api(client), agent, session)
        assert (await caller.request("GET", "/v1/wallet/address")).status_code == 401
