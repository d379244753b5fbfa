"""The real node of the tests is the one that was started, on a port that nobody else had."""

import socket

import pytest

from tests import anvil

pytestmark = pytest.mark.timeout(300)


def test_a_port_that_somebody_has_is_left_to_him(tmp_path, monkeypatch):
    with socket.create_server(("127.0.0.1", anvil.free_port())) as taken:
        ports = [taken.getsockname()[1], anvil.free_port()]
        expected = ports[1]
        monkeypatch.setattr(anvil, "free_port", lambda: ports.pop(0))
        with anvil.run(tmp_path) as node:
            assert node.url == f"http://127.0.0.1:{expected}"
            assert node.call("eth_chainId") == "0x7a69"


def test_an_answer_of_another_process_is_not_taken_for_ours(tmp_path, monkeypatch):
    with anvil.run(tmp_path) as other:
        port = int(other.url.rpartition(":")[2])
        monkeypatch.setattr(anvil, "start", lambda directory, options: (other.process, port))
        (tmp_path / "anvil.json").write_text('{"available_accounts": ["0x12"]}')
        with pytest.raises(AssertionError, match="another process answers"), anvil.run(tmp_path):
            pass


def test_it_cannot_be_started_with_an_option_it_does_not_know(tmp_path):
    with pytest.raises(pytest.fail.Exception, match="anvil does not start"), anvil.run(tmp_path, "--no-such-option"):
        pass
