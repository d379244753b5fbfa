"""To the unit: what was booked, what the chains took, what agents hold."""

from collections import Counter, defaultdict
from collections.abc import Iterator

from waiaas.cli.torture.books import Books
from waiaas.cli.torture.facts import Truth
from waiaas.cli.torture.journal import Records
from waiaas.cli.torture.limits import Amounts
from waiaas.cli.torture.thefts import without


def unsettled(books: Books, truth: Truth, dearer: Amounts) -> Iterator[str]:
    """Every reservation of a final transaction was settled or released, and costs what the chain says."""
    for row in books.ledger:
        if row["state"] == "RESERVED":
            yield f"ledger: {row['kind']} of transaction {row['tx_id']} is still reserved"
    cost, paid = booked(books), taken_by_chain(books, truth)
    for place in cost.keys() | paid.keys():
        if cost.get(place, 0) + dearer.get(place, 0) != paid.get(place, 0):
            told = f"is booked with {cost.get(place, 0)} {place[1]}, the chain took {paid.get(place, 0)}"
            yield f"ledger: transaction {place[0]} {told}"


def booked(books: Books) -> Amounts:
    """(transaction, asset) → what was settled."""
    cost: defaultdict[tuple[str, str], int] = defaultdict(int)
    for row in books.ledger:
        if row["state"] == "SPENT" and row["kind"] != "ALLOWANCE":
            cost[(row["tx_id"], row["asset"])] += int(row["settled"])
    return cost


def taken_by_chain(books: Books, truth: Truth) -> Amounts:
    """(transaction, asset) → what left the signer with its attempts."""
    paid: defaultdict[tuple[str, str], int] = defaultdict(int)
    for attempt in books.attempts:
        if (landed := truth.landed.get(attempt["tx_hash"])) is not None:
            for asset in truth.assets(landed.network):
                paid[(attempt["tx_id"], asset)] += landed.paid_in(
                    asset, truth.native[landed.network], attempt["signer"]
                )
    return paid


def landed_anew(records: Records, books: Books, truth: Truth) -> Amounts:
    """(transaction, asset) → how much dearer its fee was in the block that it landed in after the first was gone.

    What was booked stays: the fee is another where the base fee (EIP-1559) is, and nothing else may be.
    """
    cost, paid, found = booked(books), taken_by_chain(books, truth), {}
    for attempt in books.attempts:
        landed = truth.landed.get(attempt["tx_hash"])
        if landed is not None and attempt["tx_hash"] in records.gone:
            place = attempt["tx_id"], truth.native[landed.network]
            fee = cost.get(place, 0) - (landed.paid - landed.fee)
            if fee > 0:
                found[place] = paid.get(place, 0) - cost.get(place, 0)
    return found


def by_agent(books: Books, amounts: Amounts) -> Amounts:
    """The same, summed over the transactions of each agent."""
    agents = {row["id"]: row["agent_id"] for row in books.transactions}
    found: defaultdict[tuple[str, str], int] = defaultdict(int)
    for (tx_id, asset), amount in amounts.items():
        found[(agents[tx_id], asset)] += amount
    return found


def unbalanced(records: Records, books: Books, before: Truth, truth: Truth, dearer: Amounts) -> Iterator[str]:
    """To the unit: what an agent had and was sent, less what its ledger and spenders took, is what the chain holds.

    What a spender took is booked, or more: as long as the daemon cannot know, it counts as taken what could be.
    """
    own = without(truth, records)
    spent: Counter[tuple[str, str, bool]] = Counter()
    for row in books.ledger:
        if row["state"] == "SPENT":
            spent[(row["agent_id"], row["asset"], row["kind"] == "ALLOWANCE")] += int(row["settled"])
    for agent in books.agents:
        for asset in truth.assets(agent["network"]):
            place = agent["network"], agent["public_key"], asset
            got, taken = truth.received(*place) - before.received(*place), truth.taken(*place)
            stolen = truth.paid(*place) - own.paid(*place)
            had, holds, paid = (
                before.balances.get(place),
                truth.balances.get(place, 0),
                spent[(agent["id"], asset, False)] + dearer.get((agent["id"], asset), 0),
            )
            if had is None:
                # made while the daemon was being killed: nobody sends with it, and not every chain tells of its gift
                had = holds - got
            if had + got - paid - taken - stolen != holds:
                lost = taken + stolen
                yield f"balance: {agent['id']} had {had} {asset}, got {got}, spent {paid}, lost {lost}, holds {holds}"
            if spent[(agent["id"], asset, True)] < taken:
                yield f"balance: {agent['id']} lost {taken} {asset} to spenders, fewer are booked"
