"""What every run of the simulation begins with."""

import pytest

from tests.simulation import founding


@pytest.fixture(scope="session", autouse=True)
def _founded() -> None:
    """Before a test takes a guard out: all runs of this process share the wallet."""
    founding.wallet()
