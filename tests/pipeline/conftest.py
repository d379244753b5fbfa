"""A world for every test: the template is made once, each test works on a copy."""

import asyncio

import pytest

from tests.world import make_cast, open_world
from waiaas.paths import DataDir


@pytest.fixture(scope="session")
def template(tmp_path_factory):
    """Directory and cast of a wallet that tests copy."""
    directory = tmp_path_factory.mktemp("template") / "wallet"
    return directory, asyncio.run(make_cast(DataDir(directory)))


@pytest.fixture
async def world(template, tmp_path):
    """A wallet, its chain, faults and a clock; nothing of the daemon is open."""
    async with open_world(*template, tmp_path / "wallet") as opened:
        yield opened


@pytest.fixture
async def core(world):
    """The daemon's parts; the test does what workers would do."""
    async with world.open_core() as opened:
        yield opened
