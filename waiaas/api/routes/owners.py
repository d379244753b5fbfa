"""The routes of owners, and of what they decide."""

from waiaas.api import approvals, owners
from waiaas.api.guards import anyone, operator, owner
from waiaas.api.routes.refusals import DENIALS, Refusals
from waiaas.api.routing import Route, route
from waiaas.errors import (
    AgentIsSuspended,
    AgentIsTerminated,
    AgentNotFound,
    AlreadyProcessed,
    ApprovalNotFound,
    ApprovalTimeout,
    InvalidNonce,
    InvalidSignature,
    OwnerAlreadyConnected,
    OwnerNotConnected,
    OwnerRemovalBlocked,
    Reconciling,
    TransactionNotFound,
)
from waiaas.wire.owners import (
    AgentOwnerResponse,
    ApprovalMessageQuery,
    OwnerMessageQuery,
    OwnerMessageResponse,
    SetOwnerRequest,
    TxApproveResponse,
    TxRejectResponse,
)

#: of what an owner may decide
DECISION: Refusals = (
    TransactionNotFound,
    OwnerNotConnected,
    ApprovalNotFound,
    AlreadyProcessed,
    ApprovalTimeout,
    Reconciling,
)

ROUTES: tuple[Route, ...] = (
    route(
        "PUT",
        "/v1/agents/{id}/owner",
        owners.register,
        guard=operator,
        tag="Owners",
        body=SetOwnerRequest,
        answer=AgentOwnerResponse,
        errors=(AgentNotFound, OwnerAlreadyConnected, AgentIsTerminated, InvalidSignature, InvalidNonce),
    ),
    route(
        "DELETE",
        "/v1/agents/{id}/owner",
        owners.remove,
        guard=operator,
        tag="Owners",
        answer=AgentOwnerResponse,
        errors=(AgentNotFound, OwnerNotConnected, OwnerRemovalBlocked),
    ),
    route(
        "GET",
        "/v1/agents/{id}/owner-message",
        owners.message,
        guard=operator,
        tag="Owners",
        query=OwnerMessageQuery,
        answer=OwnerMessageResponse,
        errors=(AgentNotFound, OwnerNotConnected),
    ),
    route(
        "GET",
        "/v1/transactions/{id}/approval-message",
        approvals.message,
        guard=anyone,
        tag="Transactions",
        query=ApprovalMessageQuery,
        answer=OwnerMessageResponse,
        errors=DECISION,
    ),
    route(
        "POST",
        "/v1/transactions/{id}/approve",
        approvals.approve,
        guard=owner,
        tag="Transactions",
        answer=TxApproveResponse,
        after_recovery=True,
        errors=(*DECISION, *DENIALS, AgentIsSuspended, AgentIsTerminated),
    ),
    route(
        "POST",
        "/v1/transactions/{id}/reject",
        approvals.reject,
        guard=owner,
        tag="Transactions",
        answer=TxRejectResponse,
        after_recovery=True,
        errors=DECISION,
    ),
)
