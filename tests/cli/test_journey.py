"""One person's way through the commands, against a real daemon."""

import pytest

from tests.cli.processes import Wallet


@pytest.fixture
def serving(wallet: Wallet):
    """A wallet whose daemon runs."""
    with wallet.serving():
        yield wallet


def test_an_agent_is_created_funded_spends_and_ends(serving: Wallet):
    agent = serving.told("agent", "create", "--name", "trader")["agent"]
    assert (agent["network"], agent["status"]) == ("localnet", "ACTIVE")
    other = serving.told("agent", "create", "--name", "other", "--network", "localnet")["agent"]
    assert {found["name"] for found in serving.told("agent", "list")["items"]} == {"trader", "other"}
    assert serving.told("agent", "rename", "other", "friend")["agent"]["name"] == "friend"
    assert int(serving.told("faucet", "trader", "--amount", "1000000")["faucet"]["balance"]) >= 1000000

    token = serving.run("session", "create", "--agent", "trader", "--output", "token").stdout.strip()
    assert token.startswith("wai_sess_")
    session = {"environment": {"WAIAAS_SESSION_TOKEN": token}, "password": None}
    to = ["--to", other["publicKey"], "--amount", "5000000"]
    sent = serving.told("tx", "send", *to, "--idempotency-key", "k1", "--wait", "30", **session)["transaction"]
    assert sent["status"] == "CONFIRMED"
    again = serving.told("tx", "send", *to, "--idempotency-key", "k1", **session)["transaction"]
    assert again["id"] == sent["id"]
    why = serving.run("tx", "why", sent["id"], **session).stdout
    assert f"The money has moved: {sent['txHash']}" in why
    assert [one["status"] for one in serving.told("tx", "attempts", sent["id"], **session)["items"]] == ["LANDED"]
    assert serving.refused("tx", "speed-up", sent["id"], **session) == (1, "TX_ALREADY_PROCESSED")
    assert serving.told("tx", "show", sent["id"], **session)["transaction"]["txHash"] == sent["txHash"]
    assert [found["id"] for found in serving.told("tx", "list", "--agent", "trader")["items"]] == [sent["id"]]
    assert serving.refused("tx", "cancel", sent["id"], **session) == (1, "TX_ALREADY_PROCESSED")

    rules = '{"limits": {"native:solana": {"per_transaction": "1000"}}}'
    limit = serving.told("policy", "add", "--type", "SPENDING_LIMIT", "--agent", "trader", "--rules", rules)["policy"]
    assert limit["id"] in {found["id"] for found in serving.told("policy", "list")["items"]}
    assert serving.refused("tx", "send", *to, **session) == (1, "SPENDING_LIMIT_EXCEEDED")
    assert serving.told("policy", "update", limit["id"], "--disabled")["policy"]["enabled"] is False
    assert serving.told("policy", "remove", limit["id"])["policy"]["deleted"] is True

    listed = serving.told("session", "list", "--agent", "trader")["items"]
    assert serving.told("session", "revoke", listed[0]["id"])["session"]["status"] == "REVOKED"
    assert serving.refused("tx", "send", *to, **session) == (4, "SESSION_REVOKED")
    assert serving.told("agent", "terminate", "friend", "--yes")["agent"]["status"] == "TERMINATED"
    assert serving.refused("agent", "rename", "nobody", "x") == (1, "AGENT_NOT_FOUND")


def test_a_wrong_password_is_told_apart(serving: Wallet):
    assert serving.refused("agent", "list", password="wrong horse battery") == (4, "INVALID_MASTER_PASSWORD")
