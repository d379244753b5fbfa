"""The same daemon, client and caller as in tests/api, and the world of tests/pipeline."""

from tests.api.conftest import api, caller, client
from tests.pipeline.conftest import core, eth, evm_template, template, world

__all__ = ["api", "caller", "client", "core", "eth", "evm_template", "template", "world"]
