"""The end of a run: everything is compared, and the figures are put together."""

import asyncio
from collections import Counter

from waiaas.cli.torture import books, hunt, journal
from waiaas.cli.torture.child import audit_verifies
from waiaas.cli.torture.compare import Verdict, compare, merged
from waiaas.cli.torture.facts import Truth
from waiaas.cli.torture.journal import Records
from waiaas.cli.torture.lives import Tally
from waiaas.cli.torture.points import NAMED
from waiaas.cli.torture.report import Report, missed_points, recovery
from waiaas.cli.torture.stage import Options, Stage


async def judge(
    options: Options, stage: Stage, before: Truth, tokens: list[str], tally: Tally, seconds: float
) -> Report:
    """The report; the daemon is down, and nothing it left has been opened since."""
    strays = hunt.strays(stage.place.data)
    records, found = journal.read(stage.place.journals()), books.read_books(stage.place.database)
    truth = await truth_of(stage, found.agents)
    verdict = compare(records, found, before, truth)
    findings = [
        *stage.witness.findings,
        *(f"faults: a redirect was followed {proxy.followed} times" for proxy in stage.proxies if proxy.followed),
        *tally.violated_limits,
        *verdict.findings(),
        *missed_points(options.kills, tally.hits, restricted=options.points is not None),
        *strays,
        *hunt.leaks(stage.place, stage.password, tokens),
        *(f"audit: {text}" for text in await asyncio.to_thread(audit_verifies, stage.place)),
    ]
    return figures(options, stage, tally, round(seconds, 1), records, found, truth, verdict, findings)


async def truth_of(stage: Stage, agents: list[books.Row]) -> Truth:
    """What the chains say of every agent in the database."""
    told = []
    for host in stage.hosts:
        network = host.kind.network
        addresses = [agent["public_key"] for agent in agents if agent["network"] == network]
        told.append(await host.kind.known.truth(host.node, network, addresses, host.bank.token))
    return merged(told)


def figures(
    options: Options,
    stage: Stage,
    tally: Tally,
    seconds: float,
    records: Records,
    found: books.Books,
    truth: Truth,
    verdict: Verdict,
    findings: list[str],
) -> Report:
    """Everything that is worth a number."""
    signed = Counter(row["tx_id"] for row in found.attempts)
    return Report(
        seed=options.seed,
        kills=options.kills,
        clients=options.clients,
        networks=[str(host.kind.network) for host in stage.hosts],
        seconds=seconds,
        hits_per_point={letter: tally.hits[letter] for letter in NAMED},
        kills_per_trigger=dict(sorted(tally.triggers.items())),
        missed_triggers=tally.missed,
        faults=dict(sorted(stage.weather.done.items())),
        leaps=tally.leaps,
        evicted=tally.evicted,
        throws=tally.throws,
        suspensions=tally.suspensions,
        forks=tally.forks,
        jumps=tally.jumps,
        strangers=sum(key in truth.landed for key in records.elsewhere),
        decisions=len(records.decisions),
        renewals=sum(answered for _, answered in records.renewals.values()),
        operations=dict(sorted(Counter(intent.operation for intent in records.intents.values()).items())),
        intents=len(records.intents),
        accepted=len(records.accepted()),
        transactions=len(found.transactions),
        ends=dict(sorted(Counter(map(ending, found.transactions)).items())),
        landed=sum(row["tx_hash"] in truth.landed for row in found.attempts),
        signed_again=sum(number - 1 for number in signed.values()),
        duplicates=len(verdict.duplicates),
        lost=len(verdict.lost),
        violated_limits=len(verdict.violated_limits) + len(tally.violated_limits),
        unbalanced=len(verdict.unbalanced),
        recovery=recovery(tally.recoveries),
        passed=not findings,
        findings=findings,
    )


def ending(row: books.Row) -> str:
    """How a transaction ended, with the reason if there is one."""
    return f"{row['status']} {row['error_code']}" if row["error_code"] else str(row["status"])
