"""Methods about transactions: send, simulate, follow, look up."""

from typing import Any, Literal

import msgspec
from solders.message import from_bytes_versioned
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction

from waiaas.errors import RpcRefusal
from waiaas.localnet.solana import base58, history
from waiaas.localnet.solana.cluster import Cluster
from waiaas.localnet.solana.context import in_context
from waiaas.localnet.solana.machine import Outcome
from waiaas.localnet.solana.meta import as_simulation
from waiaas.localnet.solana.params import (
    AccountConfig,
    Commitment,
    Config,
    Table,
    TextParams,
    TransactionEncoding,
    WireEncoding,
    as_address,
    as_bytes,
    as_signature,
    as_transaction,
    invalid,
)
from waiaas.localnet.solana.show import as_account
from waiaas.localnet.solana.store import Landed

MAX_SIGNATURES = 256
MAX_HISTORY = 1000

#: slots for which a node remembers a status without looking into its history
STATUS_CACHE_SLOTS = 300

UNSUPPORTED_VERSION = -32015


class SendConfig(Config, frozen=True, rename="camel"):
    encoding: WireEncoding = "base58"
    skip_preflight: bool = False
    preflight_commitment: Commitment | None = None
    max_retries: int | None = None


class SendParams(msgspec.Struct, frozen=True, array_like=True):
    transaction: str
    config: SendConfig = SendConfig()


class SimulatedAccounts(msgspec.Struct, frozen=True):
    """Which accounts a simulation shows afterwards."""

    addresses: list[str]
    encoding: Literal["base64", "jsonParsed"] = "base64"


class SimulateConfig(Config, frozen=True, rename="camel"):
    encoding: WireEncoding = "base58"
    sig_verify: bool = False
    replace_recent_blockhash: bool = False
    accounts: SimulatedAccounts | None = None
    inner_instructions: bool = False


class SimulateParams(msgspec.Struct, frozen=True, array_like=True):
    transaction: str
    config: SimulateConfig = SimulateConfig()


class AirdropParams(msgspec.Struct, frozen=True, array_like=True):
    address: str
    lamports: int
    config: Config = Config()


class StatusesConfig(Config, frozen=True, rename="camel"):
    search_transaction_history: bool = False


class StatusesParams(msgspec.Struct, frozen=True, array_like=True):
    signatures: list[str]
    config: StatusesConfig = StatusesConfig()


class TransactionConfig(Config, frozen=True, rename="camel"):
    encoding: TransactionEncoding = "json"
    max_supported_transaction_version: int | None = None


class TransactionParams(msgspec.Struct, frozen=True, array_like=True):
    signature: str
    config: TransactionConfig = TransactionConfig()


class HistoryConfig(Config, frozen=True, rename="camel"):
    limit: int = MAX_HISTORY
    before: str | None = None
    until: str | None = None


class HistoryParams(msgspec.Struct, frozen=True, array_like=True):
    address: str
    config: HistoryConfig = HistoryConfig()


def send_transaction(cluster: Cluster, params: SendParams) -> str:
    transaction = as_transaction(params.transaction, params.config.encoding)
    return str(cluster.submit(transaction, preflight=not params.config.skip_preflight))


def request_airdrop(cluster: Cluster, params: AirdropParams) -> str:
    if not 0 < params.lamports < 2**64:
        raise invalid("Invalid params: lamports must fit into 64 bits and be more than 0.")
    return str(cluster.airdrop(as_address(params.address), params.lamports))


def simulate_transaction(cluster: Cluster, params: SimulateParams) -> dict[str, Any]:
    config = params.config
    if config.sig_verify and config.replace_recent_blockhash:
        raise invalid("sigVerify may not be used with replaceRecentBlockhash")
    transaction = as_transaction(params.transaction, config.encoding)
    shown = [as_address(address) for address in config.accounts.addresses] if config.accounts else []
    if config.sig_verify and not all(transaction.verify_with_results()):
        outcome = Outcome(error="SignatureFailure")
    else:
        outcome = cluster.simulate(transaction, any_hash=config.replace_recent_blockhash)
    value = as_simulation(outcome)
    if config.accounts:
        value["accounts"] = simulated_accounts(cluster, outcome, shown, config.accounts.encoding)
    if config.inner_instructions:
        value["innerInstructions"] = outcome.inner
    if config.replace_recent_blockhash:
        blockhash, last_valid = cluster.slots.latest()
        value["replacementBlockhash"] = {"blockhash": base58.encode(blockhash), "lastValidBlockHeight": last_valid}
    return in_context(cluster, value)


def simulated_accounts(
    cluster: Cluster, outcome: Outcome, addresses: list[Pubkey], encoding: Literal["base64", "jsonParsed"]
) -> list[dict[str, Any] | None]:
    """The accounts as the simulation leaves them; unchanged where it does not write or fails."""
    config = AccountConfig(encoding=encoding)
    accounts = [outcome.accounts.get(address) or cluster.machine.account(address) for address in addresses]
    return [
        as_account(account if account and account.lamports else None, config, cluster.machine) for account in accounts
    ]


def get_fee_for_message(cluster: Cluster, params: TextParams) -> dict[str, Any]:
    """Lamports, priority fee included; null if the message's blockhash is not valid."""
    try:
        message = from_bytes_versioned(as_bytes(params.text, "base64"))
        unsigned = VersionedTransaction.populate(
            message, [Signature.default()] * message.header.num_required_signatures
        )
        unsigned.sanitize()
    except RpcRefusal:
        raise
    except Exception as error:  # solders raises ValueError and its own SanitizeError
        raise invalid(f"invalid message: {error}") from None
    outcome = cluster.simulate(unsigned)
    return in_context(cluster, None if outcome.error == "BlockhashNotFound" else outcome.fee)


def get_signature_statuses(cluster: Cluster, params: StatusesParams) -> dict[str, Any]:
    if len(params.signatures) > MAX_SIGNATURES:
        raise invalid(f"Too many inputs provided; max {MAX_SIGNATURES}")
    oldest = 0 if params.config.search_transaction_history else cluster.slots.current - STATUS_CACHE_SLOTS
    signatures = [as_signature(text) for text in params.signatures]
    return in_context(cluster, [as_status(cluster, signature, oldest) for signature in signatures])


def as_status(cluster: Cluster, signature: Signature, oldest: int) -> dict[str, Any] | None:
    """The status of a transaction that landed at slot `oldest` or later; what has landed is final here."""
    found = cluster.store.status(bytes(signature))
    if found is None or found[0] < oldest:
        return None
    slot, error = found
    err = error and msgspec.json.decode(error)
    return {
        "slot": slot,
        "confirmations": None,
        "err": err,
        "status": {"Ok": None} if err is None else {"Err": err},
        "confirmationStatus": "finalized",
    }


def get_transaction(cluster: Cluster, params: TransactionParams) -> dict[str, Any] | None:
    landed = cluster.store.transaction(bytes(as_signature(params.signature)))
    if landed is None:
        return None
    version = VersionedTransaction.from_bytes(landed.raw).version()
    supported = params.config.max_supported_transaction_version
    if version == 0 and supported is None:
        raise RpcRefusal(
            UNSUPPORTED_VERSION,
            "Transaction version (0) is not supported by the requesting client. Please try the request again with "
            'the following configuration parameter: "maxSupportedTransactionVersion": 0',
        )
    transaction, meta = history.as_transaction(landed, params.config.encoding)
    shown = {
        "slot": landed.slot,
        "blockTime": cluster.slots.second(landed.slot),
        "transaction": transaction,
        "meta": meta,
    }
    return shown if supported is None else {**shown, "version": 0 if version == 0 else "legacy"}


def get_signatures_for_address(cluster: Cluster, params: HistoryParams) -> list[dict[str, Any]]:
    """Newest first; a `before` or `until` that never landed bounds nothing."""
    config = params.config
    if not 1 <= config.limit <= MAX_HISTORY:
        raise invalid(f"Invalid limit; max {MAX_HISTORY}")
    found = cluster.store.mentioning(
        bytes(as_address(params.address)),
        before=position(cluster, config.before),
        until=position(cluster, config.until),
        limit=config.limit,
    )
    return [as_entry(cluster, landed) for landed in found]


def position(cluster: Cluster, signature: str | None) -> int | None:
    """Where in history a transaction stands."""
    landed = cluster.store.transaction(bytes(as_signature(signature))) if signature else None
    return landed.id if landed else None


def as_entry(cluster: Cluster, landed: Landed) -> dict[str, Any]:
    """An entry of getSignaturesForAddress."""
    return {
        "signature": base58.encode(landed.signature),
        "slot": landed.slot,
        "err": landed.error and msgspec.json.decode(landed.error),
        "memo": history.memo(landed),
        "blockTime": cluster.slots.second(landed.slot),
        "confirmationStatus": "finalized",
    }


METHODS: Table = {
    "getFeeForMessage": (TextParams, get_fee_for_message),
    "getSignatureStatuses": (StatusesParams, get_signature_statuses),
    "getSignaturesForAddress": (HistoryParams, get_signatures_for_address),
    "getTransaction": (TransactionParams, get_transaction),
    "requestAirdrop": (AirdropParams, request_airdrop),
    "sendTransaction": (SendParams, send_transaction),
    "simulateTransaction": (SimulateParams, simulate_transaction),
}
