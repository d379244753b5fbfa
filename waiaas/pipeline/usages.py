"""The mirror in memory of what sessions have used, brought up to date by what changed since its version."""

from waiaas.db import Database
from waiaas.domain.usage import Usage
from waiaas.repositories import ledger

#: agents whose sessions are mirrored; the oldest goes first
MOST = 10_000


class Usages:
    """Usage by agent; each look reads the rows that changed since the last one."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._usages: dict[str, Usage] = {}

    async def usage(self, agent_id: str) -> Usage:
        """The agent's sessions as of now, to be summed up at once; AgentNotFound if there is no such agent."""
        while True:
            usage = self._usages.setdefault(agent_id, Usage())
            known = usage.version
            version, rows = await ledger.of_sessions(self._db, agent_id, after=known)
            # somebody else may have taken the same rows while they were read
            if usage.version == known:
                if version > known:
                    usage.take(version, rows)
                if len(self._usages) > MOST:
                    del self._usages[next(iter(self._usages))]
                return usage
