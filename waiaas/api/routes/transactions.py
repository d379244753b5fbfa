"""The routes of transactions: sent, tried, looked at, replaced and cancelled."""

from typing import Any

from waiaas.api import simulate, transactions
from waiaas.api.guards import operator, session
from waiaas.api.routes.refusals import DENIALS, NODE, Refusals
from waiaas.api.routing import Route, route
from waiaas.errors import (
    AgentIsSuspended,
    AgentIsTerminated,
    AgentNotFound,
    AlreadyProcessed,
    ChainNotSupported,
    FeeNotCovered,
    IdempotencyConflict,
    KeystoreLocked,
    PendingLimitExceeded,
    Reconciling,
    ReplacementFails,
    TransactionNotFound,
    WouldFail,
)
from waiaas.wire.attempts import AttemptListResponse, TxReplaceResponse
from waiaas.wire.requests import (
    ApproveRequest,
    BatchRequest,
    CancelRequest,
    ContractCallRequest,
    ReplaceRequest,
    SendTransactionRequest,
    TokenTransferRequest,
    TransferRequest,
)
from waiaas.wire.simulate import Fee, SimulateQuery, TxSimulateResponse
from waiaas.wire.transactions import (
    TxCancelResponse,
    TxDetailResponse,
    TxListQuery,
    TxListResponse,
    TxPendingListResponse,
    TxPendingQuery,
    TxQuery,
    TxSendResponse,
)

STOPPED: Refusals = (AgentIsSuspended, AgentIsTerminated, KeystoreLocked, Reconciling)
SEND: Refusals = (*STOPPED, *DENIALS, IdempotencyConflict, PendingLimitExceeded)
#: what a send is refused with before it is judged, and all that a preview is
PREVIEW: Refusals = (
    AgentNotFound,
    AgentIsSuspended,
    AgentIsTerminated,
    KeystoreLocked,
    Reconciling,
    PendingLimitExceeded,
)
REPLACE: Refusals = (
    *STOPPED,
    *DENIALS,
    TransactionNotFound,
    AlreadyProcessed,
    ChainNotSupported,
    FeeNotCovered,
    ReplacementFails,
    *NODE,
)
SEND_BODIES = (
    SendTransactionRequest,
    TransferRequest,
    TokenTransferRequest,
    ContractCallRequest,
    ApproveRequest,
    BatchRequest,
)

ROUTES: tuple[Route, ...] = (
    route(
        "POST",
        "/v1/transactions/send",
        transactions.send,
        guard=session,
        tag="Transactions",
        body=dict[str, Any],
        bodies=SEND_BODIES,
        answer=TxSendResponse,
        status=201,
        also=(200,),
        is_send=True,
        after_recovery=True,
        errors=SEND,
    ),
    route(
        "POST",
        "/v1/transactions/simulate",
        simulate.preview,
        guard=session | operator,
        tag="Transactions",
        query=SimulateQuery,
        body=dict[str, Any],
        bodies=SEND_BODIES,
        answer=TxSimulateResponse,
        errors=PREVIEW,
    ),
    route(
        "POST",
        "/v1/transactions/estimate-fee",
        simulate.estimate,
        guard=session | operator,
        tag="Transactions",
        query=SimulateQuery,
        body=dict[str, Any],
        bodies=SEND_BODIES,
        answer=Fee,
        errors=(AgentNotFound, WouldFail, *NODE),
    ),
    route(
        "GET",
        "/v1/transactions",
        transactions.page,
        guard=session | operator,
        tag="Transactions",
        query=TxListQuery,
        answer=TxListResponse,
    ),
    route(
        "GET",
        "/v1/transactions/pending",
        transactions.pending,
        guard=session | operator,
        tag="Transactions",
        query=TxPendingQuery,
        answer=TxPendingListResponse,
    ),
    route(
        "GET",
        "/v1/transactions/{id}",
        transactions.get,
        guard=session | operator,
        tag="Transactions",
        query=TxQuery,
        answer=TxDetailResponse,
        errors=(TransactionNotFound,),
    ),
    route(
        "GET",
        "/v1/transactions/{id}/attempts",
        transactions.list_attempts,
        guard=session | operator,
        tag="Transactions",
        answer=AttemptListResponse,
        errors=(TransactionNotFound,),
    ),
    route(
        "POST",
        "/v1/transactions/{id}/speed-up",
        transactions.speed_up,
        guard=session | operator,
        tag="Transactions",
        body=ReplaceRequest,
        answer=TxReplaceResponse,
        after_recovery=True,
        errors=REPLACE,
    ),
    route(
        "POST",
        "/v1/transactions/{id}/cancel",
        transactions.cancel,
        guard=session | operator,
        tag="Transactions",
        body=CancelRequest,
        answer=TxCancelResponse,
        after_recovery=True,
        errors=REPLACE,
    ),
)
