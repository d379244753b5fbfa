"""From PENDING to signed bytes on disk: the gate, the signature, a reset before it, and dearer bytes in its place."""
