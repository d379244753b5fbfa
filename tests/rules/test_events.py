"""Every event is documented, and its data is what the page says: here in the sources, in each test by invariants."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.events import documented, keys_amiss
from waiaas.domain.event import EventType

WAIAAS = Path(__file__).parents[2] / "waiaas"


def emitted() -> Iterator[tuple[str, list[str], bool]]:
    """Of every `outbox.emit` that names its event: the event, the keys given by name, and whether those are all."""
    for path in WAIAAS.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(
                    func=ast.Attribute(value=ast.Name(id="outbox"), attr="emit"),
                    args=[ast.Attribute(value=ast.Name(id="EventType"), attr=event), *_],
                    keywords=keywords,
                ):
                    names = [one.arg for one in keywords if one.arg is not None]
                    yield event, names, len(names) == len(keywords)


def test_every_event_has_a_row_and_every_row_an_event():
    assert set(documented()) == set(EventType)


def test_the_data_that_is_given_by_name_is_the_data_of_the_page():
    found = list(emitted())
    assert len(found) > 20
    amiss = [
        (event, keys_amiss(event, [*names, *(() if whole else documented()[event][0])]))
        for event, names, whole in found
    ]
    assert [one for one in amiss if one[1]] == []


def test_a_key_that_is_missing_or_unknown_is_found():
    assert keys_amiss("TX_APPROVED", ["signature"]) == "lacks ['address'], and has ['signature']"
    assert keys_amiss("TX_QUEUED", ["executeAt", "effects"]) == ""
