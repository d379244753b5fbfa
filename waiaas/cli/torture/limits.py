"""How much of an agent's limits is used, as the rows on disk have it, and as the chain has it."""

import json
from collections import defaultdict
from collections.abc import Iterator

from waiaas.cli.torture.books import Row
from waiaas.cli.torture.facts import Truth

#: what a run sets as the limit of an agent; a run is far shorter than a day, so that all of it counts
WINDOW = "daily_total"
PER_TRANSACTION = "per_transaction"


def caps(policies: list[Row], name: str) -> dict[str, int]:
    """Agent → the lowest such cap on native money in force."""
    found: dict[str, int] = {}
    for policy in policies:
        rules = json.loads(policy["rules"])
        if policy["enabled"] and policy["agent_id"] and policy["type"] == "SPENDING_LIMIT" and name in rules:
            cap = int(rules[name])
            found[policy["agent_id"]] = min(cap, found.get(policy["agent_id"], cap))
    return found


def overbooked(agents: list[Row], ledger: list[Row], policies: list[Row], native: dict[str, str]) -> Iterator[str]:
    """Agents whose booked and reserved money is more than their limit."""
    used: defaultdict[str, int] = defaultdict(int)
    asset = {agent["id"]: native.get(agent["network"]) for agent in agents}
    for row in ledger:
        if row["asset"] == asset.get(row["agent_id"]) and row["state"] != "RELEASED":
            used[row["agent_id"]] += int(row["settled"] if row["state"] == "SPENT" else row["reserved"])
    for agent_id, cap in caps(policies, WINDOW).items():
        if used[agent_id] > cap:
            yield f"limits: {used[agent_id]} of agent {agent_id} are booked, {cap} are allowed"


def overspent(agents: list[Row], policies: list[Row], truth: Truth) -> Iterator[str]:
    """Agents that the chain saw spend more than their limit, in all or at once."""
    windows, single = caps(policies, WINDOW), caps(policies, PER_TRANSACTION)
    for agent in agents:
        network, address, agent_id = agent["network"], agent["public_key"], agent["id"]
        paid = truth.paid(network, address)
        if agent_id in windows and paid > windows[agent_id]:
            yield f"limits: agent {agent_id} paid {paid} on chain, {windows[agent_id]} are allowed"
        for landed in truth.landed.values():
            largest = max((effect.amount for effect in landed.effects if effect.sender == address), default=0)
            if agent_id in single and largest > single[agent_id]:
                yield f"limits: agent {agent_id} sent {largest} with {landed.hash}, {single[agent_id]} are allowed"
