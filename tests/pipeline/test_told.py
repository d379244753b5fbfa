"""I6 where nothing else looks: a change of switch, owner or session, its audit row and its event are one commit."""

from tests.owners import SolanaWallet
from tests.world import OPERATOR
from waiaas.pipeline.registry.owners import remove_owner, set_owner

SLOW = {"kill_switch_recovery_cooldown": 60}


class Commits:
    """What each commit since then changed, audited and emitted."""

    def __init__(self, monkeypatch, core) -> None:
        self.lists, self._commit = [], core.db.commit
        monkeypatch.setattr(core.db, "commit", self._note)

    async def _note(self, *statements, **options):
        done = await self._commit(*statements, **options)
        self.lists.append([(one.sql.split()[0], table(one.sql), one.params.get("event_type")) for one in statements])
        return done

    def telling(self, event):
        """The one commit that holds an audit row of that event: what it changed, and what it emitted."""
        (found,) = [one for one in self.lists if ("INSERT", "audit_log", event) in one]
        changed = {where for verb, where, _ in found if verb in ("UPDATE", "INSERT")} - {"audit_log", "outbox"}
        return changed, [emitted for _, where, emitted in found if where == "outbox"]


def table(sql):
    """The table that a statement is about."""
    words = sql.split()
    return words[1] if words[0] == "UPDATE" else words[words.index("INTO") + 1] if "INTO" in words else ""


async def details(core, event):
    (row,) = await core.db.fetch_all("SELECT details, actor FROM audit_log WHERE event_type = :event", {"event": event})
    return row["details"], row["actor"]


async def test_a_recovery_that_begins_is_told_in_its_commit(world, monkeypatch):
    async with world.open_core(world.settings(security=SLOW)) as core:
        await world.activate("a leak")
        commits = Commits(monkeypatch, core)
        waiting = await world.recover()
        assert commits.telling("KILL_SWITCH_RECOVERY_STARTED") == ({"kill_switch"}, [])
        told, actor = await details(core, "KILL_SWITCH_RECOVERY_STARTED")
        assert (told, actor) == (f'{{"eligibleAt":{waiting.eligible_at}}}', OPERATOR.name)


async def test_a_recovery_that_ends_is_told_and_delivered_in_its_commit(world, core, monkeypatch):
    await world.activate("a leak")
    commits = Commits(monkeypatch, core)
    await world.recover()
    changed, emitted = commits.telling("KILL_SWITCH_RECOVERED")
    assert (changed, emitted) == ({"kill_switch", "agents"}, ["KILL_SWITCH_RECOVERED"])
    told, _ = await details(core, "KILL_SWITCH_RECOVERED")
    assert world.alice.id in told


async def test_an_owner_that_is_removed_is_told_and_delivered_in_its_commit(world, core, monkeypatch):
    address = SolanaWallet().address
    await set_owner(core, world.alice.id, address, OPERATOR)
    commits = Commits(monkeypatch, core)
    await remove_owner(core, world.alice.id, OPERATOR)
    changed, emitted = commits.telling("OWNER_REMOVED")
    assert "agents" in changed
    assert emitted == ["OWNER_REMOVED"]
    told, _ = await details(core, "OWNER_REMOVED")
    assert address in told


async def test_a_session_that_is_issued_is_told_and_delivered_in_its_commit(world, core, monkeypatch):
    commits = Commits(monkeypatch, core)
    await world.issue()
    assert commits.telling("SESSION_ISSUED") == ({"sessions"}, ["SESSION_CREATED"])
