"""Which of the points a to j a killed daemon was at, by what it left on disk and what the world knows."""

import json
from collections.abc import Iterable

from waiaas.cli.torture.books import Row, State
from waiaas.cli.torture.facts import Intent


def classify(state: State, asked: Iterable[Intent], sent: set[str], landed: set[str], *, elsewhere: bool) -> set[str]:
    """Every point that something was at; empty if nothing was under way.

    `asked`: intents without an answer; `sent`: hashes of bytes that reached an endpoint; `landed`: hashes in blocks;
    `elsewhere`: something outside the pipeline was going on.
    """
    live = {attempt["tx_id"]: attempt for attempt in state.live}
    found = {point_of(row, live.get(row["id"]), sent, landed) for row in state.unfinished}
    stored = {amounts(row) for row in state.unfinished} | {amounts(row) for row in state.denied}
    denied = {amounts(row) for row in state.denied}
    for intent in asked:
        wanted = tuple(str(effect.amount) for effect in intent.effects)
        found |= {"c"} if wanted in denied else set()
        found |= {"a"} if wanted not in stored and intent.key not in state.keys else set()
    if elsewhere or any(agent["status"] == "CREATING" for agent in state.agents):
        found.add("j")
    return found


def point_of(row: Row, live: Row | None, sent: set[str], landed: set[str]) -> str:
    """Where one transaction that has not ended stands."""
    match row["status"]:
        case "PENDING":
            return "h" if row["parent_id"] else "b"
        case "QUEUED":
            return "d"
        case "EXECUTING":
            return "e"
    if live is None:
        # a parent between its children, or all that was signed is landed or dead
        return "h" if row["type"] == "BATCH" else "i"
    if live["broadcasts"] == 0:
        return "g" if live["tx_hash"] in sent else "f"
    return "i" if live["tx_hash"] in landed else "h"


def amounts(row: Row) -> tuple[str, ...]:
    """The amounts a stored request asks for; no two intents ask for the same."""
    request = json.loads(row["request"])
    return tuple(str(item["amount"]) for item in request.get("instructions", [request]) if "amount" in item)
