"""Starts that must not succeed: exit codes, and nothing changed."""

import socket

import pytest

from tests.process.conftest import Ended


async def test_a_second_daemon_in_the_same_directory_exits_2_and_the_first_goes_on(house):
    first = await house.serve()
    with pytest.raises(Ended) as ended:
        await house.serve()
    assert ended.value.code == 2
    await first.ready()
    assert await first.stop() == 0


async def test_a_wrong_password_exits_4_and_changes_nothing(house):
    before = {path: path.stat().st_mtime_ns for path in (house.data / "keystore").iterdir()}
    (house.data / ".master-password").write_text("another password of enough length\n")
    with pytest.raises(Ended) as ended:
        await house.serve()
    assert (ended.value.code, house.password in ended.value.said) == (4, False)
    assert {path: path.stat().st_mtime_ns for path in (house.data / "keystore").iterdir()} == before


async def test_a_taken_port_exits_1(house):
    first = await house.serve()
    port = first._client.base_url.port
    await first.kill()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        assert (await house.waiaas("serve", "--port", str(port)))[0] == 1
    await house.check()
