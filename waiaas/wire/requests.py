"""What may be sent to POST /v1/transactions/send, as the document shows it; `waiaas.domain.parse` reads it."""

from typing import Annotated, Any, Literal

from msgspec import Meta

from waiaas.wire.body import Body, Digits, Id, StrictBody

Label = Annotated[str, Meta(max_length=200)]
Memo = Annotated[str, Meta(max_length=256, description="at most 512 bytes in UTF-8")]
Address = Annotated[
    str, Meta(description="base58 on Solana; 0x and 40 hex digits on EVM, mixed case with its checksum")
]
Calldata = Annotated[str, Meta(pattern="^0x([0-9a-fA-F]{2}){4,}$", description="EVM: the method and its arguments")]


class Provenance(StrictBody, frozen=True, omit_defaults=True):
    """Where a request came from, as its sender says: stored and shown, never trusted."""

    conversation_id: Id | None = None
    message_id: Label | None = None
    run_id: Label | None = None
    tool_call_id: Label | None = None
    model: Annotated[str, Meta(max_length=100)] | None = None
    reason: Annotated[str, Meta(max_length=1000)] | None = None


class Token(Body, frozen=True):
    """A token by its address; `decimals` must be what the chain says, the symbol is never trusted."""

    address: Address
    decimals: Annotated[int, Meta(ge=0, le=18)]
    symbol: Annotated[str, Meta(min_length=1, max_length=10)]


class AccountMeta(Body, frozen=True):
    """An account that a Solana instruction names; only the agent's own key may sign."""

    pubkey: Address
    is_signer: bool
    is_writable: bool


class Ask(Body, frozen=True, omit_defaults=True, kw_only=True):
    """What every form may say beside the request: `distinct` if it is meant anew although the same was just sent."""

    distinct: bool | None = None
    provenance: Provenance | None = None


class SendTransactionRequest(Ask, frozen=True, omit_defaults=True, kw_only=True):
    """A transfer of native money, in the form without `type`."""

    to: Address
    amount: Digits
    memo: Memo | None = None


class TransferRequest(SendTransactionRequest, frozen=True, omit_defaults=True, kw_only=True):
    """A transfer of native money."""

    type: Literal["TRANSFER"]


class TokenTransferRequest(Ask, frozen=True, omit_defaults=True, kw_only=True):
    """A transfer of tokens (SPL, Token-2022, ERC-20) to an owner's address."""

    type: Literal["TOKEN_TRANSFER"]
    to: Address
    amount: Digits
    token: Token
    memo: Memo | None = None


class ContractCallRequest(Ask, frozen=True, omit_defaults=True, kw_only=True):
    """A call. EVM: `to`, `calldata`, `value`, `abi`. Solana: `programId` (or `to`), `instructionData`, `accounts`."""

    type: Literal["CONTRACT_CALL"]
    to: Address | None = None
    calldata: Calldata | None = None
    value: Digits | None = None
    abi: list[dict[str, Any]] | None = None
    program_id: Address | None = None
    instruction_data: Annotated[str, Meta(description="base64")] | None = None
    accounts: Annotated[list[AccountMeta], Meta(min_length=1, max_length=64)] | None = None


class ApproveRequest(Ask, frozen=True, omit_defaults=True, kw_only=True):
    """Lets a spender move up to so much of a token; "0" takes it back."""

    type: Literal["APPROVE"]
    spender: Address
    token: Token
    amount: Digits


class BatchInstruction(Body, frozen=True, omit_defaults=True, kw_only=True):
    """One item of a batch, with the fields of its type.

    Without `type`: `spender` makes it APPROVE, else `token` TOKEN_TRANSFER, else `programId` or `calldata`
    CONTRACT_CALL, else TRANSFER.
    """

    type: Literal["TRANSFER", "TOKEN_TRANSFER", "CONTRACT_CALL", "APPROVE"] | None = None
    to: Address | None = None
    amount: Digits | None = None
    memo: Memo | None = None
    token: Token | None = None
    spender: Address | None = None
    calldata: Calldata | None = None
    value: Digits | None = None
    abi: list[dict[str, Any]] | None = None
    program_id: Address | None = None
    instruction_data: Annotated[str, Meta(description="base64")] | None = None
    accounts: Annotated[list[AccountMeta], Meta(min_length=1, max_length=64)] | None = None


class BatchRequest(Ask, frozen=True, omit_defaults=True, kw_only=True):
    """Several at once: on Solana all or none, on EVM one after another."""

    type: Literal["BATCH"]
    instructions: Annotated[list[BatchInstruction], Meta(min_length=2, max_length=20)]


class ReplaceRequest(StrictBody, frozen=True):
    """Fees of a replacement, in wei per gas: both, or none for the least that nodes take and the network asks."""

    max_fee_per_gas: Digits | None = None
    max_priority_fee_per_gas: Digits | None = None


class CancelRequest(Body, frozen=True):
    """Without `onChain` what is not signed yet is cancelled; with it a transfer of nothing races what is signed."""

    on_chain: bool | None = None
    max_fee_per_gas: Digits | None = None
    max_priority_fee_per_gas: Digits | None = None
