"""What routes of more than one resource refuse with."""

from waiaas.errors import AdapterNotAvailable, ChainFailed, Denied, Refusal, tree

Refusals = tuple[type[Refusal], ...]

NODE: Refusals = (ChainFailed, AdapterNotAvailable)
DENIALS: Refusals = tuple(kind for kind in tree(Denied) if issubclass(kind, Denied) and kind is not Denied)
