"""How long unlocking takes with many agents: `python -m tests.keystore.measure [agents]`."""

import sys
import tempfile
from pathlib import Path

from waiaas.clock import Clock
from waiaas.domain.chain import Chain, Network
from waiaas.files import write_new
from waiaas.ids import new_id
from waiaas.keystore import KdfParams, Keystore, create

PASSWORD = "correct horse battery"
CHAINS = ((Chain.SOLANA, Network.LOCALNET), (Chain.ETHEREUM, Network.ETHEREUM_LOCALNET))


def populate(directory: Path, agents: int) -> dict[str, str]:
    """A keystore at the default Argon2id cost with that many keys, half of each chain; id → public key."""
    create(directory, PASSWORD, installation=new_id(), params=KdfParams(), now=0)
    keystore = Keystore.unlock(directory, PASSWORD)
    rows = {}
    for number in range(agents):
        chain, network = CHAINS[number % 2]
        key, agent_id = keystore.generate(chain), new_id()
        # the file that store writes, without its three fsyncs and its trial
        write_new(directory / f"{agent_id}.json", keystore._encrypted(agent_id, network, key, now=0))
        rows[agent_id] = key.public_key
    return rows


def measure(agents: int = 10_000) -> tuple[float, float]:
    """Seconds of the unlock (one Argon2id), and of loading every agent's key after it."""
    clock = Clock()
    with tempfile.TemporaryDirectory() as directory:
        rows = populate(Path(directory), agents)
        began = clock.monotonic()
        keystore = Keystore.unlock(Path(directory), PASSWORD)
        unlocked = clock.monotonic()
        quarantined = keystore.load(rows)
        loaded = clock.monotonic()
    if quarantined:
        raise SystemExit(f"{len(quarantined)} of {agents} agents were quarantined")
    return unlocked - began, loaded - unlocked


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    unlocking, loading = measure(count)
    print(f"{count} agents: unlock {unlocking:.2f} s + load {loading:.2f} s = {unlocking + loading:.2f} s")
