"""S23: money goes back to an owner who has signed, and to nobody else, whatever the caller says."""

from typing import Any

from tests.api.client import RECIPIENT, Api, Caller, code
from tests.owners import own
from waiaas.app import Daemon
from waiaas.domain.chain import Network

THIEF = "4uQeVj5tqViQh7yWWGStvkEG1Zmhx6uasJtWCJziofM"


async def test_s23_without_an_owner_nothing_is_withdrawn(api: Api, caller: Caller) -> None:
    answer = await api.operator("POST", f"/v1/agents/{caller.agent['id']}/withdraw", json={})
    assert code(answer) == (404, "NO_OWNER")


async def test_s23_to_an_owner_in_grace_nothing_is_withdrawn(daemon: Daemon, api: Api, caller: Caller) -> None:
    """Whoever has stolen the master password can register an owner, and cannot sign as one that has signed."""
    await own(daemon, caller.agent["id"], verified=False)
    answer = await api.operator("POST", f"/v1/agents/{caller.agent['id']}/withdraw", json={})
    assert code(answer) == (403, "WITHDRAW_LOCKED_ONLY")
    listed = await api.operator("GET", "/v1/transactions")
    assert listed.json()["items"] == []


async def test_s23_a_destination_in_the_body_counts_for_nothing(daemon: Daemon, api: Api, caller: Caller) -> None:
    await own(daemon, caller.agent["id"])
    fields = ("to", "destination", "toAddress", "address", "owner", "ownerAddress", "owner_address", "recipient")
    body = dict.fromkeys(fields, THIEF)
    answer = await api.operator("POST", f"/v1/agents/{caller.agent['id']}/withdraw", json=body)
    assert (answer.status_code, answer.json()["to"]) == (201, RECIPIENT)
    [row] = answer.json()["transactions"]
    shown: dict[str, Any] = (await api.operator("GET", f"/v1/transactions/{row['id']}?wait=20")).json()
    assert (shown["status"], shown["toAddress"]) == ("CONFIRMED", RECIPIENT)
    chain = daemon.core.chains.chain(Network.LOCALNET)
    assert (await chain.balance(THIEF), await chain.balance(RECIPIENT)) == (0, 100 * 10**9 - 5000)
