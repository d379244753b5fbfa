"""`waiaas db …`: migrations and checks, in words for people and JSON with exit codes for CI."""

from collections.abc import Sequence

import click
import msgspec

from waiaas import __version__
from waiaas.cli.context import Context, Group
from waiaas.cli.show import table
from waiaas.cli.stored import anchors, current, database_path
from waiaas.db import inspect, migrations
from waiaas.db.beside import commit_beside
from waiaas.db.connection import reading
from waiaas.db.inspect import Finding
from waiaas.db.migrate import Kind, Report, State, state
from waiaas.db.migrate import migrate as apply_migrations
from waiaas.domain.event import CLI, NOTHING, AuditEvent
from waiaas.errors import StartError
from waiaas.lifecycle import hold, holder
from waiaas.repositories import audit, settings, soundness


@click.group(cls=Group)
def db() -> None:
    """The database: migrations and checks."""


@db.command()
@click.option("--dry-run", is_flag=True, help="Apply to a copy, and delete the copy.")
@click.option("--no-backup", is_flag=True, help="Make no safe copy first.")
def migrate(context: Context, dry_run: bool, no_backup: bool) -> None:
    """Apply the migrations that are pending."""
    path, now = database_path(context), context.clock.now()
    with hold(context.data.lock, holder(now, __version__)):
        report = apply_migrations(
            path,
            migrations.load(migrations.find_sql()),
            backups=None if no_backup else context.data.backups,
            now=now,
            program=__version__,
            dry_run=dry_run,
        )
        if report.applied and not dry_run:
            change = {"from": report.from_version, "to": report.to_version}
            row = audit.record(AuditEvent.DATABASE_MIGRATED, CLI, now, NOTHING, **change)
            commit_beside(path, [row], audit.FUNCTIONS)
    context.answer(msgspec.to_builtins(report), told(report))


@db.command()
def status(context: Context) -> None:
    """Tell the version, the newest there is, and what is pending; 1 unless current."""
    _, found = look(context)
    fields = {
        "state": found.kind,
        "version": found.version,
        "head": found.head,
        "pending": [migration.file for migration in found.pending],
        "detail": found.detail or None,
    }
    pending = "".join(f"\n  pending  {migration.file}" for migration in found.pending)
    detail = f"\n{found.detail}" if found.detail else ""
    context.answer(fields, f"Version {found.version} of {found.head}: {found.kind}.{detail}{pending}")
    context.exit(0 if found.kind is Kind.CURRENT else 1)


@db.command()
def verify(context: Context) -> None:
    """Compare the history with the files, and the schema with a fresh database; 1 with findings."""
    files, found = look(context)
    with reading(database_path(context)) as connection:
        findings = inspect.verify(connection, found, files)
    report_findings(context, findings, "The schema is what the migrations make.")


@db.command()
def check(context: Context) -> None:
    """Check pages, references, JSON, the audit chain, the ledger and the key files; 1 with findings."""
    path = current(context)
    with reading(path) as connection:
        findings = [
            *inspect.damaged(connection),
            *inspect.undecodable(connection, soundness.JSON_COLUMNS),
            *soundness.broken_chain(connection, anchors(context)),
            *soundness.unbalanced(connection),
            *soundness.keyless(connection, key_files(context)),
        ]
    if not findings:
        commit_beside(path, [settings.put("last_check", context.clock.now(), context.clock.now())], {})
    report_findings(context, findings, "The database is sound.")


@db.command()
@click.argument("name")
def new(context: Context, name: str) -> None:
    """Make the next numbered file, in a checkout."""
    directory = migrations.find_sql()
    if not migrations.in_checkout(directory):
        raise StartError("Migrations are written in a checkout, not in an installed program.")
    path = migrations.new(directory, name)
    context.answer({"path": str(path)}, f"Made {path}.")


def look(context: Context) -> tuple[Sequence[migrations.Migration], State]:
    """The files and the state of the database; NotInitialised (exit 3) if there is none."""
    files, path = migrations.load(migrations.find_sql()), database_path(context)
    return files, state(path, files)


def key_files(context: Context) -> frozenset[str]:
    """The agent ids that have a key file."""
    return frozenset(path.stem for path in context.data.keystore.glob("*.json")) - {context.data.master.stem}


def report_findings(context: Context, findings: Sequence[Finding], good: str) -> None:
    """Answer with the findings and exit 1, or say that all is well."""
    shown = [msgspec.to_builtins(finding) for finding in findings]
    context.answer({"findings": shown}, table(shown, "kind", "object", "detail") if shown else good)
    context.exit(1 if findings else 0)


def told(report: Report) -> str:
    """The report in words."""
    if not report.applied:
        return f"Nothing to apply: version {report.to_version}."
    lines = [f"  {each.version:04}  {each.name}  {each.duration_ms} ms" for each in report.applied]
    done = "Would migrate" if report.dry_run else "Migrated"
    kept = [f"The copy made before is {report.backup}."] if report.backup else []
    return "\n".join([f"{done} from version {report.from_version} to {report.to_version}:", *lines, *kept])
