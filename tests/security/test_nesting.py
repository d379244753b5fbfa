"""H08: a body nested without end is refused, also where a package has raised Python's recursion limit."""

import subprocess
import sys

import pytest

from tests.api.client import MASTER, Api, Caller, issues
from waiaas.api.decode import DEEPEST, depth

#: importing eth_account raises the recursion limit to 100000, where the decoder would run off the stack
PROGRAM = """
import asyncio, sys
import eth_account
assert sys.getrecursionlimit() > 10_000
from waiaas.api.call import Call
from waiaas.api.decode import BodyReader
from waiaas.errors import ValidationFailed

async def main():
    for body in (b"[" * 262144, b'{"a":' * 52428, b'{"a":[' * 43690):
        async def receive():
            return {"type": "http.request", "body": body}
        scope = {"type": "http", "method": "POST", "path": "/", "headers": [], "client": None}
        try:
            await BodyReader(dict).read(Call(None, scope, receive))
        except ValidationFailed as refusal:
            print(refusal.issues)

asyncio.run(main())
"""


def test_h08_no_depth_crashes_the_process() -> None:
    ended = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr[-500:]
    assert ended.stdout.splitlines() == ["(('', 'must not be nested deeper than 100'),)"] * 3


async def test_h08_a_deep_body_is_a_400_on_every_kind_of_route(api: Api, caller: Caller) -> None:
    for body in (b"[" * 262144, b"{" * 262144, b'{"to":' + b"[" * (DEEPEST + 1)):
        assert issues(await caller.request("POST", "/v1/transactions/send", content=body)) == [""]
        assert issues(await api.client.post("/v1/agents", content=body, headers=MASTER)) == [""]


@pytest.mark.parametrize(
    ("body", "deep"),
    [
        (b"{}", 1),
        (b"[]" * 200, 1),
        (b"[[]]" * 200, 2),
        (b'{"a":"' + b"[" * 200 + b'"}', 1),
        (b'"\\"' + b"[" * 200 + b'"', 0),
        (b'"\\\\"' + b"[" * 200, 200),
        (b'"' + b"[" * 200, 0),
        (b"[" * 150 + b"]" * 150, 150),
    ],
)
def test_brackets_inside_texts_do_not_count(body: bytes, deep: int) -> None:
    assert depth(body) == deep


async def test_h08_a_large_flat_body_is_read(caller: Caller) -> None:
    abi = [{"type": "function", "inputs": []}] * 1000
    answer = await caller.send(abi=abi)
    assert answer.status_code == 201
