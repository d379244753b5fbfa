"""What a child runs as its sitecustomize.py: a SIGKILL in the middle of a write, of which the program knows nothing.

Beside it lies plan.json. {"kind": "sql", "text", "when", "count"}: the process dies before or after the COMMIT of the
n-th group that holds a statement with that text. {"kind": "file", "name", "count"}: it dies before the n-th rename onto
such a name. parent.json is the process that it must not outlive. If clock.json is there, it is how many seconds the
machine was off in all: the wall clock is so far ahead.
This file imports nothing of the program, and does nothing under any other name than sitecustomize.
"""

import ctypes
import fnmatch
import json
import os
import signal
import sqlite3
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

#: from linux/prctl.h: the signal that a process gets when the one that started it has ended, in whatever way
PR_SET_PDEATHSIG = 1


def die() -> None:
    """Nothing in this process runs after this."""
    os.kill(os.getpid(), signal.SIGKILL)
    signal.pause()


def watch_commits(text: str, when: str, count: int, die: Callable[[], None] = die) -> type[sqlite3.Connection]:
    """A kind of connection that dies at the n-th COMMIT of a group with a writing statement that has `text` in it."""
    left = [count]

    class Watched(sqlite3.Connection):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.held = False
            self.set_trace_callback(self.look)

        def look(self, sql: str) -> None:
            """Called with every statement, its parameters filled in, before it runs; triggers come as comments."""
            if sql == "COMMIT":
                left[0] -= self.held
                if self.held and left[0] == 0 and when == "before":
                    die()
            elif sql.startswith("BEGIN"):
                self.held = False
            elif not sql.startswith(("SELECT", "--")) and text in " ".join(sql.split()):
                self.held = True

        def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
            """As ever, but nobody hears of the COMMIT that was waited for."""
            done = super().execute(sql, *args)
            if sql == "COMMIT" and self.held and left[0] == 0:
                die()
            return done

    return Watched


def watch_renames(name: str, count: int, die: Callable[[], None] = die) -> Callable[[str, tuple[Any, ...]], None]:
    """An audit hook that dies at the n-th rename onto a name of that pattern (PEP 578, event os.rename)."""
    left = [count]

    def look(event: str, args: tuple[Any, ...]) -> None:
        if event == "os.rename" and fnmatch.fnmatch(os.path.basename(os.fsdecode(args[1])), name):
            left[0] -= 1
            if left[0] == 0:
                die()

    return look


def install(plan: dict[str, Any]) -> None:
    """Wait for the moment."""
    if plan["kind"] == "file":
        sys.addaudithook(watch_renames(plan["name"], plan["count"]))
        return
    watched, connect = watch_commits(plan["text"], plan["when"], plan["count"]), sqlite3.connect

    def connect_watched(*args: Any, **kwargs: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*args, **{"factory": watched, **kwargs})
        return connection

    sqlite3.connect = connect_watched  # type: ignore[assignment]


def set_ahead(seconds: int) -> None:
    """It is later than the system says: time that this process spent dead."""
    told = time.time
    time.time = lambda: told() + seconds


def die_with(parent: int) -> None:
    """Do not outlive the process that started this one: at once on Linux, elsewhere it is looked at here only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    # it may have ended before it was asked to be told of
    if os.getppid() != parent:
        die()


if __name__ == "sitecustomize":
    owner = Path(__file__).with_name("parent.json")
    if owner.exists():
        die_with(json.loads(owner.read_text()))
    later = Path(__file__).with_name("clock.json")
    if later.exists():
        set_ahead(json.loads(later.read_text()))
    beside = Path(__file__).with_name("plan.json")
    if beside.exists():
        install(json.loads(beside.read_text()))
