"""Keys and the host they lie on: H01 to H03, H05, H07, H12, H13."""

import asyncio
import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.api.client import RECIPIENT, Api, Caller, client_of, code
from tests.conftest import PASSWORD
from tests.world import World
from waiaas import paths
from waiaas.app import Daemon
from waiaas.cli.context import exit_code
from waiaas.db.migrations import find_sql, load
from waiaas.domain.chain import Chain, Network
from waiaas.errors import AlreadyRunning, DirectoryUnsafe, KeystoreLocked, MigrationError, StorageError, WrongPassword
from waiaas.ids import new_id
from waiaas.keystore import Keystore
from waiaas.keystore import master as masters
from waiaas.lifecycle import hold, holder
from waiaas.repositories.trail import verify


def database(data: paths.DataDir) -> Path:
    return data.data / "waiaas.db"


def change(data: paths.DataDir, *statements: str) -> None:
    """By somebody with an editor for databases."""
    with closing(sqlite3.connect(database(data))) as db, db:
        for statement in statements:
            db.execute(statement)


async def test_h01_a_locked_keystore_signs_nothing_and_holds_no_key(daemon: Daemon, caller: Caller) -> None:
    keystore, agent_id = daemon.core.keystore, caller.agent["id"]
    buffers = [keystore._root, *keystore._seals._keys.values()]
    assert keystore.sign(agent_id, b"payload")
    keystore.lock()
    with pytest.raises(KeystoreLocked):
        keystore.sign(agent_id, b"payload")
    assert all(buffer == bytes(32) for buffer in buffers)
    assert code(await caller.send()) == (503, "KEYSTORE_LOCKED")


def flipped(text: str, field: str) -> str:
    """The file with one digit of that field changed."""
    return re.sub(rf'("{field}": "?)(.)', lambda found: found[1] + ("2" if found[2] == "1" else "1"), text, count=1)


async def test_h02_a_damaged_key_stops_its_agent_alone(open_daemon: Any, data: paths.DataDir) -> None:
    fields = ("tag", "ciphertext", "createdAt", "generation")
    async with open_daemon() as daemon, client_of(daemon) as client:
        good, *bad = await asyncio.gather(*(Api(client).make_caller() for _ in range(1 + len(fields))))
    for field, caller in zip(fields, bad, strict=True):
        path = data.keystore / f"{caller.agent['id']}.json"
        path.write_text(flipped(path.read_text(), field))
    async with open_daemon() as daemon, client_of(daemon) as client:
        for caller in (good, *bad):
            caller.api = Api(client)
        assert [code(await caller.send()) for caller in bad] == [(503, "KEYSTORE_LOCKED")] * len(bad)
        assert (await good.send()).status_code == 201
        rows = await daemon.core.db.fetch_all(
            "SELECT agent_id FROM audit_log WHERE event_type = 'KEYSTORE_INTEGRITY_FAILURE'"
        )
        assert {row["agent_id"] for row in rows} == {caller.agent["id"] for caller in bad}


async def test_h02_the_swapped_keys_of_two_agents_are_used_for_neither(open_daemon: Any, data: paths.DataDir) -> None:
    async with open_daemon() as daemon, client_of(daemon) as client:
        callers = await asyncio.gather(*(Api(client).make_caller() for _ in range(2)))
    one, other = (data.keystore / f"{caller.agent['id']}.json" for caller in callers)
    kept = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(kept)
    async with open_daemon() as daemon, client_of(daemon) as client:
        for caller in callers:
            caller.api = Api(client)
            assert code(await caller.send()) == (503, "KEYSTORE_LOCKED")


async def test_h03_a_wrong_password_loads_nothing_and_a_right_one_is_stretched_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    stretched: list[Any] = []
    stretch = masters.stretch
    monkeypatch.setattr(masters, "stretch", lambda *given: stretched.append(given) or stretch(*given))
    with pytest.raises(WrongPassword) as refused:
        Keystore.unlock(world.data.keystore, PASSWORD + "x")
    assert exit_code(refused.value) == 4
    stretched.clear()
    keystore, rows = Keystore.unlock(world.data.keystore, PASSWORD), {}
    for _ in range(20):
        agent_id, key = new_id(), keystore.generate(Chain.SOLANA)
        keystore.store(agent_id, Network.LOCALNET, key, now=1)
        rows[agent_id] = key.public_key
    again = Keystore.unlock(world.data.keystore, PASSWORD)
    assert again.load(rows) == {}
    assert len(stretched) == 2


def test_h05_what_is_made_is_private_and_what_was_opened_up_is_closed(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        data = paths.DataDir(tmp_path / "wallet")
        paths.create(data)
        database(data).touch(0o666)
    finally:
        os.umask(old)
    assert {path.stat().st_mode & 0o777 for path in (data.root, *data.directories)} == {0o700}
    assert [line.partition(" had ")[2] for line in paths.check_entries(data)] == ["mode 0666, now 0600"]
    assert database(data).stat().st_mode & 0o777 == 0o600
    database(data).unlink()
    database(data).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DirectoryUnsafe, match="symbolic link"):
        paths.check_entries(data)


async def test_h07_no_secret_is_where_others_read(open_daemon: Any, data: paths.DataDir, capfd: Any) -> None:
    said = []
    async with open_daemon() as daemon, client_of(daemon) as client:
        api = Api(client)
        caller = await api.make_caller()
        token = caller.session["token"]
        raw = daemon.core.keystore
        for answer in (
            await caller.send(memo="hello"),
            await caller.send("x"),
            await api.client.get("/v1/agents", headers={"X-Master-Password": "planted-password"}),
            await api.operator("GET", f"/v1/agents/{caller.agent['id']}"),
            await api.operator("GET", "/v1/sessions"),
            await api.operator("POST", "/v1/transactions/simulate", json={"to": RECIPIENT, "amount": "1"}),
            await client.get("/metrics"),
        ):
            said.append(answer.text)
        kept = [bytes(raw._root), *map(bytes, raw._seals._keys.values())]
    out = capfd.readouterr()
    with closing(sqlite3.connect(database(data))) as db:
        stored = "\n".join(db.iterdump())
    everything = "\n".join((*said, out.out, out.err, stored))
    for secret in (PASSWORD, "planted-password", token, token.rpartition(".")[2], *(key.hex() for key in kept)):
        assert secret not in everything


def test_h07_a_crash_leaves_no_core_behind() -> None:
    script = (
        "import resource\n"
        "from waiaas.lifecycle import harden\n"
        "harden()\n"
        "print(resource.getrlimit(resource.RLIMIT_CORE))\n"
    )
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert told.stdout.startswith("(0, 0)")


async def test_h12_two_daemons_a_newer_schema_or_a_broken_file_stop_the_start(
    open_daemon: Any, data: paths.DataDir
) -> None:
    async with open_daemon():
        pass
    me = holder(1_800_000_000, "0.1.0")
    with hold(data.lock, me), pytest.raises(AlreadyRunning) as second, hold(data.lock, me):
        pass
    assert exit_code(second.value) == 2
    newest = max(each.version for each in load(find_sql()))
    kept = database(data).read_bytes()
    change(
        data,
        f"INSERT INTO schema_migrations SELECT {newest + 1}, 'later', checksum, applied_at, duration_ms, program "
        f"FROM schema_migrations WHERE version = {newest}",
    )
    with pytest.raises(MigrationError) as newer:
        async with open_daemon():
            pass
    assert exit_code(newer.value) == 1
    for garbage in (b"not a database at all" * 500, kept[: len(kept) // 2]):
        database(data).write_bytes(garbage)
        with pytest.raises(StorageError) as broken:
            async with open_daemon():
                pass
        assert exit_code(broken.value) == 1
        assert database(data).read_bytes() == garbage


BY_HAND = {
    "edited": ("UPDATE audit_log SET actor = 'nobody' WHERE id = 2",),
    "cut": ("DELETE FROM audit_log WHERE id = 2",),
    "reordered": ("UPDATE audit_log SET id = -1 WHERE id = 2", "UPDATE audit_log SET id = 2 WHERE id = 3"),
    "replaced": ("INSERT OR REPLACE INTO audit_log SELECT id, 0, 'X' FROM audit_log WHERE id = 2",),
}


async def test_h13_the_audit_log_only_grows_and_shows_who_went_around_that(
    open_daemon: Any, data: paths.DataDir
) -> None:
    async with open_daemon() as daemon, client_of(daemon) as client:
        for cap in ("1", "2", "3"):
            body = {"type": "SPENDING_LIMIT", "rules": {"daily_total": cap}}
            await Api(client).operator("POST", "/v1/policies", json=body)
    kept = database(data).read_bytes()
    with closing(sqlite3.connect(database(data))) as db:
        columns = [row[1] for row in db.execute("PRAGMA table_info(audit_log)")]
        found = db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'audit_log'")
        triggers = [name for (name,) in found]
    told = ", ".join("'nobody'" if column == "actor" else column for column in columns)
    for how, statements in BY_HAND.items():
        by_hand = [statement.replace("id, 0, 'X'", told) for statement in statements]
        with pytest.raises(sqlite3.Error, match="append-only"):
            change(data, *by_hand)
        change(data, *(f"DROP TRIGGER {name}" for name in triggers), *by_hand)
        with closing(sqlite3.connect(database(data))) as db:
            db.row_factory = sqlite3.Row
            broken = verify(db, ()).broken
        assert (how, broken and broken.id) == (how, 2)
        database(data).write_bytes(kept)
