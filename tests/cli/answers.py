"""What a daemon answers about one transaction, until a test says otherwise."""

from typing import Any

NOW = 1_800_000_000
TO = "9B5XszUGdMaxCZ7uSQhPzdks5ZQSmWxrmzCSvtJ6Ns6g"
HEALTH = {"timestamp": NOW, "status": "ok", "reconciling": {}, "checks": {"networks": {"localnet": "ok"}}}
TX: dict[str, Any] = {
    "id": "t1",
    "type": "TRANSFER",
    "status": "PENDING",
    "tier": "INSTANT",
    "chain": "solana",
    "network": "localnet",
    "toAddress": TO,
    "amount": "1500000000",
    "token": None,
    "spender": None,
    "txHash": None,
    "error": None,
    "errorCode": None,
    "createdAt": NOW - 9,
    "executeAt": None,
    "approvalExpiresAt": None,
    "downgradedFrom": None,
    "fee": None,
    "confirmation": None,
    "parentId": None,
    "batchIndex": None,
    "waiting": None,
    "children": [],
    "decision": {"outcome": "allow", "rules": [], "remedies": []},
}
ATTEMPT: dict[str, Any] = {
    "number": 1,
    "kind": "SEND",
    "status": "LIVE",
    "txHash": "hash1",
    "nonce": None,
    "lastValidBlockHeight": 500,
    "sendCount": 3,
    "lastSentAt": NOW - 2,
    "lastSeenAt": None,
    "block": None,
    "error": None,
}
