"""The hunt finds a secret wherever it was left, in any spelling, and every file that does not belong there."""

import base64
import sqlite3

import pytest

from waiaas.cli.torture import hunt
from waiaas.cli.torture.child import Place, prepare
from waiaas.cli.torture.hunt import keys, leaks, strays

PASSWORD = "correct horse battery"
TOKEN = "wai_sess_" + "a.b.c"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A wallet that no daemon has run on."""
    place = Place(tmp_path_factory.mktemp("torture"))
    prepare(place, PASSWORD, {"solana_localnet": ["http://127.0.0.1:1"]})
    place.output.write_bytes(b"ready\n")
    return place


@pytest.fixture
def place(made):
    """The same wallet, which is put in order afterwards."""
    yield made
    (made.data / "logs" / "daemon.log").unlink(missing_ok=True)
    made.output.write_bytes(b"ready\n")


def found(place: Place) -> list[str]:
    return list(leaks(place, PASSWORD, [TOKEN]))


def test_a_clean_wallet_has_neither_leaks_nor_strays(place):
    # in this order: who reads the database leaves the files of its log beside it
    assert strays(place.data) == []
    assert found(place) == []


@pytest.mark.parametrize("spelled", [PASSWORD, PASSWORD.encode().hex(), base64.b64encode(PASSWORD.encode()).decode()])
def test_the_password_in_the_log_is_found(place, spelled):
    (place.data / "logs" / "daemon.log").write_text(f'{{"event":"x","what":"{spelled}"}}\n')
    assert found(place) == ["secret: the password is in logs/daemon.log"]


def test_a_token_in_the_output_is_found(place):
    place.output.write_text(f"Bearer {TOKEN}\n")
    assert found(place) == ["secret: a session token is in the output"]


def test_a_key_in_a_stored_value_is_found_and_not_told(place):
    name, key = next(keys(place.data / "keystore", PASSWORD))
    connection = sqlite3.connect(place.database)
    with connection:
        connection.execute("INSERT INTO key_value_store VALUES ('planted', ?, 0)", (key.hex(),))
    connection.close()
    told = found(place)
    connection = sqlite3.connect(place.database)
    with connection:
        connection.execute("DELETE FROM key_value_store WHERE key = 'planted'")
    connection.execute("VACUUM")
    connection.close()
    assert f"secret: {name} is in the database's values" in told
    assert not any(key.hex() in text for text in told)


def test_what_an_atomic_write_left_is_a_stray(place):
    left = place.data / "keystore" / ".master.json.123.0a1b2c3d"
    left.write_bytes(b"")
    try:
        assert "file: keystore/.master.json.123.0a1b2c3d was left behind" in strays(place.data)
    finally:
        left.unlink()
    assert hunt.LAYOUT.fullmatch("data/waiaas.db-wal") is None
