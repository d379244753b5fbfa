"""A client on the application of a running daemon."""

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.api.client import Api, Caller, client_of
from waiaas.app import Daemon


@pytest.fixture
async def client(daemon: Daemon) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(daemon) as made:
        yield made


@pytest.fixture
def api(client: httpx.AsyncClient) -> Api:
    return Api(client)


@pytest.fixture
async def caller(api: Api) -> Caller:
    """An agent with an unlimited session."""
    return await api.make_caller()
