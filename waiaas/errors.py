"""Every error of the product, in one tree; the docstring of an exception is its message.

WaiaasError
├── Refusal                 a caller is told so over HTTP: code, status, hint, retryable
│   ├── Invalid 400         ValidationFailed, ChainNotSupported, FeeNotCovered
│   ├── Unauthenticated 401 InvalidToken, TokenExpired, SessionRevoked, InvalidMasterPassword, InvalidSignature, …
│   ├── Forbidden 403       InvalidHost, Denied: PolicyDenied, SpendingLimitExceeded, RateLimitExceeded (429), …
│   ├── NotFound 404        RouteNotFound, AgentNotFound, SessionNotFound, TransactionNotFound, PolicyNotFound
│   ├── MethodNotAllowed 405
│   ├── Conflict 409        AgentSuspended, AlreadyProcessed, IdempotencyConflict, KillSwitchActive
│   ├── Gone 410            AgentTerminated
│   ├── TooLarge 413        BodyTooLarge
│   ├── ReplacementFails 422, WouldFail
│   ├── TooMany 429         RateLimited, MasterPasswordLocked, PendingLimitExceeded
│   ├── ChainFailed 502
│   └── Unavailable 503     AdapterNotAvailable, Reconciling, StorageUnavailable, ShuttingDown, KeystoreLocked
├── ChainError              what a node answered, in the three classes the pipeline knows
│   ├── Permanent           cannot succeed as asked (its code becomes the row's error_code)
│   ├── Transient           unknown: again later, with the same bytes if any are signed
│   ├── Stale               the slot or price is out of date: fetch it anew (only before signing)
│   ├── NodeRefused         a JSON-RPC error, before its chain has put it into one of the three classes
│   └── Lie                 an answer that cannot be true: its endpoint is not asked again
├── RpcRefusal              what an embedded chain answers its callers with
├── StorageError            StaleState, ConstraintFailed, StorageBusy, StorageCorrupt, CorruptRow, MigrationError
├── KeystoreError           WrongPassword, KeystoreCorrupted, KeyUnreadable, KeyUnwritable
└── StartError              ends a command with its exit code: ConfigInvalid, NotInitialised, AlreadyRunning, …
"""

from collections.abc import Iterator, Mapping
from typing import Any


class WaiaasError(Exception):
    """Something unexpected happened."""

    code = "INTERNAL_ERROR"
    hint: str | None = None

    def __init__(self, message: str | None = None, **details: Any) -> None:
        self.message = message or (type(self).__doc__ or "").strip().splitlines()[0]
        self.details: Mapping[str, Any] = details
        super().__init__(self.message)


# --- refusals: what a caller is told -----------------------------------------------------------


class Refusal(WaiaasError):
    """Outcome unknown: something failed inside the daemon."""

    status = 500
    retryable = False
    hint: str | None = "The outcome is unknown: list transactions, or send again with the same Idempotency-Key."
    #: seconds for Retry-After, on every 429 and 503
    retry_after: int | None = None

    def __init__(self, message: str | None = None, *, retry_after: int | None = None, **details: Any) -> None:
        super().__init__(message, **details)
        if retry_after is not None:
            self.retry_after = retry_after
        if self.retry_after is not None:
            self.details = {**self.details, "retryAfter": self.retry_after}


class Invalid(Refusal):
    """The request cannot be understood."""

    status = 400
    code = "ACTION_VALIDATION_FAILED"
    hint: str | None = None


class ValidationFailed(Invalid):
    """The request is not valid."""

    def __init__(self, *issues: tuple[str, str]) -> None:
        self.issues = issues
        super().__init__(issues=[{"path": path, "message": message} for path, message in issues])


class BodyTooSlow(ValidationFailed):
    """The request body did not arrive in time."""


class ChainNotSupported(Invalid):
    """This is not possible on that chain."""

    code = "CHAIN_NOT_SUPPORTED"
    hint = "Choose a network with an endpoint in the [rpc] section of config.toml."


class FeeNotCovered(Invalid):
    """The agent's balance does not cover this."""

    code = "INSUFFICIENT_FOR_FEE"
    hint = "Fund the agent's address; GET /v1/wallet/address tells it."


class Unauthenticated(Refusal):
    """The credential is missing or wrong."""

    status = 401
    code = "INVALID_TOKEN"
    hint = "Ask the operator for a new session."


class InvalidToken(Unauthenticated):
    """The session token is missing or not valid."""

    hint = "Send Authorization: Bearer and a session token; a new one is the operator's to give."


class TokenExpired(Unauthenticated):
    """The session token has expired."""

    code = "TOKEN_EXPIRED"
    hint = "Ask the operator for a new session; renew before expiry."


class SessionRevoked(Unauthenticated):
    """The session was revoked."""

    code = "SESSION_REVOKED"


class InvalidMasterPassword(Unauthenticated):
    """The master password is missing or wrong."""

    code = "INVALID_MASTER_PASSWORD"
    hint = "Send the master password in X-Master-Password; five wrong tries lock for 30 minutes."


class InvalidSignature(Unauthenticated):
    """The owner's signature does not hold for this."""

    code = "INVALID_SIGNATURE"
    hint = "Fetch the text anew, sign it unchanged with the registered owner's key, and send all three owner headers."


class InvalidNonce(Unauthenticated):
    """The text was used before, has expired, or was not made here."""

    code = "INVALID_NONCE"
    hint = "Fetch the text anew: each is good once, for five minutes."


class Forbidden(Refusal):
    """This is not allowed."""

    status = 403
    code = "POLICY_DENIED"
    hint: str | None = None


class InvalidHost(Forbidden):
    """The Host header is not one this daemon answers to."""

    code = "INVALID_HOST"
    hint = "Call 127.0.0.1 or localhost; use a tunnel from elsewhere."


class Denied(Forbidden):
    """A policy or a session constraint refuses this transaction."""


class PolicyDenied(Denied):
    """No policy allows this transaction."""

    code = "POLICY_DENIED"
    hint = "Ask the operator for a SPENDING_LIMIT that covers it; see details.decision."


class SpendingLimitExceeded(Denied):
    """The transaction would pass a spending limit."""

    code = "SPENDING_LIMIT_EXCEEDED"
    hint = "details.decision names the window, the limit, what is used and what would pass."


class SessionLimitExceeded(Denied):
    """A limit of the session is reached."""

    code = "SESSION_LIMIT_EXCEEDED"
    hint = "details.constraint names the limit; revoke a session or ask for a wider one."


class ConstraintViolated(Denied):
    """The session does not allow this."""

    code = "CONSTRAINT_VIOLATED"
    hint = "details.constraint names what the session refuses; ask the operator for a wider one."


class WhitelistDenied(Denied):
    """The counterparty is not on the whitelist."""

    code = "WHITELIST_DENIED"
    hint = "Ask the operator to add the address to the WHITELIST."


class RateLimitExceeded(Denied):
    """The agent has made as many requests as its policy allows."""

    status = 429
    code = "RATE_LIMIT_EXCEEDED"
    retryable = True
    hint = "Wait details.retryAfter seconds; a policy limits how often this agent may ask."
    retry_after = 1


class TokenNotAllowed(Denied):
    """No policy allows this token."""

    code = "TOKEN_NOT_ALLOWED"
    hint = "Ask the operator to add the token to an ALLOWED_TOKENS policy."


class ContractCallDisabled(Denied):
    """No policy allows calling contracts."""

    code = "CONTRACT_CALL_DISABLED"
    hint = "Ask the operator for a CONTRACT_WHITELIST that names the contract."


class ContractNotWhitelisted(Denied):
    """The contract is not on the list."""

    code = "CONTRACT_NOT_WHITELISTED"
    hint = "Ask the operator to add the contract to the CONTRACT_WHITELIST."


class MethodNotWhitelisted(Denied):
    """This method of the contract is not on the list."""

    code = "METHOD_NOT_WHITELISTED"
    hint = "Ask the operator to add the method's selector to the METHOD_WHITELIST."


class ApproveDisabled(Denied):
    """No policy allows letting others spend."""

    code = "APPROVE_DISABLED"
    hint = "Ask the operator for an APPROVED_SPENDERS that names the spender."


class SpenderNotApproved(Denied):
    """The spender is not on the list."""

    code = "SPENDER_NOT_APPROVED"
    hint = "Ask the operator to add the spender to the APPROVED_SPENDERS."


class ApproveAmountExceeded(Denied):
    """The spender would be let spend more than a policy allows."""

    code = "APPROVE_AMOUNT_EXCEEDED"
    hint = "Approve less; details.decision names the limit."


class UnlimitedApproveBlocked(Denied):
    """The spender would be let spend without limit."""

    code = "UNLIMITED_APPROVE_BLOCKED"
    hint = "Approve less, or ask the operator for an APPROVE_AMOUNT_LIMIT that does not block it."


class BatchPolicyViolation(Denied):
    """Items of the batch are refused."""

    code = "BATCH_POLICY_VIOLATION"
    hint = "details.violations names every refused item, its code and the reason."


class WithdrawLockedOnly(Forbidden):
    """Money goes back only to an owner that has proved the key."""

    code = "WITHDRAW_LOCKED_ONLY"
    hint = "The owner must have signed once: approving or rejecting a transaction does it."


class OwnerRemovalBlocked(Forbidden):
    """An owner that has proved the key stays."""

    code = "OWNER_REMOVAL_BLOCKED"
    hint = "The owner can sign a change to another address."


class SessionRenewalMismatch(Forbidden):
    """The token is not the session's present one."""

    code = "SESSION_RENEWAL_MISMATCH"
    hint = "It was renewed before: use the token that the renewal answered with."


class RenewalLimitReached(Forbidden):
    """The session was renewed as often as it may be."""

    code = "RENEWAL_LIMIT_REACHED"
    hint = "Ask the operator for a new session."


class SessionAbsoluteLifetimeExceeded(Forbidden):
    """The session's absolute end has come."""

    code = "SESSION_ABSOLUTE_LIFETIME_EXCEEDED"
    hint = "Ask the operator for a new session."


class RenewalTooEarly(Forbidden):
    """Half of the token's life must have passed before it is renewed."""

    code = "RENEWAL_TOO_EARLY"
    retryable = True
    hint = "Wait details.retryAfter seconds."


class NotFound(Refusal):
    """There is no such thing."""

    status = 404
    code = "ROUTE_NOT_FOUND"
    hint: str | None = None


class RouteNotFound(NotFound):
    """There is no such route."""

    hint = "See GET /doc for the routes."


class AgentNotFound(NotFound):
    """There is no such agent."""

    code = "AGENT_NOT_FOUND"
    hint = "List agents with GET /v1/agents."


class SessionNotFound(NotFound):
    """There is no such session."""

    code = "SESSION_NOT_FOUND"
    hint = "List sessions with GET /v1/sessions, or create one."


class TransactionNotFound(NotFound):
    """There is no such transaction for this agent."""

    code = "TX_NOT_FOUND"
    hint = "List transactions with GET /v1/transactions."


class PolicyNotFound(NotFound):
    """There is no such policy."""

    code = "POLICY_NOT_FOUND"
    hint = "List policies with GET /v1/policies."


class NoOwner(NotFound):
    """The agent has no owner to withdraw to."""

    code = "NO_OWNER"
    hint = "The operator registers an owner with PUT /v1/agents/{id}/owner."


class OwnerNotConnected(NotFound):
    """The agent has no owner."""

    code = "OWNER_NOT_CONNECTED"
    hint = "The operator registers an owner with PUT /v1/agents/{id}/owner."


class ApprovalNotFound(NotFound):
    """This transaction does not wait for the owner."""

    code = "APPROVAL_NOT_FOUND"
    hint = "GET it; its tier and status tell what it waits for."


class MethodNotAllowed(Refusal):
    """This path does not answer to that method."""

    status = 405
    code = "METHOD_NOT_ALLOWED"
    hint = "See the Allow header, or GET /doc."


class Conflict(Refusal):
    """The state of the thing does not allow this."""

    status = 409
    hint: str | None = None


class AgentIsSuspended(Conflict):
    """The agent is suspended."""

    code = "AGENT_SUSPENDED"
    hint = "The operator resumes it with POST /v1/agents/{id}/resume, or 'waiaas agent resume'."


class AlreadyProcessed(Conflict):
    """The transaction has moved on already."""

    code = "TX_ALREADY_PROCESSED"
    hint = "GET it; details.status tells where it stands."


class IdempotencyConflict(Conflict):
    """This Idempotency-Key belongs to another request."""

    code = "IDEMPOTENCY_CONFLICT"
    hint = "A new request needs a new key."


class KillSwitchActive(Conflict):
    """The kill switch is on."""

    code = "KILL_SWITCH_ACTIVE"
    hint = "The operator lifts it with POST /v1/admin/recover, or 'waiaas recover'."


class KillSwitchNotActive(Conflict):
    """The kill switch is off."""

    code = "KILL_SWITCH_NOT_ACTIVE"


class RecoveryWaitRequired(Conflict):
    """The cooldown before recovery is not over."""

    code = "RECOVERY_WAIT_REQUIRED"
    retryable = True
    hint = "Call again from details.eligibleAt on."


class AgentNotSuspended(Conflict):
    """The agent is not suspended."""

    code = "AGENT_NOT_SUSPENDED"


class OwnerAlreadyConnected(Conflict):
    """The agent's owner has proved the key: only the present owner's signature changes it."""

    code = "OWNER_ALREADY_CONNECTED"
    hint = "Let the present owner sign GET /v1/agents/{id}/owner-message and send the owner headers along."


class Gone(Refusal):
    """It existed and has ended."""

    status = 410
    hint: str | None = None


class AgentIsTerminated(Gone):
    """The agent was terminated."""

    code = "AGENT_TERMINATED"


class ApprovalTimeout(Gone):
    """The time to approve is over."""

    code = "APPROVAL_TIMEOUT"
    hint = "Send it again if it is still wanted."


class BodyTooLarge(Refusal):
    """The request body is too large."""

    status = 413
    code = "BODY_TOO_LARGE"
    hint = "The limit is 262144 bytes."


class ReplacementFails(Refusal):
    """The call would fail if it were signed again now."""

    status = 422
    code = "SIMULATION_FAILED"
    hint = "What was signed before may still land; to free its nonce, cancel it on chain."


class WouldFail(Refusal):
    """It would fail on the chain, so there is no fee to tell."""

    status = 422
    code = "SIMULATION_FAILED"
    hint = "details.errorCode says why; POST /v1/transactions/simulate also tells what the limits say."


class TooMany(Refusal):
    """Too many requests."""

    status = 429
    retryable = True
    hint: str | None = None
    retry_after = 1


class RateLimited(TooMany):
    """Too many requests in the last minute."""

    code = "RATE_LIMITED"
    hint = "Wait details.retryAfter seconds; details.bucket tells which limit."


class MasterPasswordLocked(TooMany):
    """Too many wrong master passwords: locked."""

    code = "MASTER_PASSWORD_LOCKED"
    hint = "Wait details.retryAfter seconds."
    retryable = False


class RotationTooRecent(TooMany):
    """The secret was rotated less than five minutes ago."""

    code = "ROTATION_TOO_RECENT"
    retryable = False
    hint = "Wait details.retryAfter seconds: tokens of the secret before are still good for so long."


class PendingLimitExceeded(TooMany):
    """Too many queued transactions for this agent."""

    code = "PENDING_LIMIT_EXCEEDED"
    hint = "Let queued transactions end, or cancel some."
    retry_after = 5


class ChainFailed(Refusal):
    """The node failed to answer."""

    status = 502
    code = "CHAIN_ERROR"
    retryable = True
    hint = "The node failed; try again."


class Unavailable(Refusal):
    """Not available right now."""

    status = 503
    retryable = True
    hint: str | None = None
    retry_after = 5


class AdapterNotAvailable(Unavailable):
    """No healthy endpoint for this network."""

    code = "ADAPTER_NOT_AVAILABLE"
    hint = "See checks.networks of GET /health and the [rpc] section of config.toml."
    retry_after = 10


class Reconciling(Unavailable):
    """Start-up recovery is still looking at this network's transactions."""

    code = "RECONCILING"
    hint = "Watch GET /health."
    retry_after = 2


class StorageUnavailable(Unavailable):
    """The database cannot be written right now; nothing was done."""

    code = "STORAGE_UNAVAILABLE"
    hint = "Free disk space, or close the program that holds the database; then try again."


class ShuttingDown(Unavailable):
    """The daemon is stopping."""

    code = "SHUTTING_DOWN"
    retryable = False
    hint = "Wait for the restart."
    retry_after = 30


class KeystoreLocked(Unavailable):
    """The key of this agent cannot be used."""

    code = "KEYSTORE_LOCKED"
    hint = "This agent's key file cannot be read; restore it from a backup."
    retry_after = 60


# --- what a node answered ----------------------------------------------------------------------


class ChainError(WaiaasError):
    """The chain refused."""


class Permanent(ChainError):
    """This cannot succeed as asked."""


class InsufficientBalance(Permanent):
    """The balance does not cover the amount."""

    code = "INSUFFICIENT_BALANCE"


class InsufficientTokenBalance(Permanent):
    """The token balance does not cover the amount."""

    code = "INSUFFICIENT_TOKEN_BALANCE"


class TokenMismatch(Permanent):
    """The token is not what the request takes it for, or not one that is sent here."""

    code = "TOKEN_MISMATCH"


class InsufficientForFee(Permanent):
    """The balance does not cover the fee."""

    code = "INSUFFICIENT_FOR_FEE"


class SimulationFailed(Permanent):
    """The chain's simulation refuses the transaction."""

    code = "SIMULATION_FAILED"


class TransactionTooLarge(Permanent):
    """The signed transaction would be too large for the chain."""

    code = "TRANSACTION_TOO_LARGE"


class SignedBytesMismatch(Permanent):
    """The signed bytes do not say what was asked for; they were thrown away."""

    code = "SIGNED_BYTES_MISMATCH"


class MemoToContract(Permanent):
    """The recipient is a contract: there a memo would be a call."""

    code = "MEMO_TO_CONTRACT"


class ChainRejected(Permanent):
    """Every endpoint refuses the signed bytes for good."""

    code = "CHAIN_REJECTED"


class Transient(ChainError):
    """The node gave no usable answer; nothing is known."""

    code = "CHAIN_ERROR"
    #: what a transaction that is tried again later is shown to wait for
    waiting = "CHAIN_UNREACHABLE"


class NoEndpoint(Transient):
    """No endpoint of this network is healthy."""

    code = "ADAPTER_NOT_AVAILABLE"


class NonceLaneBusy(Transient):
    """A batch of the agent is under way: only its items take nonces."""

    waiting = "NONCE_LANE"


class FeeAboveCap(Transient):
    """Gas costs more than the configured ceiling."""

    code = "FEE_CAP"
    waiting = "FEE_CAP"


class FeeAboveApproved(Transient):
    """The fee is now above what the owner signed."""

    code = "FEE_BUDGET"
    waiting = "FEE_BUDGET"


class Stale(ChainError):
    """The slot or price is out of date."""


class NodeRefused(ChainError):
    """The node refused the call."""

    def __init__(self, number: int, text: str, data: Any = None) -> None:
        self.number = number
        self.data = data
        #: what each endpoint said, if every one of them refused
        self.by_all: tuple[NodeRefused, ...] = ()
        super().__init__(f"{text[:256]} ({number})")


class Lie(ChainError):
    """The node told something that cannot be true."""


class RpcRefusal(WaiaasError):
    """The embedded chain refuses the call."""

    def __init__(self, number: int, message: str, data: Any = None) -> None:
        self.number = number
        self.data = data
        super().__init__(message)


# --- storage -----------------------------------------------------------------------------------


class StorageError(WaiaasError):
    """The database refused."""


class StaleState(StorageError):
    """The state changed before the commit: nothing was written."""


class ConstraintFailed(StorageError):
    """A constraint of the schema refuses this: nothing was written."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"{type(self).__doc__} ({name})")


class StorageBusy(StorageError):
    """Another program holds the database: nothing was written."""


class StorageFull(StorageError):
    """The disk is full, read-only or failing: nothing was written."""


class StorageCorrupt(StorageError):
    """The database file is damaged; it is kept as it is."""

    hint = "Restore the newest backup."


class StorageClosed(StorageError):
    """The database is closed: nothing was written."""


class CorruptRow(StorageError):
    """A stored value does not decode."""

    def __init__(self, table: str, id: str, column: str) -> None:
        super().__init__(f"{table} {id}: column {column} does not decode")


class MigrationError(StorageError):
    """A migration cannot be applied; the database is as it was."""

    code = "MIGRATION_FAILED"


# --- keystore ----------------------------------------------------------------------------------


class KeystoreError(WaiaasError):
    """The keystore refused."""

    code = "KEYSTORE_ERROR"


class WrongPassword(KeystoreError):
    """The master password is wrong."""

    code = "INVALID_MASTER_PASSWORD"
    hint = "Nothing was changed; try again with the password chosen at 'waiaas init'."


class KeystoreCorrupted(KeystoreError):
    """A keystore file is damaged."""

    code = "KEYSTORE_CORRUPTED"
    hint = "The file was left as it is; restore it from a backup."


class KeyUnreadable(KeystoreError):
    """This agent has no usable key."""

    code = "KEYSTORE_LOCKED"


class KeyUnwritable(KeystoreError):
    """A key file cannot be written now; nothing was done."""


# --- start and command line --------------------------------------------------------------------


class StartError(WaiaasError):
    """The command cannot go on."""

    code = "START_FAILED"
    exit_code = 1


class ConfigInvalid(StartError):
    """config.toml or the environment holds something that cannot be used."""

    code = "CONFIG_LOAD_ERROR"


class DirectoryUnsafe(StartError):
    """The data directory is not safe to use."""

    code = "DATA_DIRECTORY_UNSAFE"


class ClockWentBack(StartError):
    """The wall clock is behind what the database last saw."""

    code = "CLOCK_WENT_BACK"
    hint = "Set the clock, or start once with --accept-clock."


class PortTaken(StartError):
    """The port is taken by another program."""

    code = "PORT_TAKEN"
    hint = "Choose another with --port or daemon.port in config.toml."


class AlreadyRunning(StartError):
    """A daemon is running on this data directory."""

    code = "ALREADY_RUNNING"
    exit_code = 2


class LocalnetInUse(StartError):
    """Transactions on the embedded chains have not ended yet."""

    code = "LOCALNET_IN_USE"
    hint = "Start the daemon and let them end, or cancel them: signed bytes can only be proven dead on their own chain."


class LocalnetUnusable(StartError):
    """The state of the embedded chain cannot be used."""

    code = "LOCALNET_UNUSABLE"
    hint = "Stop every program that uses it; if it is damaged, delete it with 'waiaas localnet reset --yes'."


class ExtraMissing(StartError):
    """A package of an optional part is not installed."""

    code = "EXTRA_MISSING"
    hint = "Install WAIaaS with its extra: pip install 'waiaas[localnet]'."


class NotInitialised(StartError):
    """There is no wallet in this data directory."""

    code = "NOT_INITIALISED"
    exit_code = 3
    hint = "Run 'waiaas init' first, or name another directory with --data-dir."


class NotRunning(StartError):
    """No daemon is running on this data directory."""

    code = "NOT_RUNNING"
    exit_code = 3
    hint = "Start it with 'waiaas serve'."


class PasswordMissing(StartError):
    """No master password was given."""

    code = "PASSWORD_MISSING"
    exit_code = 4
    hint = "Give it with --password-file, --password-stdin, WAIAAS_MASTER_PASSWORD, or at the prompt."


class AuthenticationFailed(StartError):
    """The master password was refused."""

    code = "INVALID_MASTER_PASSWORD"
    exit_code = 4


class PasswordRefused(StartError):
    """A master password has 12 characters at least and 128 bytes at most."""

    code = "PASSWORD_REFUSED"


class TokenMissing(StartError):
    """No session token was given."""

    code = "TOKEN_MISSING"
    exit_code = 4
    hint = "Give it with --token or WAIAAS_SESSION_TOKEN; 'waiaas session create' makes one."


class UsageWrong(StartError):
    """The command line cannot be understood."""

    code = "USAGE"


class DaemonRefused(StartError):
    """The daemon refused; code, hint and details are its own."""

    def __init__(self, message: str, *, code: str, hint: str | None, exit_code: int, **details: Any) -> None:
        super().__init__(message, **details)
        self.code, self.hint, self.exit_code = code, hint, exit_code


class DaemonSilent(StartError):
    """The daemon gave no answer that can be used."""

    code = "DAEMON_SILENT"


def tree(root: type[WaiaasError] = WaiaasError) -> Iterator[type[WaiaasError]]:
    """Every error class, parents first."""
    yield root
    for child in root.__subclasses__():
        yield from tree(child)


def denial(code: str) -> type[Denied]:
    """The refusal class of a denial code stored in a row; KeyError for a code no policy gives."""
    return {kind.code: kind for kind in tree(Denied) if issubclass(kind, Denied) and kind is not Denied}[code]
