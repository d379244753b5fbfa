"""Solana behind the Chain protocol."""
