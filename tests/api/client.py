"""Calls on the application of a daemon, without a socket."""

import asyncio
from typing import Any

import httpx

from tests.conftest import PASSWORD
from waiaas.app import Daemon
from waiaas.clock import Clock

MASTER = {"X-Master-Password": PASSWORD}
#: a well-formed id of nothing
NOBODY = "0198c0de-0000-7000-8000-000000000000"
RECIPIENT = "9B5XszUGdMaxCZ7uSQhPzdks5ZQSmWxrmzCSvtJ6Ns6g"


def client_of(daemon: Daemon, *, peer: str = "127.0.0.1", raise_app_exceptions: bool = True) -> httpx.AsyncClient:
    """A client whose requests come from `peer`."""
    transport = httpx.ASGITransport(app=daemon.app, client=(peer, 50000), raise_app_exceptions=raise_app_exceptions)
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:3100")


class Api:
    """What tests ask of a daemon, one method per thing; each answers with the response."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client

    async def make_agent(self, name: str = "shopper", **fields: Any) -> dict[str, Any]:
        """A new agent on the localnet."""
        answer = await self.client.post("/v1/agents", json={"name": name, **fields}, headers=MASTER)
        assert answer.status_code == 201, answer.text
        return answer.json()

    async def make_agent_while(self, clock: Any) -> dict[str, Any]:
        """A new agent, while time passes on a clock that stands by itself: the chain shows its gift a slot later."""
        making = asyncio.create_task(self.make_agent())
        while not making.done():
            clock.move(0.4)
            await asyncio.sleep(0.01)
        return await making

    async def make_session(self, agent_id: str, **fields: Any) -> dict[str, Any]:
        """A new session; its token under `token`, ready headers under `headers`."""
        answer = await self.client.post("/v1/sessions", json={"agentId": agent_id, **fields}, headers=MASTER)
        assert answer.status_code == 201, answer.text
        return {**answer.json(), "headers": {"Authorization": f"Bearer {answer.json()['token']}"}}

    async def make_caller(self, **constraints: Any) -> "Caller":
        """An agent with a session."""
        agent = await self.make_agent()
        given = {"constraints": constraints} if constraints else {}
        return Caller(self, agent, await self.make_session(agent["id"], **given))

    async def operator(self, method: str, path: str, **options: Any) -> httpx.Response:
        """A request with the master password."""
        headers = {**MASTER, **options.pop("headers", {})}
        return await self.client.request(method, path, headers=headers, **options)


class Caller:
    """A program that holds a session's token."""

    def __init__(self, api: Api, agent: dict[str, Any], session: dict[str, Any]) -> None:
        self.api = api
        self.agent = agent
        self.session = session
        self.headers = session["headers"]

    async def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """A request with the token."""
        headers = {**self.headers, **options.pop("headers", {})}
        return await self.api.client.request(method, path, headers=headers, **options)

    async def send(self, amount: str = "1000000", to: str = RECIPIENT, key: str | None = None, **fields: Any) -> Any:
        """A send."""
        headers = {"Idempotency-Key": key} if key is not None else {}
        return await self.request(
            "POST", "/v1/transactions/send", json={"to": to, "amount": amount, **fields}, headers=headers
        )


def code(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of a refusal."""
    return answer.status_code, answer.json()["code"]


def issues(answer: httpx.Response) -> list[str]:
    """The paths that a validation error names."""
    assert code(answer) == (400, "ACTION_VALIDATION_FAILED"), answer.text
    return [issue["path"] for issue in answer.json()["details"]["issues"]]


class MovedClock(Clock):
    """Real time that a test can move ahead."""

    def __init__(self) -> None:
        super().__init__()
        self._ahead = 0.0

    def wall(self) -> float:
        return super().wall() + self._ahead

    def boot(self) -> float:
        return super().boot() + self._ahead

    def monotonic(self) -> float:
        return super().monotonic() + self._ahead

    def move(self, seconds: float) -> None:
        """Time passes."""
        self._ahead += seconds


class HeldClock(MovedClock):
    """Real time that a test can hold: on the embedded Solana chain nothing lands meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self._since: float | None = None

    def hold(self) -> None:
        """Time stands still."""
        self._since = super().monotonic()

    def go_on(self) -> None:
        """From where it stood."""
        assert self._since is not None
        began, self._since = self._since, None
        self.move(began - super().monotonic())

    def wall(self) -> float:
        return super().wall() - self._lost()

    def boot(self) -> float:
        return super().boot() - self._lost()

    def monotonic(self) -> float:
        return super().monotonic() - self._lost()

    def _lost(self) -> float:
        return 0.0 if self._since is None else super().monotonic() - self._since


def words(text: str) -> list[str]:
    """The words of a text, for lists of keys."""
    return text.split()
