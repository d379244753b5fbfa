"""`waiaas torture`: the real daemon, killed again and again in front of real chains behind a faulty network.

It needs no wallet and touches none: everything lies in a fresh directory, and every address is loopback.
"""

import asyncio
import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from waiaas.cli.context import show
from waiaas.clock import Clock
from waiaas.log import Stderr, start

if TYPE_CHECKING:
    from waiaas.cli.torture.stage import Options


@click.command()
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Decides what happens when.")
@click.option("--kills", type=click.IntRange(1, 10000), default=20, show_default=True, help="How often it is killed.")
@click.option("--clients", type=click.IntRange(1, 64), default=8, show_default=True, help="Programs that send.")
@click.option("--rpc", multiple=True, metavar="NETWORK=URL", help="A node on this machine instead of the embedded one.")
@click.option("--points", metavar="LIST", help="Kill only there: letters a to j, random, rpc:…, sql:…, file:….")
@click.option("--json", "output", type=click.Path(path_type=Path), metavar="FILE", help="Write the report there.")
@click.option("--keep", is_flag=True, help="Leave the directory of the run where it is.")
def torture(
    seed: int, kills: int, clients: int, rpc: tuple[str, ...], points: str | None, output: Path | None, keep: bool
) -> None:
    """Kill the daemon again and again, and compare what it says with the chain."""
    from waiaas.cli.torture.hosts import parse_elsewhere
    from waiaas.cli.torture.points import parse_list
    from waiaas.cli.torture.stage import Options

    options = Options(seed, kills, clients, parse_elsewhere(rpc), parse_list(points) if points else None)
    start(Stderr(), level="error", clock=Clock())
    root = Path(tempfile.mkdtemp(prefix="waiaas-torture-"))
    passed = False
    try:
        passed = run(options, root, output)
    finally:
        if passed and not keep:
            shutil.rmtree(root)
        else:
            click.echo(f"Everything is kept in {root}.", err=True)
    raise click.exceptions.Exit(0 if passed else 1)


def run(options: "Options", root: Path, output: Path | None) -> bool:
    """Run it under a progress bar, show and write the report; whether all is well."""
    import msgspec
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from waiaas.cli.torture.child import Place
    from waiaas.cli.torture.report import table
    from waiaas.cli.torture.supervisor import torture as run_torture

    hits = TextColumn("{task.fields[hits]}")
    columns = (TextColumn("kills"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), hits)
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("kills", total=options.kills, hits="")

        def tell(kills: int, hits: Counter[str]) -> None:
            progress.update(task, completed=kills, hits=" ".join(f"{point}{hits[point]}" for point in sorted(hits)))

        report = asyncio.run(run_torture(options, Place(root), Clock(), tell))
    if output is not None:
        output.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    show(table(report))
    for finding in report.findings:
        click.echo(finding, err=True)
    return report.passed
