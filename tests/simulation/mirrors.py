"""What the product keeps in memory of its limits, followed commit by commit, against what is read anew."""

from typing import Any

from waiaas.domain.tally import Tally
from waiaas.domain.usage import Usage
from waiaas.pipeline.books import Books
from waiaas.pipeline.core import Core


async def untrue(core: Core) -> str | None:
    """The first agent of which memory tells another story than its rows; None if there is none.

    One that is written to at this moment is left for another run.
    """
    anew = Books(core.db, core.clock)
    for agent_id, mirror in core.books._mirrors.items():
        read = await anew.usage(agent_id), await anew.tally(agent_id)
        version = (await anew.book(agent_id)).version
        if (await core.books.book(agent_id)).version != version:
            continue
        if mirror.usage is not None and used(mirror.usage) != used(read[0]):
            return agent_id
        if mirror.tally is not None and counted(mirror.tally) != counted(read[1]):
            return agent_id
    return None


def is_true(untrue: str | None) -> None:
    """AssertionError if there is one."""
    assert untrue is None, f"I3: what is kept in memory of the limits of {untrue} is not what is stored"


def used(usage: Usage) -> dict[tuple[str, str], tuple[int, int]]:
    """(session, asset) → set aside and spent."""
    sessions = {*usage._reserved, *usage._spent}
    return {
        (session_id, asset): (used.reserved, used.spent)
        for session_id in sessions
        for asset, used in usage.of([session_id]).items()
        if used.total
    }


def counted(tally: Tally) -> tuple[Any, ...]:
    """When requests were made, and how many of each session.

    Which are open is left out: a batch that fails with its last item, after a stop, writes no row of the ledger.
    """
    recent = tally.recent()
    sessions = {session: count for session, count in tally._of_session.items() if count}
    return [recent[number] for number in range(len(recent))], sessions
