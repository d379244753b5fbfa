"""docs/policies.md tells of every type, and its worked example holds."""

import json
import re
from pathlib import Path

import pytest

from waiaas.domain.policy import PolicyType

from .build import limit, row, send, spent

PAGE = (Path(__file__).parents[2] / "docs" / "policies.md").read_text()
EXAMPLE = PAGE.partition("## A worked example")[2]
RULES = json.loads(EXAMPLE.partition("```json")[2].partition("```")[0])
ROWS = re.findall(r"^\| (\d+) \| (\d+) \| (\d+) \| (.+) \|$", EXAMPLE, re.MULTILINE)


def answer(decision):
    if decision.downgraded_from:
        return f"{decision.tier}, downgraded from {decision.downgraded_from}"
    return decision.tier or decision.code


def test_every_type_has_a_section():
    headings = re.findall(r"^## ([A-Z_]+)$", PAGE, re.MULTILINE)
    assert sorted(headings) == sorted(PolicyType)


@pytest.mark.parametrize(("amount", "in_flight", "today", "expected"), ROWS)
def test_the_worked_example_holds(amount, in_flight, today, expected):
    rows = (row(int(in_flight)), spent(int(today), ago=60))
    assert answer(send(int(amount), limit(**RULES), rows=rows, fee=5000)) == expected
