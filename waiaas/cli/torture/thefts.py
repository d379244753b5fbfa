"""What strangers did with the agents' keys: nobody's limit, and nothing that the daemon may keep quiet about."""

import json
from collections.abc import Iterator

from waiaas.cli.torture.books import Books, told_of
from waiaas.cli.torture.facts import Truth
from waiaas.cli.torture.journal import Records


def without(truth: Truth, records: Records) -> Truth:
    """What the chains say, but for what strangers signed: that is within nobody's limit."""
    landed = {key: one for key, one in truth.landed.items() if key not in records.elsewhere}
    return Truth(landed, truth.balances, truth.native, truth.tokens)


def untold(records: Records, books: Books, truth: Truth) -> Iterator[str]:
    """The daemon has told of every stranger, and has stopped the agent at least once."""
    told = told_of(books.strangers)
    stopped = {
        row["agent_id"]
        for row in books.strangers
        if row["event_type"] == "AGENT_SUSPENDED" and json.loads(row["details"]).get("reason") == "unknown_spend"
    }
    for strange in records.elsewhere.values():
        if strange.hash not in truth.landed:
            continue
        if (strange.agent_id, strange.mark) not in told:
            yield f"stranger: {strange.hash} landed with the key of agent {strange.agent_id}, and nothing tells of it"
        if strange.agent_id not in stopped:
            yield f"stranger: agent {strange.agent_id} was never stopped, and {strange.hash} landed with its key"
