"""Where money goes, and amounts that nobody else asks for."""

from itertools import count
from typing import Any

import msgspec

from waiaas.cli.torture.client import Client
from waiaas.cli.torture.facts import allowance_of
from waiaas.cli.torture.limits import PER_TRANSACTION
from waiaas.cli.torture.operator import BOUNDS

#: what goes at once, what waits a moment, what waits for the owner, and what is more than one transaction may move
INSTANT, DELAYED = 1_000_000, BOUNDS["instant_max"] + 1_000_000
APPROVED, TOO_MUCH = BOUNDS["delay_max"] + 1_000_000, BOUNDS[PER_TRANSACTION] + 1_000_000


class Payment(msgspec.Struct, frozen=True):
    """What is wanted (asset, recipient, base units), and the request for it."""

    effect: tuple[str, str, int]
    body: dict[str, Any]


class Targets(msgspec.Struct, frozen=True):
    """Where money goes, by network: agents and others; and a number that no two payments share."""

    agents: dict[str, list[str]]
    sinks: dict[str, list[str]]
    numbers: "count[int]"

    def recipient(self, client: Client) -> str:
        """Somebody else on the client's network."""
        network = client.agent.kind.network
        others = [*self.agents[network], *self.sinks[network]]
        return client.chance.pick([str(one) for one in others if one != client.agent.address])

    def amount(self, client: Client, asset: str, base: int) -> int:
        """`base` units of an asset and a little more that nobody else asks for."""
        return base * client.agent.unit(asset) + next(self.numbers)

    def payment(self, client: Client, base: int) -> Payment:
        """Native money for somebody."""
        asset, to = client.agent.host.native, self.recipient(client)
        amount = self.amount(client, asset, base)
        return Payment((asset, to, amount), {"to": to, "amount": str(amount)})

    def tokens(self, client: Client, base: int) -> Payment:
        """Tokens for somebody."""
        asset, to = client.agent.host.token, self.recipient(client)
        amount = self.amount(client, asset, base)
        body = {"type": "TOKEN_TRANSFER", "to": to, "amount": str(amount), "token": client.agent.token}
        return Payment((asset, to, amount), body)

    def call(self, client: Client, base: int) -> Payment:
        """A payment that is made by calling a program."""
        host, to = client.agent.host, self.recipient(client)
        known, amount = host.kind.known, self.amount(client, host.token, base)
        body = {"type": "CONTRACT_CALL", **known.call_of(client.agent.address, host.bank.token, to, amount)}
        moved = known.called(body)
        assert moved is not None
        return Payment(moved, body)

    def allowance(self, client: Client, base: int) -> Payment:
        """Tokens that the bank may take; none takes it back."""
        asset, spender = client.agent.host.token, client.agent.host.bank.spender
        amount = self.amount(client, asset, base) if base else 0
        body = {"type": "APPROVE", "spender": spender, "amount": str(amount), "token": client.agent.token}
        return Payment((allowance_of(asset), spender, amount), body)
