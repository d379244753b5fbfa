"""A key used elsewhere: somebody signs with an agent's key what the wallet knows nothing of."""

import rlp
from eth_hash.auto import keccak

from tests import signed
from tests.simulation.evm import GWEI, SEPOLIA
from tests.simulation.node import Refused
from tests.simulation.wallet import EVM, Member
from tests.simulation.world import World
from waiaas.keystore import Keystore

TO = bytes.fromhex("44" * 20)


def spend_elsewhere(world: World, keystore: Keystore, member: Member) -> None:
    """One wei, at a price that gets it in front of everything, with the next nonce."""
    if not keystore.usable(member.agent_id):
        return
    chain = world.evm
    nonce = chain.head.state.nonces.get(member.address.lower(), 0)
    fields: list[object] = [SEPOLIA, nonce, 300 * GWEI, 700 * GWEI, 21_000, TO, 1, b"", []]
    signature = keystore.sign(member.agent_id, keccak(b"\x02" + rlp.encode(fields)))
    r, s, v = signature[:32], signature[32:64], signature[64]
    numbers = [v, int.from_bytes(r, "big"), int.from_bytes(s, "big")]
    said = signed.evm(b"\x02" + rlp.encode([*fields, *numbers]))
    try:
        chain.take(world.nodes[EVM].seats[0], said)
    except Refused as error:
        world.acts.note(f"the stranger is refused: {error}")
        return
    chain.strangers.add(said.hash)
    world.acts.note(f"{member.agent_id} is used elsewhere: nonce {nonce}")
