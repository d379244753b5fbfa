"""The same daemon, client and caller as in tests/api."""

from tests.api.conftest import api, caller, client

__all__ = ["api", "caller", "client"]
