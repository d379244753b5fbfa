"""SPL Token and Token-2022: mints, which of them are sent here, and token accounts.

Layouts: spl-token `state.rs`; spl-token-2022 `extension/mod.rs`. A Token-2022 account that is longer than
its base has a byte for its type at 165, then extensions: u16 type, u16 length, value, little-endian.
"""

from collections.abc import Iterator

import msgspec
from solders.pubkey import Pubkey
from solders.token.associated import get_associated_token_address
from solders.token.state import Mint as MintState
from solders.token.state import TokenAccount as HolderState

from waiaas.chains.solana.answers import Account
from waiaas.chains.solana.programs import TOKEN, TOKEN_2022, TOKEN_PROGRAMS
from waiaas.errors import TokenMismatch

MINT_SIZE, HOLDER_SIZE, MULTISIG_SIZE = 82, 165, 355
#: a token account with the byte that says it is one
TYPED_HOLDER_SIZE = HOLDER_SIZE + 1
MINT_TYPE, HOLDER_TYPE = 1, 2
#: where a token account's state stands, and the state in which its issuer has stopped it
STATE_OFFSET, FROZEN = 108, 2
#: bytes of the associated account that a program makes; Token-2022 adds ImmutableOwner
CREATED_SIZE = {TOKEN: 165, TOKEN_2022: 170}

#: ExtensionType → why such a token is not sent: more or less arrives than was sent, or another may take it away
REFUSED_EXTENSIONS = {
    1: "it takes a fee of each transfer",
    4: "its transfers are confidential",
    9: "it cannot be transferred",
    12: "somebody may move it without its holder",
    14: "a program of its issuer runs at each transfer",
    16: "its transfers are confidential",
    24: "its supply is confidential",
    26: "it can be paused",
}
NEWEST_EXTENSION = 27


class Mint(msgspec.Struct, frozen=True):
    """A token: the program that keeps it, and its decimals."""

    address: str
    program: str
    decimals: int


class Holder(msgspec.Struct, frozen=True):
    """A token account; `delegated` is what the delegate may still move."""

    program: str
    mint: str
    owner: str
    amount: int
    delegate: str | None
    delegated: int
    close_authority: str | None
    frozen: bool


def associated(owner: str, mint: str, program: str) -> str:
    """The address of an owner's associated token account."""
    return str(
        get_associated_token_address(Pubkey.from_string(owner), Pubkey.from_string(mint), Pubkey.from_string(program))
    )


def read_mint(address: str, account: Account | None) -> Mint:
    """The mint at an address; TokenMismatch if it is none, or of a kind that is not sent."""
    if account is None or account.owner not in TOKEN_PROGRAMS:
        raise TokenMismatch(f"There is no token at {address}.")
    try:
        state = MintState.from_bytes(account.data[:MINT_SIZE])
        found = list(extensions(account))
    except ValueError as error:
        raise TokenMismatch(f"The account {address} is no token.") from error
    for kind in found:
        if kind in REFUSED_EXTENSIONS or kind > NEWEST_EXTENSION:
            reason = REFUSED_EXTENSIONS.get(kind, "it has an extension that is not known here")
            raise TokenMismatch(f"The token {address} is refused: {reason}.", extension=kind)
    return Mint(address, account.owner, state.decimals)


def extensions(mint: Account) -> Iterator[int]:
    """The types of a mint's extensions; ValueError if its bytes are not laid out as a mint's are."""
    size = len(mint.data)
    if size == MINT_SIZE:
        return
    padding, kind, entries = mint.data[MINT_SIZE:HOLDER_SIZE], mint.data[HOLDER_SIZE:][:1], mint.data[HOLDER_SIZE + 1 :]
    if mint.owner != TOKEN_2022 or size == MULTISIG_SIZE or any(padding) or kind != bytes([MINT_TYPE]):
        raise ValueError("not a mint")
    # a single byte may be left over by a reallocation
    while len(entries) >= 2:
        extension = int.from_bytes(entries[:2], "little")
        if extension == 0:
            break
        end = 4 + int.from_bytes(entries[2:4], "little")
        if len(entries) < end:
            raise ValueError("an extension is cut off")
        yield extension
        entries = entries[end:]
    if any(entries):
        raise ValueError("something stands behind the last extension")


def read_holder(account: Account | None) -> Holder | None:
    """The token account that this is; None if it is anything else. The first 166 bytes are enough."""
    if account is None or account.owner not in TOKEN_PROGRAMS or len(account.data) < HOLDER_SIZE:
        return None
    if len(account.data) > HOLDER_SIZE and account.data[HOLDER_SIZE] != HOLDER_TYPE:
        return None
    try:
        state = HolderState.from_bytes(account.data[:HOLDER_SIZE])
    except ValueError:
        return None
    return Holder(
        program=account.owner,
        mint=str(state.mint),
        owner=str(state.owner),
        amount=state.amount,
        delegate=None if state.delegate is None else str(state.delegate),
        delegated=state.delegated_amount,
        close_authority=None if state.close_authority is None else str(state.close_authority),
        frozen=account.data[STATE_OFFSET] == FROZEN,
    )


def is_of_token_program(account: Account | None) -> bool:
    """A token account or a mint, which no tokens must be sent to; a multisig may own tokens."""
    return account is not None and account.owner in TOKEN_PROGRAMS and len(account.data) != MULTISIG_SIZE
