"""Private keys at rest and in use: the only place that sees one."""

from waiaas.keystore.keys import NewKey
from waiaas.keystore.keystore import Keystore
from waiaas.keystore.master import KdfParams, create
from waiaas.keystore.passwords import check_new_password

__all__ = ["KdfParams", "Keystore", "NewKey", "check_new_password", "create"]
