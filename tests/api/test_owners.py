"""An agent's owner over HTTP: NONE, GRACE, LOCKED, and what each change takes with it."""

from tests.api.client import NOBODY, Caller, code, issues
from tests.owners import EvmWallet, Owned, SolanaWallet, make_owned, shown


async def test_an_owner_is_registered_replaced_and_removed_while_unproved(caller: Caller) -> None:
    owned, path = Owned(caller, SolanaWallet()), f"/v1/agents/{caller.agent['id']}/owner"
    made = (await owned.own()).json()
    assert set(made) == {
        *("id", "name", "chain", "network", "publicKey", "status"),
        *("ownerAddress", "ownerVerified", "ownerState", "updatedAt"),
    }
    assert (made["ownerAddress"], made["ownerVerified"], made["ownerState"]) == (owned.wallet.address, False, "GRACE")
    other = SolanaWallet(2).address
    changed = await caller.api.operator("PUT", path, json={"ownerAddress": other})
    assert (changed.json()["ownerAddress"], changed.json()["ownerState"]) == (other, "GRACE")
    removed = await caller.api.operator("DELETE", path)
    assert (removed.json()["ownerAddress"], removed.json()["ownerState"]) == (None, "NONE")
    assert code(await caller.api.operator("DELETE", path)) == (404, "OWNER_NOT_CONNECTED")


async def test_an_address_that_is_none_of_the_agents_chain_is_refused(caller: Caller) -> None:
    owned, path = Owned(caller, SolanaWallet()), f"/v1/agents/{caller.agent['id']}/owner"
    for address in (EvmWallet().address, "nobody", "0" * 44):
        assert issues(await owned.own(address)) == ["owner_address"]
    assert issues(await caller.api.operator("PUT", path, json={})) == ["owner_address"]
    both = {"owner_address": owned.wallet.address, "ownerAddress": SolanaWallet(2).address}
    assert issues(await caller.api.operator("PUT", path, json=both)) == ["ownerAddress"]
    ethereum = await caller.api.make_agent(chain="ethereum", network="ethereum-localnet")
    path, address = f"/v1/agents/{ethereum['id']}/owner", EvmWallet().address
    wrong_case = address[:-1] + address[-1].swapcase() if address[-1].isalpha() else address.swapcase()
    wrong = await caller.api.operator("PUT", path, json={"ownerAddress": wrong_case.replace("0X", "0x")})
    assert issues(wrong) == ["owner_address"]
    made = await caller.api.operator("PUT", path, json={"ownerAddress": address.lower()})
    assert made.json()["ownerAddress"] == address


async def test_a_change_cancels_what_waited_and_voids_the_texts(caller: Caller) -> None:
    owned = await make_owned(caller, locked=False)
    tx = await owned.send()
    headers = await owned.signed(tx["id"])
    assert (await owned.own(SolanaWallet(2).address)).status_code == 200
    assert (await owned.show(tx["id"]))["errorCode"] == "OWNER_CHANGED"
    assert code(await owned.decide(tx["id"], headers)) == (401, "INVALID_SIGNATURE")
    await owned.own()
    assert code(await owned.decide(tx["id"], headers)) == (401, "INVALID_NONCE")


async def test_a_change_that_the_owner_signs_keeps_it_proved_and_cancels_too(caller: Caller) -> None:
    owned, new = await make_owned(caller), SolanaWallet(2)
    tx = await owned.send()
    path = f"/v1/agents/{owned.agent_id}/owner-message"
    told = (await caller.api.operator("GET", path, params={"newOwner": new.address})).json()
    assert (told["action"], told["subjectId"], "digest" in told) == ("change_owner", owned.agent_id, False)
    assert f"\nMake {new.address} the owner of agent {owned.agent_id} on localnet.\n" in told["message"]
    changed = await owned.own(new.address, **shown(owned.wallet, told["message"]))
    assert (changed.json()["ownerAddress"], changed.json()["ownerState"]) == (new.address, "LOCKED")
    assert (await owned.show(tx["id"]))["errorCode"] == "OWNER_CHANGED"
    assert issues(await caller.api.operator("GET", path)) == ["newOwner"]
    assert issues(await caller.api.operator("GET", path, params={"newOwner": "x"})) == ["newOwner"]


async def test_what_is_not_there_has_no_owner(caller: Caller) -> None:
    body, api = {"ownerAddress": SolanaWallet().address}, caller.api
    for method, path in (("PUT", "owner"), ("DELETE", "owner"), ("GET", "owner-message")):
        answer = await api.operator(method, f"/v1/agents/{NOBODY}/{path}", json=body)
        assert code(answer) == (404, "AGENT_NOT_FOUND")
    message = f"/v1/agents/{caller.agent['id']}/owner-message"
    assert code(await api.operator("GET", message)) == (404, "OWNER_NOT_CONNECTED")
    await api.operator("DELETE", f"/v1/agents/{caller.agent['id']}")
    ended = await api.operator("PUT", f"/v1/agents/{caller.agent['id']}/owner", json=body)
    assert code(ended) == (410, "AGENT_TERMINATED")
