"""Draw the states of a transaction into docs/states.md, from MOVES and FINAL; --stdout prints the drawing alone."""

import sys
from pathlib import Path

from waiaas.domain.transaction import FINAL, MOVES, Status

PAGE = Path(__file__).parents[1] / "docs" / "states.md"
BEGIN, END = "```mermaid\n", "```\n"


def drawing() -> str:
    """A mermaid state diagram: first state, every move in the order of the states, final states."""
    order = list(Status)
    moves = sorted(MOVES, key=lambda move: (order.index(move[0]), order.index(move[1])))
    lines = ["stateDiagram-v2", "    direction LR", f"    [*] --> {order[0]}"]
    lines += [f"    {before} --> {after}" for before, after in moves]
    lines += [f"    {status} --> [*]" for status in order if status in FINAL]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write the page, or print."""
    if "--stdout" in sys.argv:
        sys.stdout.write(drawing())
        return
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(before + BEGIN + drawing() + END + after)


main()
