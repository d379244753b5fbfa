"""The worked example of docs/policies.md holds."""

import json
import re
from pathlib import Path

import pytest

from .build import limit, row, send, spent

PAGE = (Path(__file__).parents[2] / "docs" / "policies.md").read_text()
EXAMPLE = PAGE.partition("## A worked example")[2]
RULES = json.loads(EXAMPLE.partition("```json")[2].partition("```")[0])
ROWS = re.findall(r"^\| (\d+) \| (\d+) \| (\d+) \| (.+) \|$", EXAMPLE, re.MULTILINE)


def answer(decision):
    if decision.downgraded_from:
        return f"{decision.tier}, downgraded from {decision.downgraded_from}"
    return decision.tier or decision.code


@pytest.mark.parametrize(("amount", "in_flight", "today", "expected"), ROWS)
def test_the_worked_example_holds(amount, in_flight, today, expected):
    rows = (row(int(in_flight)), spent(int(today), ago=60))
    assert answer(send(int(amount), limit(**RULES), rows=rows, fee=5000)) == expected
