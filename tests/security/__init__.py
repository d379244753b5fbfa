"""Attacks and edges, one or more tests per id, the id in the name, as in `test_p02_two_sessions_share_what_is_left`.

S session and owner, P policy, K kill switch and auto-stop, H keystore and host, B boundary, C chain.
"""

#: how many ids each group has
GROUPS = {"s": 23, "p": 23, "k": 10, "h": 13, "b": 10, "c": 10}

IDS = frozenset(f"{group}{number:02}" for group, most in GROUPS.items() for number in range(1, most + 1))

#: ids of things that this version does not have, and why; one that has a test by now is named as a mistake
LATER = {
    "s22": "there are no API keys yet",
    "h11": "there are no webhooks yet",
    "c08": "there is no MCP server yet",
    "k04 channels": "there are no notification channels and webhooks yet",
}

#: ids of more than one matter: a word of each, that stands in the name of one of its tests
PARTS = {"b03": ("token", "text"), "b04": ("delay", "approval"), "b10": ("lockout", "window", "key"), "k04": ("disk",)}
