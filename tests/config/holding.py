"""A program that holds a lock, told by its path, until its input ends."""

HOLD = """
import sys
from pathlib import Path
from waiaas.lifecycle import hold, holder
with hold(Path(sys.argv[1]), holder(1800000000, "0.1.0")):
    print("held", flush=True)
    sys.stdin.read()
"""
