"""The wallets of owners: keys that the daemon never sees."""

from base64 import b64encode
from typing import Protocol

from eth_account import Account
from eth_account.messages import encode_defunct
from solders.keypair import Keypair

from waiaas.domain.chain import Chain


class Wallet(Protocol):
    """A person's wallet: an address, and signatures over texts as the header carries them."""

    address: str

    def sign(self, text: str) -> str: ...


class SolanaWallet:
    """Ed25519 over the text, in base58."""

    def __init__(self, entropy: bytes) -> None:
        self._key = Keypair.from_seed(entropy)
        self.address = str(self._key.pubkey())

    def sign(self, text: str) -> str:
        return str(self._key.sign_message(text.encode()))


class EvmWallet:
    """personal_sign (EIP-191) over the text."""

    def __init__(self, entropy: bytes) -> None:
        self._key = Account.from_key(entropy)
        self.address = str(self._key.address)

    def sign(self, text: str) -> str:
        return "0x" + bytes(self._key.sign_message(encode_defunct(text=text)).signature).hex()


def make_wallet(chain: Chain, entropy: bytes) -> Wallet:
    """A wallet of that kind of chain, from 32 bytes."""
    return EvmWallet(entropy) if chain is Chain.ETHEREUM else SolanaWallet(entropy)


def shown(wallet: Wallet, text: str) -> dict[str, str]:
    """The three headers of an owner."""
    return {
        "X_Owner_Address": wallet.address,
        "X_Owner_Message": b64encode(text.encode()).decode(),
        "X_Owner_Signature": wallet.sign(text),
    }
