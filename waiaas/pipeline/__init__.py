"""The life of a transaction: a step each, and what stops it."""
