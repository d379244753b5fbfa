"""A world for every test: the template is made once, each test works on a copy."""

import asyncio

import pytest

from tests.conftest import ManualClock
from tests.pipeline.ethereum import make_evm_cast, open_evm_world
from tests.world import make_cast, open_world
from waiaas.localnet import open_evm
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


@pytest.fixture(scope="session")
def evm_template(tmp_path_factory):
    """Directory and cast of a wallet on the embedded EVM chain that tests copy."""
    directory = tmp_path_factory.mktemp("template") / "ethereum"

    async def make():
        data, clock = DataDir(directory), ManualClock()
        (directory / "localnet").mkdir(parents=True)
        async with open_evm(data.localnet, clock) as chain:
            return await make_evm_cast(data, chain, clock)

    return directory, asyncio.run(make())


@pytest.fixture
async def eth(evm_template, tmp_path):
    """A wallet on the embedded EVM chain, its daemon's parts open: the test does what workers would do."""
    async with open_evm_world(*evm_template, tmp_path / "ethereum") as opened, opened.open_core():
        yield opened
