"""What a Solana node refuses, in the three classes the pipeline knows."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec

from waiaas.chains.solana.programs import ASSOCIATED_TOKEN, SYSTEM, TOKEN, TOKEN_2022
from waiaas.errors import (
    ChainError,
    ChainRejected,
    InsufficientBalance,
    InsufficientForFee,
    InsufficientTokenBalance,
    NodeRefused,
    SimulationFailed,
    Stale,
    TokenMismatch,
    Transient,
)

#: JSON-RPC codes about the bytes sent (agave, rpc_custom_error.rs)
PREFLIGHT_FAILED = -32002
REJECTED = frozenset({-32003, -32006, -32013, -32602})
#: TransactionErrors that no such bytes ever get around
REJECTING = frozenset({"SignatureFailure", "SanitizeFailure", "InvalidAccountForFee"})

#: TransactionError (solana-transaction-error): what is not in here is the program's own no
CLASSES: dict[str, type[ChainError]] = {
    "BlockhashNotFound": Stale,
    "AccountNotFound": InsufficientBalance,
    "InsufficientFundsForFee": InsufficientForFee,
    "InsufficientFundsForRent": InsufficientBalance,
    "InvalidRentPayingAccount": InsufficientBalance,
    "AccountInUse": Transient,
    "ClusterMaintenance": Transient,
    "WouldExceedMaxBlockCostLimit": Transient,
    "WouldExceedMaxAccountCostLimit": Transient,
    "WouldExceedMaxVoteCostLimit": Transient,
    "WouldExceedAccountDataBlockLimit": Transient,
    "ProgramCacheHitMaxLimit": Transient,
}
#: TokenError: InsufficientFunds, MintMismatch, MintDecimalsMismatch
TOKEN_ERRORS: dict[int, type[ChainError]] = {1: InsufficientTokenBalance, 3: TokenMismatch, 18: TokenMismatch}
#: custom errors by the program of the instruction that failed; 1 is SystemError::ResultWithNegativeLamports,
#: which the associated token program hands on when the rent cannot be paid
CUSTOM_ERRORS: dict[str, dict[int, type[ChainError]]] = {
    SYSTEM: {1: InsufficientBalance},
    ASSOCIATED_TOKEN: {1: InsufficientForFee},
    TOKEN: TOKEN_ERRORS,
    TOKEN_2022: TOKEN_ERRORS,
}


def refusal(error: NodeRefused) -> ChainError:
    """What one endpoint's refusal of sendTransaction means."""
    if error.number in REJECTED or (error.number == PREFLIGHT_FAILED and kind(reason(error)) in REJECTING):
        return ChainRejected(error.message)
    return unsigned(error)


def unsigned(error: NodeRefused) -> ChainError:
    """What a refusal of simulateTransaction means: nothing is signed, so nothing can have been rejected."""
    if error.number == PREFLIGHT_FAILED:
        return failure(reason(error))
    if error.number in REJECTED:
        return SimulationFailed(error.message)
    return Transient(error.message)


def failure(err: Any, programs: Sequence[str] = (), logs: tuple[str, ...] = ()) -> ChainError:
    """What a TransactionError means; `programs` are those of the message's instructions, in order."""
    match err:
        case {"InstructionError": [int(place), {"Custom": int(number)}]} if 0 <= place < len(programs):
            custom = CUSTOM_ERRORS.get(programs[place], {}).get(number)
            if custom is not None:
                return custom(logs=logs)
    return CLASSES.get(kind(err), SimulationFailed)(spelled(err), logs=logs)


@contextmanager
def simulating() -> Iterator[None]:
    """Inside, a refusal is about a transaction that nobody has signed."""
    try:
        yield
    except NodeRefused as error:
        raise unsigned(error) from error


def already_processed(error: NodeRefused) -> bool:
    """The node has these very bytes already: as good as accepted."""
    return error.number == PREFLIGHT_FAILED and reason(error) == "AlreadyProcessed"


def reason(error: NodeRefused) -> Any:
    """The TransactionError inside a preflight failure; None if the node did not give one."""
    return error.data.get("err") if isinstance(error.data, dict) else None


def kind(err: Any) -> str:
    """The variant's name: `err` is a name, or an object with the name as its only key."""
    if isinstance(err, dict) and len(err) == 1:
        return str(next(iter(err)))
    return err if isinstance(err, str) else ""


def spelled(err: Any) -> str:
    """A TransactionError in words a person can look up, at most 256 characters."""
    return err[:256] if isinstance(err, str) else msgspec.json.encode(err).decode()[:256]
