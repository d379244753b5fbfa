"""A server that stands where the daemon would: it answers what it was told to, and keeps what it was asked."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TRADER = {
    "id": "0198c0de-0000-7000-8000-000000000001",
    "name": "trader",
    "chain": "solana",
    "network": "localnet",
    "publicKey": "4Nd1mYkzh6F3tXo1jzvHcVtHmPzqRwYoPzqRwYoPzqRw",
    "status": "ACTIVE",
    "createdAt": 1_800_000_000,
}
ENDED = {**TRADER, "id": "0198c0de-0000-7000-8000-000000000002", "status": "TERMINATED"}


class Daemon(ThreadingHTTPServer):
    """Answers as it was told to and keeps what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[dict[str, Any]] = []
        self.answers: dict[tuple[str, str], tuple[int, Any]] = {
            ("GET", "/v1/agents"): (200, {"items": [TRADER, ENDED]}),
        }

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def answer(self, method: str, path: str, body: Any, status: int = 200) -> None:
        """From now on answer this request so."""
        self.answers[method, path] = (status, body)


class Handler(BaseHTTPRequestHandler):
    """One request of the commands."""

    server: Daemon

    def reply(self) -> None:
        path, _, query = self.path.partition("?")
        length = int(self.headers.get("Content-Length", 0))
        body = json.loads(self.rfile.read(length)) if length else None
        asked = {"method": self.command, "path": path, "query": query, "body": body, "headers": dict(self.headers)}
        self.server.asked.append(asked)
        status, answer = self.server.answers[self.command, path]
        raw = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    do_GET = do_POST = do_PUT = do_DELETE = reply

    def log_message(self, *_: Any) -> None:
        pass
