"""How an asset is named: `native:<chain>`, or `<chain>:<token address>` in the chain's canonical spelling."""

from waiaas.domain.address import canonical_address
from waiaas.domain.chain import Chain, native_asset

NATIVE = frozenset(native_asset(chain) for chain in Chain)


def parse_asset(text: str) -> str:
    """The canonical name of an asset; ValueError says what is wrong with the text."""
    if text in NATIVE:
        return text
    chain, _, address = text.partition(":")
    if chain not in list(Chain):
        raise ValueError("must be native:solana, native:ethereum, or solana: or ethereum: and a token address")
    return token_asset(Chain(chain), canonical_address(address, Chain(chain)))


def token_asset(chain: Chain, address: str) -> str:
    """The asset of a token by its canonical address."""
    return f"{chain}:{address}"


def chain_of_asset(asset: str) -> Chain:
    """The chain an asset lives on."""
    first, _, rest = asset.partition(":")
    return Chain(rest if first == "native" else first)


def token_of(asset: str) -> str | None:
    """The token's address; None for native money."""
    return None if asset in NATIVE else asset.partition(":")[2]
