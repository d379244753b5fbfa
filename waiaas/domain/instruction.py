"""Solana instructions read as what they do: System, Token and Token-2022.

Layouts: solana-system-interface (bincode, u32 tag), spl-token and spl-token-2022 (u8 tag). Their programs ignore bytes
behind the arguments, and so does this. Of these three programs whatever is not read here is forbidden: it could hand an
account over.
"""

from collections.abc import Callable, Sequence

from waiaas.domain.asset import token_asset
from waiaas.domain.chain import Chain, native_asset
from waiaas.domain.request import Effect

SYSTEM = "11111111111111111111111111111111"
TOKEN = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA"
TOKEN_2022 = "TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb"

#: data and accounts → the effect; IndexError where either is too short
Reader = Callable[[bytes, Sequence[str]], Effect]


def instruction_effects(program: str, data: bytes, accounts: Sequence[str]) -> tuple[Effect, ...]:
    """The call, and what it does where its program is one of the three; never raises.

    The owner of a token account cannot be known from the instruction: the counterparty of a transfer is the receiving
    account, of a burn the mint, of a revocation the account that is revoked. Transfer and Approve name no mint, so
    their asset is None.
    """
    if program == SYSTEM:
        return _understood(program, data, accounts, 4, SYSTEM_READERS)
    if program in (TOKEN, TOKEN_2022):
        return _understood(program, data, accounts, 1, TOKEN_READERS)
    return (Effect("CONTRACT_CALL", program, decoded=False),)


def _understood(
    program: str, data: bytes, accounts: Sequence[str], tag_size: int, readers: dict[int, Reader]
) -> tuple[Effect, ...]:
    tag = int.from_bytes(data[:tag_size], "little") if len(data) >= tag_size else None
    if tag not in readers:
        return _forbidden(program, data[:tag_size])
    try:
        return Effect("CONTRACT_CALL", program), readers[tag](data, accounts)
    except IndexError:
        return _forbidden(program, data[:tag_size])


def _forbidden(program: str, tag: bytes) -> tuple[Effect, ...]:
    return (
        Effect("CONTRACT_CALL", program, decoded=False),
        Effect("FORBIDDEN", program, selector=f"0x{tag.hex()}", decoded=False),
    )


def _u64(data: bytes, at: int) -> int:
    if at + 8 > len(data):
        raise IndexError
    return int.from_bytes(data[at : at + 8], "little")


def _lamports(amount_at: int, to: int) -> Reader:
    def read(data: bytes, accounts: Sequence[str]) -> Effect:
        return Effect("TRANSFER", accounts[to], native_asset(Chain.SOLANA), _u64(data, amount_at))

    return read


def _create_with_seed(data: bytes, accounts: Sequence[str]) -> Effect:
    """Tag, base, length of the seed as u64, seed, lamports."""
    return Effect("TRANSFER", accounts[1], native_asset(Chain.SOLANA), _u64(data, 44 + _u64(data, 36)))


def _tokens(kind: str, to: int, mint: int | None) -> Reader:
    def read(data: bytes, accounts: Sequence[str]) -> Effect:
        asset = None if mint is None else token_asset(Chain.SOLANA, accounts[mint])
        return Effect(kind, accounts[to], asset, _u64(data, 1))

    return read


def _revoke(data: bytes, accounts: Sequence[str]) -> Effect:
    return Effect("APPROVE", accounts[0], None, 0)


#: CreateAccount, Transfer, CreateAccountWithSeed, TransferWithSeed
SYSTEM_READERS: dict[int, Reader] = {
    0: _lamports(4, 1),
    2: _lamports(4, 1),
    3: _create_with_seed,
    11: _lamports(4, 2),
}
#: Transfer, Approve, Revoke, Burn, TransferChecked, ApproveChecked, BurnChecked
TOKEN_READERS: dict[int, Reader] = {
    3: _tokens("TOKEN_TRANSFER", 1, None),
    4: _tokens("APPROVE", 1, None),
    5: _revoke,
    8: _tokens("TOKEN_TRANSFER", 1, 1),
    12: _tokens("TOKEN_TRANSFER", 2, 1),
    13: _tokens("APPROVE", 2, 1),
    15: _tokens("TOKEN_TRANSFER", 1, 1),
}
