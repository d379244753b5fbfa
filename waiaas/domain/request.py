"""What an agent can ask for, canonical: stored whole, hashed, and replayed from storage."""

import hashlib
from typing import Any

import msgspec


class Transfer(msgspec.Struct, frozen=True, tag="TRANSFER", tag_field="type"):
    """Native money to one recipient; `to` is canonical, `amount` is decimal digits in base units."""

    to: str
    amount: str
    memo: str | None = None


class Token(msgspec.Struct, frozen=True):
    """A token as the caller names it: decimals are compared with the chain's, the symbol is never trusted."""

    address: str
    decimals: int
    symbol: str


class TokenTransfer(msgspec.Struct, frozen=True, tag="TOKEN_TRANSFER", tag_field="type"):
    """Tokens to one owner address (SPL, Token-2022, ERC-20)."""

    to: str
    amount: str
    token: Token
    memo: str | None = None


class AccountMeta(msgspec.Struct, frozen=True, rename="camel"):
    """Solana: an account that an instruction names."""

    pubkey: str
    is_signer: bool
    is_writable: bool


class ContractCall(msgspec.Struct, frozen=True, rename="camel", tag="CONTRACT_CALL", tag_field="type"):
    """EVM: `to`, `calldata` (0x hex), `value`. Solana: `programId`, `instructionData` (base64), `accounts`."""

    to: str | None = None
    calldata: str | None = None
    value: str = "0"
    abi: tuple[dict[str, Any], ...] | None = None
    program_id: str | None = None
    instruction_data: str | None = None
    accounts: tuple[AccountMeta, ...] | None = None


class Approve(msgspec.Struct, frozen=True, tag="APPROVE", tag_field="type"):
    """Lets a spender move up to `amount` of a token; "0" revokes."""

    spender: str
    token: Token
    amount: str


Item = Transfer | TokenTransfer | ContractCall | Approve


class Batch(msgspec.Struct, frozen=True, tag="BATCH", tag_field="type"):
    """2 to 20 items: on Solana one atomic transaction, on EVM one after another."""

    instructions: tuple[Item, ...]


class Left(msgspec.Struct, frozen=True):
    """A token that a withdrawal leaves behind: `frozen` by its issuer, or `unsupported` here."""

    asset: str
    reason: str


class SweepToken(msgspec.Struct, frozen=True, tag="SWEEP_TOKEN", tag_field="type"):
    """The whole balance of a token; how much that is, is known when it is built.

    `account` is the token account on Solana, which is closed when it is empty.
    """

    to: str
    token: Token
    account: str | None = None


class Sweep(msgspec.Struct, frozen=True, tag="SWEEP", tag_field="type"):
    """All native money that the fee leaves, last of a withdrawal: once the rows `after` are final.

    `scope` is all or native; `left` is what `all` did not include.
    """

    to: str
    scope: str
    after: tuple[str, ...] = ()
    left: tuple[Left, ...] = ()


#: what only a withdrawal asks for; its amount is decided when it is built
Sweeping = Sweep | SweepToken
Request = Item | Batch | Sweeping


def swept(sweep: Sweeping, amount: int) -> Transfer | TokenTransfer:
    """What a sweep comes to, once it is known how much there is."""
    if isinstance(sweep, SweepToken):
        return TokenTransfer(sweep.to, str(amount), sweep.token)
    return Transfer(sweep.to, str(amount))


class Effect(msgspec.Struct, frozen=True):
    """One thing a request does on chain, as policy judges it.

    kind: TRANSFER, TOKEN_TRANSFER, APPROVE, CONTRACT_CALL, or FORBIDDEN, which no policy can allow. `counterparty`:
    recipient, spender, contract or program. `asset` and `amount` (base units) are None for a CONTRACT_CALL, and `asset`
    for tokens that a call moves without naming them; an APPROVE of 0 revokes. `selector` is the method of a call that
    makes the effect, and None for a request's own. `decoded` tells whether a call's data is understood as the other
    effects. `index` is the item of a batch.
    """

    kind: str
    counterparty: str
    asset: str | None = None
    amount: int | None = None
    selector: str | None = None
    decoded: bool = True
    index: int | None = None


def canonical(value: object) -> bytes:
    """Canonical JSON: UTF-8, keys sorted, no spaces; the form that is stored and hashed."""
    return msgspec.json.encode(value, order="sorted")


def digest(text: bytes) -> str:
    """SHA-256 of canonical JSON, in hex."""
    return hashlib.sha256(text).hexdigest()


def decode(text: str | bytes) -> Request:
    """A stored request; msgspec.ValidationError if it is not one."""
    request: Request = msgspec.json.decode(text, type=Request)
    return request


def type_of(request: Request) -> str:
    """The wire name of the request's type."""
    return str(request.__struct_config__.tag)
