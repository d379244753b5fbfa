"""A key before and after it has a file: fresh from the generator, and encrypted in memory."""

import msgspec

from waiaas.domain.chain import Chain
from waiaas.keystore.ciphers import Box, wipe
from waiaas.keystore.curves import CURVE_OF, Curve


class NewKey:
    """A key that has no file yet; `public_key` is base58 or EIP-55."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        self.curve: Curve = CURVE_OF[chain]
        self.secret = self.curve.generate()
        self.public_key = self.curve.public_key(self.secret)

    def wipe(self) -> None:
        """Overwrite the secret: it has a file now, or the creation was given up."""
        wipe(self.secret)


class Key(msgspec.Struct, frozen=True):
    """A loaded key: its secret stays encrypted until the moment of signing."""

    curve: Curve
    public_key: str
    box: Box
    aad: bytes
