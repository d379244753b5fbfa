"""Who may ask, and under what: agents, owners, policies and sessions, made, changed and ended."""
