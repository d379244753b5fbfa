"""The envelope of answers that depend on the slot."""

from typing import Any

from waiaas.localnet.solana.cluster import Cluster

#: the release of Agave whose RPC this one follows
API_VERSION = "3.0.0"


def in_context(cluster: Cluster, value: Any) -> dict[str, Any]:
    """`value` with the slot it was read at."""
    return {"context": {"apiVersion": API_VERSION, "slot": cluster.slots.current}, "value": value}
