"""WAIaaS: a self-hosted wallet for AI agents, with limits that are real."""

__version__ = "0.1.0"
