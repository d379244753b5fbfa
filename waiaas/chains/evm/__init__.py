"""EVM networks behind the Chain protocol."""
