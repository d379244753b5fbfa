"""S14 to S19, F14, B03 and B04: the owner's word counts once, and for exactly what it was given for."""

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator

import pytest
from coincurve import PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from tests.api.client import NOBODY, Api, Caller, MovedClock, client_of, code
from tests.conftest import OpenDaemon, settings
from tests.owners import EvmWallet, Owned, SolanaWallet, Wallet, make_owned, shown
from waiaas.auth.owner import claimed
from waiaas.auth.signatures import ENVELOPE, eip191, is_signed_by
from waiaas.domain.chain import Chain
from waiaas.errors import InvalidSignature
from waiaas.paths import DataDir

#: the order of secp256k1
N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
INVALID, NONCE = (401, "INVALID_SIGNATURE"), (401, "INVALID_NONCE")
NONCE_ONLY: dict[str, object] = {"allow_nonce_only_owner_signatures": True}


@pytest.fixture
async def owned(caller: Caller) -> Owned:
    """An agent whose owner has not proved the key yet; every send waits."""
    return await make_owned(caller, locked=False)


@pytest.fixture
def moved() -> MovedClock:
    return MovedClock()


@pytest.fixture
async def later(open_daemon: OpenDaemon, moved: MovedClock) -> AsyncIterator[Owned]:
    """An agent with a LOCKED owner, in a daemon whose time a test moves."""
    async with open_daemon(clock=moved) as daemon, client_of(daemon) as client:
        yield await make_owned(await Api(client).make_caller(), approval_timeout=300)


async def test_s14_headers_that_are_missing_or_not_the_owners_are_refused_and_keep_the_nonce(owned: Owned) -> None:
    tx = (await owned.send())["id"]
    good = await owned.signed(tx)
    wrong: list[dict[str, str]] = [{name: value for name, value in good.items() if name != left} for left in good]
    wrong += [{**good, name: ""} for name in good]
    wrong += [{**good, name: "x" * 8193} for name in good]
    wrong += [{**good, "X-Owner-Address": address} for address in ("nobody", "0x" + "0" * 40, SolanaWallet(9).address)]
    wrong += [{**good, "X-Owner-Message": text} for text in ("%%%", "aGVsbG8=", base64.b64encode(b"\xff").decode())]
    signature = good["X-Owner-Signature"]
    wrong += [{**good, "X-Owner-Signature": text} for text in (signature[:-9], signature + "1", "0x00", "0" * 88)]
    for headers in wrong:
        assert code(await owned.decide(tx, headers)) == INVALID, headers
    assert await owned.state() == "GRACE"
    assert (await owned.decide(tx, good)).status_code == 200


async def test_what_an_owner_has_signed_is_in_no_file(owned: Owned, data: DataDir) -> None:
    given = []
    for action in ("approve", "reject"):
        tx = (await owned.send())["id"]
        given.append(await owned.signed(tx, action))
        assert (await owned.decide(tx, given[-1], action)).status_code == 200
    claims = [claimed({name.lower().encode(): text.encode() for name, text in headers.items()}) for headers in given]
    spelled = [headers[name].encode() for headers in given for name in ("X-Owner-Signature", "X-Owner-Message")]
    secrets = [*spelled, *(claim.signature for claim in claims), *(claim.message.encode() for claim in claims)]
    for path in (entry for entry in data.root.rglob("*") if entry.is_file()):
        content = path.read_bytes()
        assert not any(secret in content for secret in secrets), path


async def test_s14_another_owner_or_another_key_is_refused_and_a_wrong_signature_burns_the_nonce(owned: Owned) -> None:
    tx, other = (await owned.send())["id"], await make_owned(await owned.caller.api.make_caller(), SolanaWallet(2))
    text = await owned.text(tx)
    assert code(await owned.decide(tx, shown(other.wallet, text))) == INVALID
    forged = {**shown(owned.wallet, text), "X-Owner-Signature": other.wallet.sign(text)}
    assert code(await owned.decide(tx, forged)) == INVALID
    assert code(await owned.decide(tx, shown(owned.wallet, text))) == NONCE
    assert (await owned.state(), (await owned.show(tx))["status"]) == ("GRACE", "QUEUED")


async def test_s15_a_nonce_counts_once_and_unknown_used_and_expired_look_alike(later: Owned, moved: MovedClock) -> None:
    tx = (await later.send())["id"]
    used, unknown = await later.signed(tx, "reject"), "Nonce: " + "0" * 64
    assert code(await later.decide(tx, used)) == INVALID
    answers = [await later.decide(tx, used), await later.decide(tx, shown(later.wallet, unknown))]
    headers = await later.signed(tx)
    moved.move(290)
    kept = await later.signed(tx)
    moved.move(10)
    answers += [await later.decide(tx, headers), await later.decide(tx, kept)]
    assert [code(answer) for answer in answers] == [NONCE] * 4
    bodies = [{**answer.json(), "requestId": ""} for answer in answers]
    assert bodies.count(bodies[0]) == 4


async def test_s15_of_twenty_uses_at_once_one_wins(owned: Owned) -> None:
    tx = (await owned.send())["id"]
    headers = await owned.signed(tx)
    answers = await asyncio.gather(*(owned.decide(tx, headers) for _ in range(20)))
    assert sorted(answer.status_code for answer in answers) == [200] + [401] * 19
    assert {code(answer) for answer in answers if answer.status_code == 401} == {NONCE}
    assert code(await owned.decide(tx, headers)) == NONCE


async def test_s16_a_text_for_approve_does_not_reject_nor_approve_anything_else(owned: Owned) -> None:
    first, second = (await owned.send())["id"], (await owned.send())["id"]
    other = await make_owned(await owned.caller.api.make_caller(), locked=False)
    third = (await other.send())["id"]
    for tx, action in ((first, "reject"), (second, "approve"), (third, "approve")):
        assert code(await owned.decide(tx, await owned.signed(first), action)) == INVALID
    change = f"/v1/agents/{owned.agent_id}/owner-message"
    text = (await owned.caller.api.operator("GET", change, params={"newOwner": other.wallet.address})).json()["message"]
    assert code(await owned.decide(first, shown(owned.wallet, text))) == INVALID
    assert {(await owned.show(tx))["status"] for tx in (first, second, third)} == {"QUEUED"}


async def test_s16_a_change_signed_for_one_agent_changes_no_other_of_the_same_owner(owned: Owned) -> None:
    other, new = await make_owned(await owned.caller.api.make_caller()), SolanaWallet(3).address
    await owned.lock()
    path, asked = f"/v1/agents/{other.agent_id}/owner-message", {"newOwner": new}
    text = (await owned.caller.api.operator("GET", path, params=asked)).json()["message"]
    assert code(await owned.own(new, **shown(owned.wallet, text))) == INVALID


#: line of the text, what it says there, what it is made to say
ALTERED = (
    (0, "127.0.0.1:3100", "evil.example"),
    (1, SolanaWallet().address, SolanaWallet(9).address),
    (3, "send 0.001 SOL (1000000)", "send 0.0001 SOL (100000)"),
    (3, "Fee at most 0.", "Fee at most 9."),
    (3, "Digest ", "Digest 0"),
    (10, "Expiration Time: 2", "Expiration Time: 3"),
)


async def test_s16_an_altered_text_is_no_approval(owned: Owned) -> None:
    tx = (await owned.send())["id"]
    for line, said, instead in ALTERED:
        lines = (await owned.text(tx)).split("\n")
        assert said in lines[line]
        lines[line] = lines[line].replace(said, instead)
        assert code(await owned.decide(tx, shown(owned.wallet, "\n".join(lines)))) == INVALID
    assert (await owned.show(tx))["status"] == "QUEUED"


async def test_s17_a_bare_nonce_says_nothing_while_the_switch_is_off(owned: Owned) -> None:
    tx = (await owned.send())["id"]
    nonce = (await owned.client.get("/v1/nonce")).json()["nonce"]
    assert code(await owned.decide(tx, bare(owned.wallet, nonce))) == INVALID


async def test_s17_a_bare_nonce_counts_once_while_the_switch_is_on(open_daemon: OpenDaemon) -> None:
    async with open_daemon(settings(security=NONCE_ONLY)) as daemon, client_of(daemon) as client:
        owned = await make_owned(await Api(client).make_caller(), locked=False)
        first, second = (await owned.send())["id"], (await owned.send())["id"]
        headers = bare(owned.wallet, (await client.get("/v1/nonce")).json()["nonce"])
        assert (await owned.decide(first, headers)).status_code == 200
        assert code(await owned.decide(second, headers)) == NONCE
        bound = (await owned.message(second)).json()["nonce"]
        assert code(await owned.decide(second, bare(owned.wallet, bound))) == INVALID
        change = await owned.own(SolanaWallet(3).address, **bare(owned.wallet, "0" * 64))
        assert code(change) == INVALID


async def test_s18_what_cannot_be_decided_says_why(later: Owned, moved: MovedClock) -> None:
    nobody = Owned(await later.caller.api.make_caller(), SolanaWallet())
    await nobody.limit()
    unowned, rejected, late = (await nobody.send())["id"], (await later.send())["id"], (await later.send())["id"]
    text = await later.text(late)
    assert code(await later.decide(unowned, shown(later.wallet, text))) == (404, "OWNER_NOT_CONNECTED")
    assert code(await later.decide(NOBODY, shown(later.wallet, text))) == (404, "TX_NOT_FOUND")
    headers = await later.signed(rejected)
    assert (await later.reject(rejected)).status_code == 200
    assert code(await later.decide(rejected, headers)) == (409, "TX_ALREADY_PROCESSED")
    assert code(await later.message(rejected)) == (409, "TX_ALREADY_PROCESSED")
    free = await later.caller.api.operator("POST", "/v1/policies", json=NO_BOUNDS | {"agentId": nobody.agent_id})
    assert free.status_code == 201
    await nobody.own()
    assert code(await nobody.message(unowned)) == (404, "APPROVAL_NOT_FOUND")
    moved.move(300)
    assert code(await later.message(late)) == (410, "APPROVAL_TIMEOUT")
    assert (await later.show(late))["status"] == "EXPIRED"
    assert code(await later.message(late)) == (410, "APPROVAL_TIMEOUT")


NO_BOUNDS = {"type": "SPENDING_LIMIT", "rules": {"per_transaction": "1000000000000"}}


async def test_s19_the_master_password_alone_does_not_replace_a_proved_owner(owned: Owned) -> None:
    await owned.lock()
    new, api = SolanaWallet(3), owned.caller.api
    assert code(await owned.own(new.address)) == (409, "OWNER_ALREADY_CONNECTED")
    removed = await api.operator("DELETE", f"/v1/agents/{owned.agent_id}/owner")
    assert code(removed) == (403, "OWNER_REMOVAL_BLOCKED")
    path, asked = f"/v1/agents/{owned.agent_id}/owner-message", {"newOwner": new.address}

    async def text() -> str:
        return str((await api.operator("GET", path, params=asked)).json()["message"])

    assert code(await owned.own(new.address, **shown(new, await text()))) == INVALID
    assert code(await owned.own(SolanaWallet(4).address, **shown(owned.wallet, await text()))) == INVALID
    changed = await owned.own(new.address, **shown(owned.wallet, await text()))
    assert (changed.json()["ownerAddress"], changed.json()["ownerState"]) == (new.address, "LOCKED")


async def test_b03_a_text_is_good_for_less_than_300_seconds(later: Owned, moved: MovedClock) -> None:
    first, second = (await later.send())["id"], (await later.send())["id"]
    one, two = await later.signed(first), await later.signed(second)
    moved.move(290)
    assert (await later.decide(first, one)).status_code == 200
    moved.move(10)
    assert code(await later.decide(second, two)) == NONCE


async def test_b04_an_approval_ends_at_its_last_second(later: Owned, moved: MovedClock) -> None:
    tx = (await later.send())["id"]
    moved.move(200)
    told = (await later.message(tx)).json()
    assert told["expiresAt"] == (await later.show(tx))["approvalExpiresAt"] < told["issuedAt"] + 300
    moved.move(90)
    assert (await later.message(tx)).status_code == 200
    moved.move(10)
    assert code(await later.decide(tx, shown(later.wallet, told["message"]))) == NONCE
    assert code(await later.message(tx)) == (410, "APPROVAL_TIMEOUT")


def bare(wallet: Wallet, nonce: str) -> dict[str, str]:
    return {**shown(wallet, nonce), "X-Owner-Message": nonce}


def test_s14_a_signature_of_ethereum_holds_in_its_four_spellings_and_with_a_low_s_alone() -> None:
    wallet, text = EvmWallet(), "hello"
    made = PrivateKey(bytes([1]) * 32).sign_recoverable(eip191(text.encode()), hasher=None)
    held = {v: is_signed_by(wallet.address, text, made[:64] + bytes([v]), Chain.ETHEREUM) for v in range(256)}
    assert {v for v, holds in held.items() if holds} == {made[64], made[64] + 27}
    high = made[:32] + (N - int.from_bytes(made[32:64], "big")).to_bytes(32, "big") + bytes([1 - made[64]])
    assert not is_signed_by(wallet.address, text, high, Chain.ETHEREUM)
    assert not is_signed_by(wallet.address, text, bytes(65), Chain.ETHEREUM)
    assert not is_signed_by(EvmWallet(2).address, text, made, Chain.ETHEREUM)


def test_s14_a_signature_of_solana_holds_over_the_text_and_over_its_envelope() -> None:
    wallet, text = SolanaWallet(), "hello\nthere"
    raw = text.encode()
    enveloped = [ENVELOPE + bytes([form]) + len(raw).to_bytes(2, "little") + raw for form in (0, 1, 2)]
    held = [is_signed_by(wallet.address, text, bytes(wallet.key.sign_message(one)), Chain.SOLANA) for one in enveloped]
    assert held == [True, True, False]
    assert is_signed_by(wallet.address, text, bytes(wallet.key.sign_message(raw)), Chain.SOLANA)
    assert not is_signed_by(SolanaWallet(2).address, text, bytes(wallet.key.sign_message(raw)), Chain.SOLANA)


def test_s14_nobody_signs_for_an_address_of_small_order() -> None:
    """Of such a point a lenient check takes R = -hA with s = 0, which holds for every fourth text without any key."""
    points = [bytes(32), b"\1" + bytes(31), bytes(31) + b"\x80", b"\xec" + b"\xff" * 30 + b"\x7f"]
    made = [(str(number), point + bytes(32)) for number in range(40) for point in points]
    assert not any(is_signed_by("1" * 32, text, signature, Chain.SOLANA) for text, signature in made)


@given(st.lists(st.binary(max_size=200), min_size=3, max_size=3), st.booleans())
def test_s14_headers_of_any_bytes_are_decoded_or_refused(values: list[bytes], as_base64: bool) -> None:
    address, message, signature = values
    if as_base64:
        message, signature = base64.b64encode(message), base64.b64encode(signature)
    headers = {b"x-owner-address": address, b"x-owner-message": message, b"x-owner-signature": signature}
    with contextlib.suppress(InvalidSignature):
        claimed(headers)
