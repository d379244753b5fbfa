"""What must never be seen while the daemon runs is noticed when it is planted."""

import asyncio
from base64 import b64encode

import pytest
from solders.hash import Hash
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from waiaas.cli.torture.daemon import Said
from waiaas.cli.torture.facts import Effect, Intent
from waiaas.cli.torture.hosts import KINDS
from waiaas.cli.torture.stopper import Stopper
from waiaas.cli.torture.witness import MOST_TOLD, Witness
from waiaas.clock import Clock

NETWORK = "localnet"
INTENT = Intent("intent", "transfer", "agent", "key", (Effect(NETWORK, "from", "native:solana", "to", 1),))


def sending(lamports: int) -> tuple[str, dict]:
    """The signature of a payment, and the call that sends it."""
    key = Keypair.from_seed(bytes(32))
    paid = transfer(TransferParams(from_pubkey=key.pubkey(), to_pubkey=Pubkey.default(), lamports=lamports))
    signed = VersionedTransaction(MessageV0.try_compile(key.pubkey(), [paid], [], Hash.default()), [key])
    call = {"method": "sendTransaction", "params": [b64encode(bytes(signed)).decode()]}
    return str(signed.signatures[0]), call


@pytest.fixture
def witness() -> Witness:
    return Witness(list(KINDS.values()), Clock())


def test_new_bytes_before_all_live_ones_were_looked_up_are_found(witness):
    witness.new_life({NETWORK: {"old"}})
    witness.look(NETWORK, sending(1)[1])
    assert [text.split(":")[0] for text in witness.findings] == ["recovery"]


def test_bytes_that_were_live_may_be_sent_again_at_once_and_new_ones_after_the_look(witness):
    signature, call = sending(1)
    witness.new_life({NETWORK: {signature}})
    witness.look(NETWORK, call)
    witness.look(NETWORK, {"method": "getSignatureStatuses", "params": [[signature]]})
    witness.look(NETWORK, sending(2)[1])
    assert witness.findings == []


@pytest.mark.parametrize(("status", "found"), [(201, ["recovery"]), (200, [])])
def test_a_201_before_all_live_bytes_were_looked_up_is_found(witness, status, found):
    witness.new_life({NETWORK: {"old"}})
    with witness.asking(INTENT):
        witness.accepted(INTENT, status)
    assert [text.split(":")[0] for text in witness.findings] == found


def test_an_answer_that_the_last_life_wrote_is_not_held_against_this_one(witness):
    with witness.asking(INTENT):
        witness.new_life({NETWORK: {"old"}})
        witness.accepted(INTENT, 201)
    assert witness.findings == []


def test_bytes_sent_while_the_switch_is_on_are_found(witness):
    witness.expect_silence(Clock().monotonic() - 1)
    witness.look(NETWORK, sending(1)[1])
    assert [text.split(":")[0] for text in witness.findings] == ["switch"]
    witness.expect_silence(None)
    witness.look(NETWORK, sending(2)[1])
    assert len(witness.findings) == 1


@pytest.mark.parametrize(("code", "found"), [("INTERNAL_ERROR", 1), (None, 1), ("SESSION_REVOKED", 0)])
def test_an_answer_that_nothing_explains_is_found(witness, code, found):
    witness.note_refusal(Said(500, {"code": code}))
    assert len(witness.findings) == found


def test_of_one_kind_only_some_are_told(witness):
    for number in range(2 * MOST_TOLD):
        witness.find(f"answer: {number}")
    witness.find("switch: another")
    assert len(witness.findings) == MOST_TOLD + 1


class Watching(Stopper):
    """Its comparison alone."""

    def __init__(self, witness: Witness) -> None:
        self._stage = type("Stage", (), {"witness": witness})()


def row(status: str) -> dict:
    return {"tx_id": "tx", "status": status}


def test_a_signature_after_a_stop_is_found(witness):
    Watching(witness)._compare("switch", {"a": row("LIVE")}, {"a": row("LIVE"), "b": row("LIVE")})
    assert witness.findings == ["switch: b of transaction tx was signed after the stop"]


@pytest.mark.parametrize(
    ("status", "landed", "manifest", "found"),
    [
        ("LIVE", set(), set(), 1),
        ("REPLACED", set(), set(), 1),
        ("DEAD", {"a"}, set(), 1),
        ("DEAD", set(), set(), 0),
        ("LIVE", {"a"}, {"tx"}, 0),
    ],
)
def test_what_may_land_after_the_switch_and_was_not_told_of_is_found(witness, status, landed, manifest, found):
    Watching(witness)._compare_manifest(manifest, {"a": row(status)}, landed)
    assert len(witness.findings) == found


async def test_who_never_ends_and_who_fails_are_findings(witness, monkeypatch):
    from waiaas.cli.torture import supervisor

    async def fail() -> None:
        raise RuntimeError("planted")

    async def wait_for_ever() -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(supervisor, "CLIENTS_SECONDS", 0.05)
    stage = type("Stage", (), {"witness": witness})()
    failing, stuck = asyncio.create_task(fail()), asyncio.create_task(wait_for_ever())
    assert await supervisor.finish(stage, "clients", [failing, stuck]) is False
    stuck.cancel()
    assert any("was still at it after 0.05 seconds" in text and "wait_for_ever" in text for text in witness.findings)
    assert any(text == "clients: RuntimeError: planted" for text in witness.findings)
