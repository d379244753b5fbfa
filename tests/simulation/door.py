"""What callers and the operator ask of a daemon, over its API but for the socket."""

from typing import Any

import msgspec

from tests.api.raw import ask
from tests.conftest import PASSWORD
from tests.owners import EvmWallet, SolanaWallet, Wallet, shown
from waiaas import app
from waiaas.domain.chain import Chain

#: a node failed; the daemon cannot now
UNABLE = (502, 503)
MASTER = {"X-Master-Password": PASSWORD}
#: who may own agents of a chain
OWNERS: dict[Chain, list[Wallet]] = {
    Chain.SOLANA: [SolanaWallet(1), SolanaWallet(2)],
    Chain.ETHEREUM: [EvmWallet(1), EvmWallet(2)],
}
PEOPLE = {wallet.address: wallet for wallets in OWNERS.values() for wallet in wallets}


class Refusal(Exception):
    """The daemon answered, and the answer is no."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        self.status, self.code = status, str(body["code"])
        self.retryable, self.details = bool(body["retryable"]), body.get("details") or {}
        super().__init__(f"{status} {self.code}: {body['message']}")


class Door:
    """One daemon's."""

    def __init__(self, daemon: app.Daemon) -> None:
        self._app = daemon.app

    async def operator(self, method: str, path: str, body: Any = None) -> Any:
        """With the master password; Refusal."""
        return await self._call(method, path, MASTER, body)

    async def session(self, token: str, method: str, path: str, body: Any = None, key: str | None = None) -> Any:
        """With a session's token; Refusal."""
        headers = {"Authorization": f"Bearer {token}"} | ({"Idempotency-Key": key} if key else {})
        return await self._call(method, path, headers, body)

    async def send(self, token: str, body: dict[str, Any], key: str | None) -> str:
        """The id of the transaction that it becomes, or has become before; Refusal."""
        return str((await self.session(token, "POST", "/v1/transactions/send", body, key))["id"])

    async def decide(self, tx_id: str, action: str) -> Any:
        """The owner's yes (approve) or no (reject); Refusal."""
        path = f"/v1/transactions/{tx_id}/{action}"
        told = await self._call("GET", f"/v1/transactions/{tx_id}/approval-message?action={action}", {}, None)
        return await self._call("POST", path, shown(PEOPLE[told["address"]], told["message"]), None)

    async def hand_over(self, agent_id: str, address: str) -> Any:
        """Another owner, with the signature of the present one if there is one; Refusal."""
        path = f"/v1/agents/{agent_id}/owner"
        try:
            told = await self._call("GET", f"{path}-message?newOwner={address}", MASTER, None)
        except Refusal as refusal:
            if refusal.code != "OWNER_NOT_CONNECTED":
                raise
            headers = {}
        else:
            headers = shown(PEOPLE[told["address"]], told["message"])
        return await self._call("PUT", path, MASTER | headers, {"owner_address": address})

    async def _call(self, method: str, path: str, headers: dict[str, str], body: Any) -> Any:
        text = b"" if body is None else msgspec.json.encode(body)
        path, _, query = path.partition("?")
        sent = {**headers, "Content-Type": "application/json"}
        status, answer = await ask(self._app, method, path, sent, [text], query=query)
        assert status is not None
        assert status < 500 or status in UNABLE, f"{method} {path} answers {status}: {answer[:500]!r}"
        said = msgspec.json.decode(answer)
        if status >= 400:
            raise Refusal(status, said)
        return said
