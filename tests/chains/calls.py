"""Calls of Solana programs, as a caller would make them."""

from base64 import b64encode

from tests.chains.tokens import key, little
from waiaas.chains.solana.programs import ASSOCIATED_TOKEN, SYSTEM, TOKEN
from waiaas.chains.solana.tokens import associated
from waiaas.domain.request import AccountMeta, ContractCall, Token


def call(program: str, data: bytes, writes: tuple[str, ...] = (), reads: tuple[str, ...] = (), signer: str = ""):
    """A CONTRACT_CALL: written accounts first, then read ones."""
    metas = tuple(AccountMeta(each, each == signer, each in writes) for each in (*writes, *reads))
    return ContractCall(program_id=program, instruction_data=b64encode(data).decode(), accounts=metas)


def system_transfer(sender: str, to: str, lamports: int) -> ContractCall:
    return call(SYSTEM, b"\x02\0\0\0" + little(lamports), (sender, to), (), sender)


def open_for(payer: str, owner: str, token: Token) -> ContractCall:
    """Somebody's token account, which the payer pays for without a word about money."""
    holder = associated(owner, token.address, TOKEN)
    return call(ASSOCIATED_TOKEN, b"\1", (payer, holder), (owner, token.address, SYSTEM, TOKEN), payer)


def close(holder: str, to: str, owner: str) -> ContractCall:
    return call(TOKEN, bytes([9]), (holder, to), (owner,), owner)


def hand_over(holder: str, kind: int, to: str, owner: str) -> ContractCall:
    """SetAuthority of a token account: 2 its owner, 3 who may close it."""
    return call(TOKEN, bytes([6, kind, 1]) + bytes(key(to)), (holder,), (owner,), owner)
