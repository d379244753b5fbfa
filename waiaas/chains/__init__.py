"""Chains, reached one way: JSON-RPC over httpx."""
