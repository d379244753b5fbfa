"""A token on a Solana chain: whoever made it hands it out, and may be allowed to take it back."""

import asyncio
from base64 import b64encode
from collections.abc import Sequence
from typing import Any

from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.system_program import CreateAccountParams, create_account
from solders.transaction import VersionedTransaction

from waiaas.cli.torture.exchange import Node, NodeRefused, ask

DECIMALS = 6
FUNDS = 100 * 10**9
MINT_BYTES = 82
SYSTEM = Pubkey.from_string("11111111111111111111111111111111")
PROGRAM = Pubkey.from_string("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA")
ASSOCIATED = Pubkey.from_string("ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL")
#: first bytes of instructions of the token program
INITIALIZE_MINT, MINT_TO, REVOKE, TRANSFER_CHECKED, APPROVE_CHECKED = 20, 7, 5, 12, 13
LANDED_LOOKS, LOOK_SECONDS = 400, 0.05


class Bank:
    """One mint, and the key that may issue it; the same key is the spender."""

    def __init__(self, node: Node, entropy: bytes) -> None:
        self._node, self._key, self._mint = node, Keypair.from_seed(entropy), Keypair()
        self.spender, self.token = str(self._key.pubkey()), str(self._mint.pubkey())

    async def open(self) -> None:
        """Make the token."""
        payer, mint = self._key.pubkey(), self._mint.pubkey()
        await self._landed((await ask(self._node, ("requestAirdrop", [str(payer), FUNDS])))[0])
        (rent,) = await ask(self._node, ("getMinimumBalanceForRentExemption", [MINT_BYTES]))
        made = create_account(
            CreateAccountParams(from_pubkey=payer, to_pubkey=mint, lamports=rent, space=MINT_BYTES, owner=PROGRAM)
        )
        data = bytes([INITIALIZE_MINT, DECIMALS]) + bytes(payer) + bytes([0])
        await self._land([made, Instruction(PROGRAM, data, [meta(mint, written=True)])], self._mint)

    async def give(self, owner: str, amount: int) -> None:
        """Base units for an address; it has them when this returns."""
        payer, holder, mint = self._key.pubkey(), holder_of(owner, self.token), self._mint.pubkey()
        read = (meta(key) for key in (Pubkey.from_string(owner), mint, SYSTEM, PROGRAM))
        account = Instruction(ASSOCIATED, bytes([1]), [meta(payer, True, True), meta(holder, written=True), *read])
        written = [meta(mint, written=True), meta(holder, written=True), meta(payer, signs=True)]
        issued = Instruction(PROGRAM, bytes([MINT_TO]) + amount.to_bytes(8, "little"), written)
        await self._land([account, issued])

    async def take(self, owner: str, to: str, amount: int) -> bool:
        """Ask for what an owner may have allowed: whether the node took it; whether it moved shows in the chain."""
        source, target = (meta(holder_of(one, self.token), written=True) for one in (owner, to))
        accounts = [source, meta(self._mint.pubkey()), target, meta(self._key.pubkey(), signs=True)]
        data = bytes([TRANSFER_CHECKED]) + amount.to_bytes(8, "little") + bytes([DECIMALS])
        try:
            await self._send([Instruction(PROGRAM, data, accounts)])
        except NodeRefused:
            return False
        return True

    async def _land(self, instructions: Sequence[Instruction], *others: Keypair) -> None:
        await self._landed(await self._send(instructions, *others))

    async def _send(self, instructions: Sequence[Instruction], *others: Keypair) -> str:
        (latest,) = await ask(self._node, ("getLatestBlockhash", [{"commitment": "confirmed"}]))
        blockhash = Hash.from_string(latest["value"]["blockhash"])
        message = MessageV0.try_compile(self._key.pubkey(), list(instructions), [], blockhash)
        raw = b64encode(bytes(VersionedTransaction(message, [self._key, *others]))).decode()
        (sent,) = await ask(self._node, ("sendTransaction", [raw, {"encoding": "base64"}]))
        return str(sent)

    async def _landed(self, signature: str) -> None:
        for _ in range(LANDED_LOOKS):
            (found,) = await ask(self._node, ("getSignatureStatuses", [[signature]]))
            status: dict[str, Any] | None = found["value"][0]
            if status and status["confirmationStatus"] != "processed":
                if status["err"] is not None:
                    raise RuntimeError(f"{signature}: {status['err']}")
                return
            await asyncio.sleep(LOOK_SECONDS)
        raise RuntimeError(f"{signature} does not land")


def meta(key: Pubkey, signs: bool = False, written: bool = False) -> AccountMeta:
    return AccountMeta(key, is_signer=signs, is_writable=written)


def holder_of(owner: str, mint: str) -> Pubkey:
    """The owner's associated account of a token."""
    seeds = [bytes(Pubkey.from_string(owner)), bytes(PROGRAM), bytes(Pubkey.from_string(mint))]
    return Pubkey.find_program_address(seeds, ASSOCIATED)[0]
