"""`waiaas audit …`: read the log, and prove that nobody has changed it."""

import re
from datetime import UTC, datetime

import click
import msgspec

from waiaas.cli.context import Context, Group
from waiaas.cli.show import table
from waiaas.cli.stored import anchors, current
from waiaas.db.beside import commit_beside
from waiaas.db.connection import reading
from waiaas.domain.event import CLI, AuditEvent
from waiaas.errors import UsageWrong
from waiaas.repositories import audit as log
from waiaas.repositories import trail
from waiaas.repositories.trail import Anchor, Verdict

HEAD = re.compile(r"([0-9]+):([0-9a-f]{64})", re.ASCII)


@click.group(cls=Group)
def audit() -> None:
    """The audit log."""


@audit.command()
@click.option("--from", "first", type=click.IntRange(min=1), default=1, metavar="N", help="Begin at row N.")
@click.option("--head", "known", metavar="ID:HASH", help="A head that was noted elsewhere, as 'audit head' prints it.")
def verify(context: Context, first: int, known: str | None) -> None:
    """Walk the hash chain; 1 and the first bad row if it was changed."""
    path = current(context)
    noted = [Anchor(*parse_head(known), "--head")] if known else []
    with reading(path) as connection:
        verdict = trail.verify(connection, [*anchors(context), *noted], first)
    if verdict.broken:
        found = msgspec.structs.asdict(verdict.broken)
        commit_beside(path, [log.record(AuditEvent.AUDIT_BROKEN, CLI, context.clock.now(), **found)], log.FUNCTIONS)
    context.answer(as_fields(verdict), told(verdict))
    context.exit(1 if verdict.broken else 0)


@audit.command("list")
@click.option("--since", default="0", metavar="TIME", help="Epoch seconds or ISO 8601, UTC if no zone is given.")
@click.option("--type", "event_type", metavar="EVENT", help="Only this event, such as TX_CONFIRMED.")
@click.option("--agent", "agent_id", metavar="ID", help="Only rows of this agent.")
@click.option("--tx", "tx_id", metavar="ID", help="Only rows of this transaction.")
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True, help="The newest that many.")
def list_rows(context: Context, since: str, limit: int, **match: str | None) -> None:
    """Read the newest rows, oldest first."""
    with reading(current(context)) as connection:
        rows = [msgspec.to_builtins(row) for row in trail.rows(connection, limit, parse_time(since), **match)]
    shown = [{**row, "recordedAt": row["timestamp"]} for row in rows]
    context.answer({"rows": rows}, table(shown, "id", "recordedAt", "eventType", "actor", "agentId", "txId", "details"))


@audit.command("head")
def show_head(context: Context) -> None:
    """Print id and hash of the newest row, to be kept elsewhere for 'audit verify --head'."""
    with reading(current(context)) as connection:
        head = trail.newest(connection)
    context.answer(head._asdict(), str(head))


def parse_head(text: str) -> tuple[int, str]:
    """Id and hash of ID:HASH."""
    found = HEAD.fullmatch(text)
    if found is None:
        raise UsageWrong(f"{text!r} is not ID:HASH, a number and 64 hex digits.")
    return int(found[1]), found[2]


def parse_time(text: str) -> int:
    """Epoch seconds of a number or an ISO 8601 time."""
    if text.isascii() and text.isdigit():
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageWrong(f"{text!r} is neither epoch seconds nor an ISO 8601 time.") from error
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def as_fields(verdict: Verdict) -> dict[str, object]:
    """The verdict as JSON has it."""
    broken = msgspec.structs.asdict(verdict.broken) if verdict.broken else None
    return {"rows": verdict.rows, "head": verdict.head._asdict(), "broken": broken}


def told(verdict: Verdict) -> str:
    """The verdict in words."""
    checked = f"{verdict.rows} rows hold, up to {verdict.head}"
    if verdict.broken is None:
        return f"The audit log is whole: {checked}."
    return f"BROKEN at row {verdict.broken.id} ({verdict.broken.reason}): {verdict.broken.detail}. {checked}."
