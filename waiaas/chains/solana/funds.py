"""Whether a balance carries a plan: what it moves, the rent it pays, the fee, and what must stay behind."""

import msgspec

from waiaas.chains.solana.plan import Accounts, Plan
from waiaas.errors import InsufficientBalance, InsufficientForFee


class Funds(msgspec.Struct, frozen=True):
    """Lamports around a plan; `after` is what the simulation leaves behind its `base_fee`, empty if that was not asked.

    `minimum` is the least that an account without data may hold.
    """

    plan: Plan
    before: Accounts
    after: Accounts
    rent: int
    base_fee: int
    minimum: int

    @property
    def held(self) -> int:
        """What the sender has."""
        return lamports(self.before, self.plan.sender)

    @property
    def amount(self) -> int:
        """What the plan moves to others; what a call moves, or brings in first, only the simulation knows."""
        return 0 if self.plan.calls else sum(self.plan.given().values())

    def cover(self, fee: int) -> None:
        """InsufficientBalance or InsufficientForFee unless the balance carries amount, fee and rent."""
        if self.held < self.amount:
            raise InsufficientBalance(held=str(self.held), amount=str(self.amount))
        if self.rest(fee) < 0:
            raise InsufficientForFee(held=str(self.held), amount=str(self.amount), fee=str(fee), rent=str(self.rent))

    def leave_alive(self, fee: int) -> None:
        """InsufficientBalance if sender or recipient would hold something, but less than an account must."""
        if 0 < self.rest(fee) < self.minimum:
            raise InsufficientBalance(f"The rest would be below the minimum of {self.minimum} lamports.")
        for to, amount in self.plan.given().items():
            if self.before[to] is None and 0 < amount < self.minimum and not self.plan.calls:
                raise InsufficientBalance(f"A new account must receive at least {self.minimum} lamports.")

    def rest(self, fee: int) -> int:
        """What stays with the sender."""
        if self.after:
            return lamports(self.after, self.plan.sender) + self.base_fee - fee
        return self.held - self.amount - self.rent - fee


def lamports(accounts: Accounts, address: str) -> int:
    """What an account holds; 0 if there is none."""
    account = accounts[address]
    return account.lamports if account else 0
