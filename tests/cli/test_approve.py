"""`waiaas approve` and `waiaas owner`: what is shown, what is signed, and what is not."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from coincurve import PublicKey
from solders.pubkey import Pubkey
from solders.signature import Signature

from tests.cli.conftest import Run, told
from tests.cli.standin import TRADER, Daemon
from tests.owners import EvmWallet, SolanaWallet, Wallet
from waiaas.auth.signatures import eip191
from waiaas.domain.chain import Chain
from waiaas.domain.owner import OwnerText, written

TX, AGENT, NONCE, DIGEST = "0198c0de-0000-7000-8000-00000000000a", TRADER["id"], "ab" * 32, "cd" * 32
DISPLAY = "send 1.5 SOL (1500000000) to 9B5XszUGdMaxCZ7uSQhPzdks5ZQSmWxrmzCSvtJ6Ns6g"
OWNER_PATH = f"/v1/agents/{AGENT}/owner"


def message(wallet: Wallet, chain: Chain = Chain.SOLANA, action: str = "approve", **changed: Any) -> dict[str, Any]:
    """As the daemon serves it."""
    statement = f"{action.capitalize()} transaction {TX} of agent {AGENT}: {DISPLAY} on localnet. Digest {DIGEST}."
    text = written(
        OwnerText(
            host="127.0.0.1:3100",
            path=changed.pop("path", f"/v1/transactions/{TX}/{action}"),
            chain=chain,
            chain_id="localnet",
            address=wallet.address,
            statement=changed.pop("statement", statement),
            nonce=NONCE,
            issued_at=1_800_000_000,
            expires_at=1_800_000_300,
            subject=TX,
        )
    )
    return {
        "action": action,
        "subjectId": TX,
        "agentId": AGENT,
        "chain": chain,
        "address": wallet.address,
        "message": text,
        "messageBase64": base64.b64encode(text.encode()).decode(),
        "nonce": NONCE,
        "digest": DIGEST,
        "effects": [{"kind": "TRANSFER", "display": DISPLAY}],
        **changed,
    }


def serve(daemon: Daemon, served: dict[str, Any]) -> None:
    daemon.answer("GET", f"/v1/transactions/{TX}/approval-message", served)
    daemon.answer("POST", f"/v1/transactions/{TX}/{served['action']}", {"id": TX, "status": "EXECUTING"})


def sent(daemon: Daemon) -> tuple[str, str]:
    """The text and the signature of the last request."""
    headers = {name.lower(): value for name, value in daemon.asked[-1]["headers"].items()}
    return base64.b64decode(headers["x-owner-message"]).decode(), headers["x-owner-signature"]


@pytest.mark.parametrize("spelling", ["json", "base58"])
def test_a_keypair_file_signs_what_is_shown(call: Run, daemon: Daemon, tmp_path: Path, spelling: str) -> None:
    wallet, file = SolanaWallet(), tmp_path / "id.json"
    file.write_text(json.dumps(list(bytes(wallet.key))) if spelling == "json" else str(wallet.key))
    serve(daemon, served := message(wallet))
    ended = call("approve", TX, "--key-file", str(file), "--yes")
    assert (ended.exit_code, "EXECUTING" in ended.stdout) == (0, True), ended.output
    assert served["message"] in ended.stderr
    assert f"- {DISPLAY}" in ended.stderr
    text, signature = sent(daemon)
    made = Signature.from_bytes(base64.b64decode(signature))
    assert made.verify(Pubkey.from_string(wallet.address), text.encode())
    assert text == served["message"]
    assert daemon.asked[0]["query"] == "action=approve"


def test_a_hex_key_signs_for_ethereum_and_no_is_a_no(call: Run, daemon: Daemon, tmp_path: Path) -> None:
    wallet, file = EvmWallet(), tmp_path / "key"
    file.write_text("0x" + wallet.key.key.hex().removeprefix("0x") + "\n")
    serve(daemon, message(wallet, Chain.ETHEREUM, "reject"))
    asked = call("approve", TX, "--reject", "--key-file", str(file))
    assert (asked.exit_code, len(daemon.asked)) == (1, 1)
    assert told(call("approve", TX, "--reject", "--key-file", str(file), "--yes", "--json"))["ok"]
    text, signature = sent(daemon)
    public = PublicKey.from_signature_and_message(bytes.fromhex(signature[2:]), eip191(text.encode()), hasher=None)
    assert wallet.key._key_obj.public_key.to_bytes() == public.format(compressed=False)[1:]


def test_a_signature_made_elsewhere_is_pasted(call: Run, daemon: Daemon) -> None:
    serve(daemon, served := message(SolanaWallet()))
    pasted = SolanaWallet().sign(served["message"])
    assert told(call("approve", TX, "--json", input=f"{pasted}\n"))["ok"]
    assert sent(daemon) == (served["message"], pasted)
    nothing = call("approve", TX, input="")
    assert (nothing.exit_code, "nothing was done" in nothing.stderr) == (1, True)


@pytest.mark.parametrize(
    "lie",
    [
        {"statement": f"Approve transaction {AGENT} of agent {AGENT}: {DISPLAY} on localnet. Digest {DIGEST}."},
        {"effects": [{"kind": "TRANSFER", "display": "send 1 SOL"}]},
        {"digest": "00" * 32},
        {"messageBase64": "aGVsbG8="},
        {"action": "approve", "address": "somebody else"},
    ],
)
def test_a_text_that_does_not_say_what_is_shown_is_not_signed(
    call: Run, daemon: Daemon, tmp_path: Path, lie: dict[str, Any]
) -> None:
    file = tmp_path / "id.json"
    file.write_text(str(SolanaWallet().key))
    serve(daemon, message(SolanaWallet(), **lie))
    ended = call("approve", TX, "--key-file", str(file), "--yes")
    assert (ended.exit_code, [one["method"] for one in daemon.asked]) == (1, ["GET"]), ended.output


def test_a_key_that_is_not_the_owners_signs_nothing_and_is_told_nowhere(
    call: Run, daemon: Daemon, tmp_path: Path
) -> None:
    file, served = tmp_path / "id.json", message(SolanaWallet(2))
    serve(daemon, served)
    for text in (str(SolanaWallet().key), "[1, 2]", "[1000]", "secret words", "[" + "1," * 63 + "1]"):
        file.write_text(text)
        ended = call("approve", TX, "--key-file", str(file), "--yes")
        assert (ended.exit_code, text in ended.output) == (1, False)
    assert {one["method"] for one in daemon.asked} == {"GET"}


def test_an_owner_is_shown_set_and_removed(call: Run, daemon: Daemon) -> None:
    owned = {**TRADER, "ownerAddress": "9B5X", "ownerState": "GRACE", "updatedAt": 1_800_000_000}
    daemon.answer("GET", f"/v1/agents/{AGENT}", owned)
    daemon.answer("PUT", OWNER_PATH, owned)
    daemon.answer("DELETE", OWNER_PATH, {**owned, "ownerAddress": None, "ownerState": "NONE"})
    assert told(call("owner", "show", "trader", "--json"))["owner"]["ownerState"] == "GRACE"
    assert "GRACE" in call("owner", "set", "trader", "9B5X").stdout
    assert daemon.asked[-1]["body"] == {"owner_address": "9B5X"}
    assert call("owner", "remove", "trader").exit_code == 1
    assert told(call("owner", "remove", "trader", "--yes", "--json"))["owner"]["ownerState"] == "NONE"


def test_an_owner_that_has_proved_the_key_signs_the_change(call: Run, daemon: Daemon) -> None:
    refusal = {"code": "OWNER_ALREADY_CONNECTED", "message": "The present owner must sign."}
    daemon.answer("PUT", OWNER_PATH, refusal, 409)
    asked = f"/v1/agents/{AGENT}/owner-message"
    # an approval instead
    daemon.answer("GET", asked, message(SolanaWallet()))
    ended = call("owner", "set", "trader", "9B5X", input="signature\n")
    assert (ended.exit_code, "Make 9B5X the owner" in ended.output) == (1, True)
    assert daemon.asked[-1]["method"] == "GET"
    change = f"Make 9B5X the owner of agent {AGENT} on localnet."
    daemon.answer("GET", asked, message(SolanaWallet(), statement=change, path=OWNER_PATH))
    ended = call("owner", "set", "trader", "9B5X", input="signature\n")
    assert ended.exit_code == 1
    assert sent(daemon)[1] == "signature"
    assert daemon.asked[-2]["query"] == "newOwner=9B5X"
