"""A child session's constraints: at most as wide as its parent's, field by field, the rest inherited."""

import pytest

from waiaas.domain.chain import Chain
from waiaas.domain.narrowing import narrowed
from waiaas.domain.session import AssetConstraint, Constraints
from waiaas.domain.transaction import TransactionType
from waiaas.errors import ValidationFailed

NATIVE = "native:solana"
TOKEN = "solana:token"


def asset(most=None, total=None):
    return AssetConstraint(max_amount_per_tx=most, max_total_amount=total)


PARENT = Constraints(
    max_amount_per_tx="100",
    max_total_amount="1000",
    limits={TOKEN: asset("5", "50"), NATIVE: asset(total="900")},
    max_transactions=10,
    allowed_operations=(TransactionType.TRANSFER, TransactionType.APPROVE),
    allowed_destinations=("a", "b"),
    allowed_tokens=("t",),
    allowed_contracts=("c",),
    allowed_spenders=("s",),
)


def narrow(parent=PARENT, *, renewals=3, **given):
    return narrowed(Constraints(**given), parent, Chain.SOLANA, renewals=renewals)


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"max_amount_per_tx": "101"}, "maxAmountPerTx"),
        ({"max_total_amount": "901"}, "maxTotalAmount"),
        ({"limits": {TOKEN: asset("6")}}, f"limits.{TOKEN}.maxAmountPerTx"),
        ({"limits": {TOKEN: asset(total="51")}}, f"limits.{TOKEN}.maxTotalAmount"),
        ({"limits": {NATIVE: asset("101")}}, f"limits.{NATIVE}.maxAmountPerTx"),
        ({"max_transactions": 11}, "maxTransactions"),
        ({"max_renewals": 4}, "maxRenewals"),
        ({"allowed_operations": (TransactionType.TRANSFER, TransactionType.BATCH)}, "allowedOperations"),
        ({"allowed_destinations": ("a", "z")}, "allowedDestinations"),
        ({"allowed_tokens": ("z",)}, "allowedTokens"),
        ({"allowed_contracts": ("z",)}, "allowedContracts"),
        ({"allowed_spenders": ("z",)}, "allowedSpenders"),
    ],
)
def test_what_is_wider_is_refused_at_its_field(given, path):
    with pytest.raises(ValidationFailed) as refused:
        narrow(**given)
    assert [issue for issue, _ in refused.value.issues] == [f"constraints.{path}"]


def test_every_wider_constraint_is_named():
    with pytest.raises(ValidationFailed) as refused:
        narrow(max_amount_per_tx="101", max_transactions=11)
    assert len(refused.value.issues) == 2


def test_what_is_as_wide_or_narrower_holds_and_the_rest_is_inherited():
    made = narrow(
        max_amount_per_tx="100",
        max_total_amount="0",
        limits={TOKEN: asset("5"), "solana:other": asset("1")},
        max_transactions=9,
        max_renewals=3,
        allowed_destinations=("b",),
    )
    assert made == Constraints(
        max_amount_per_tx="100",
        max_total_amount="0",
        limits={NATIVE: asset(total="900"), "solana:other": asset("1"), TOKEN: asset("5", "50")},
        max_transactions=9,
        allowed_operations=PARENT.allowed_operations,
        allowed_destinations=("b",),
        allowed_tokens=PARENT.allowed_tokens,
        allowed_contracts=PARENT.allowed_contracts,
        allowed_spenders=PARENT.allowed_spenders,
    )


def test_without_anything_given_it_is_the_parents():
    assert narrow() == PARENT
    assert narrow(parent=None) is None


def test_under_an_unlimited_parent_anything_is_narrower():
    given = {"max_amount_per_tx": "7", "allowed_destinations": ("z",), "limits": {TOKEN: asset("1")}}
    assert narrow(parent=None, **given) == Constraints(**given)
