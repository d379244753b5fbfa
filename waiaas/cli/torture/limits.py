"""How much of an agent's limits is used, as the rows on disk have it, and as the chain has it."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping

from waiaas.cli.torture.books import Row
from waiaas.cli.torture.facts import Truth

#: what a run sets as the limit of an agent; a run is far shorter than a day, so that all of it counts
WINDOW = "daily_total"
PER_TRANSACTION = "per_transaction"

#: (agent, asset) → base units
Amounts = dict[tuple[str, str], int]


def caps(agents: list[Row], policies: list[Row], native: Mapping[str, str], name: str) -> Amounts:
    """The lowest such cap in force for each asset that the agent's policies speak of."""
    found: Amounts = {}
    assets = {agent["id"]: native.get(agent["network"], "") for agent in agents}
    for policy in policies:
        rules = json.loads(policy["rules"])
        if not policy["enabled"] or policy["type"] != "SPENDING_LIMIT" or policy["agent_id"] not in assets:
            continue
        for asset, limit in {assets[policy["agent_id"]]: rules, **rules.get("limits", {})}.items():
            if name in limit:
                place, cap = (policy["agent_id"], asset), int(limit[name])
                found[place] = min(cap, found.get(place, cap))
    return found


def overbooked(agents: list[Row], ledger: list[Row], policies: list[Row], native: Mapping[str, str]) -> Iterator[str]:
    """Agents whose booked and reserved money is more than their limit."""
    used: defaultdict[tuple[str, str], int] = defaultdict(int)
    for row in ledger:
        if row["state"] != "RELEASED":
            amount = row["settled"] if row["state"] == "SPENT" else row["reserved"]
            used[(row["agent_id"], row["asset"])] += int(amount)
    for (agent_id, asset), cap in caps(agents, policies, native, WINDOW).items():
        if used[(agent_id, asset)] > cap:
            yield f"limits: {used[(agent_id, asset)]} {asset} of agent {agent_id} are booked, {cap} are allowed"


def overspent(
    agents: list[Row], policies: list[Row], truth: Truth, dearer: Mapping[tuple[str, str], int]
) -> Iterator[str]:
    """Agents that the chain saw spend more than their limit, in all or at once; what became `dearer` is let pass."""
    addresses = {agent["id"]: (agent["network"], agent["public_key"]) for agent in agents}
    for (agent_id, asset), cap in caps(agents, policies, truth.native, WINDOW).items():
        paid = truth.paid(*addresses[agent_id], asset) - max(0, dearer.get((agent_id, asset), 0))
        if paid > cap:
            yield f"limits: agent {agent_id} paid {paid} {asset} on chain, {cap} are allowed"
    for (agent_id, asset), cap in caps(agents, policies, truth.native, PER_TRANSACTION).items():
        for landed in truth.landed.values():
            sent = [each for each in landed.effects if (each.sender, each.asset) == (addresses[agent_id][1], asset)]
            largest = max((effect.amount for effect in sent), default=0)
            if largest > cap:
                yield f"limits: agent {agent_id} sent {largest} {asset} with {landed.hash}, {cap} are allowed"
