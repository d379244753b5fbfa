"""How deep Python may call: py-evm and its packages raise the limit for all of the process when they are imported.

With such a limit the JSON decoder would follow 100 kB of `[` to the end of the C stack, and the process with it.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

#: what everything but the virtual machine may take: Python's own default
FRAMES = 1_000
#: what py-evm takes for 1024 calls of contracts inside one another
EVM_FRAMES = 12_288


def restore() -> None:
    """Put the limit back."""
    sys.setrecursionlimit(FRAMES)


@contextmanager
def deep() -> Iterator[None]:
    """Room for contracts that call each other to the limit."""
    sys.setrecursionlimit(EVM_FRAMES)
    try:
        yield
    finally:
        restore()
