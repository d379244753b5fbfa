"""What the product talks about: frozen structs, enums and pure functions; no I/O."""
