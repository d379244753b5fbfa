"""What a stored request asks for, read by somebody who has not stored it."""

import json
from typing import Any

from waiaas.cli.torture.facts import allowance_of
from waiaas.cli.torture.hosts import KINDS, Known

#: (asset, recipient, base units)
Wanted = tuple[str, str, int]


def wanted_by(network: str, request: str) -> tuple[Wanted, ...]:
    """All that it asks for, in order of the text; what nobody here asks for has no recipient."""
    decoded = json.loads(request)
    known = next(kind.known for name, kind in KINDS.items() if name == network)
    return tuple(sorted(_of_item(known, item) for item in decoded.get("instructions", [decoded])))


def _of_item(known: Known, item: dict[str, Any]) -> Wanted:
    match item["type"]:
        case "TRANSFER":
            return known.NATIVE, item["to"], int(item["amount"])
        case "TOKEN_TRANSFER":
            return known.asset_of(item["token"]["address"]), item["to"], int(item["amount"])
        case "APPROVE":
            return allowance_of(known.asset_of(item["token"]["address"])), item["spender"], int(item["amount"])
        case "CONTRACT_CALL":
            return known.called(item) or ("", "", 0)
    return "", "", 0
