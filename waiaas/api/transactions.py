"""Transactions: send, list, look at, wait for, cancel, replace."""

import re
from typing import Any

import msgspec
from structlog.contextvars import bind_contextvars

from waiaas.api.call import AnyCall, Call, Reply, encode
from waiaas.api.chain import chain_of
from waiaas.api.decode import Nothing
from waiaas.api.replace import asked_fees, replaced
from waiaas.domain.agent import Agent
from waiaas.domain.chain import Chain
from waiaas.domain.parse import Ask, parse_ask
from waiaas.domain.transaction import FINAL, Transaction, TransactionType, View
from waiaas.errors import ValidationFailed
from waiaas.pipeline.core import Core
from waiaas.pipeline.requests.submit import submit
from waiaas.pipeline.waiting import cancel as taking_back
from waiaas.repositories import attempts, transactions, unfinished
from waiaas.wire.attempts import AttemptListResponse, TxReplaceResponse, attempt_item
from waiaas.wire.requests import CancelRequest, ReplaceRequest
from waiaas.wire.transactions import (
    TxCancelResponse,
    TxDetailResponse,
    TxListQuery,
    TxListResponse,
    TxPendingListResponse,
    TxPendingQuery,
    TxQuery,
    TxSendResponse,
    WaitingFor,
    tx_detail,
    tx_response,
    tx_sent,
)

IDEMPOTENCY_KEY = re.compile(rb"[\x21-\x7e]{1,255}")
#: types that have children on EVM: the items of a batch, the reset before an approval
PARENTS = (TransactionType.BATCH, TransactionType.APPROVE)


async def send(call: Call[Nothing, dict[str, Any]]) -> TxSendResponse | Reply:
    """Ask for a transaction: accepted with its money set aside, refused by a limit, or answered as it was before."""
    core, session = call.core, call.session
    agent = await core.agents.get(session.agent_id)
    key = idempotency_key(call.headers.get(b"idempotency-key"))
    ask = asked(core, agent, call.body)
    accepted = await submit(
        core,
        agent,
        session,
        ask.request,
        key=key,
        distinct=ask.distinct,
        provenance=provenance_of(ask),
        actor=call.caller.actor,
    )
    bind_contextvars(tx_id=accepted.tx.id)
    until = accepted.approval_expires_at
    sent = tx_sent(accepted.tx, approval_expires_at=until, duplicate=accepted.duplicate)
    if accepted.replayed:
        return Reply(200, encode(sent), [(b"idempotent-replayed", b"true")])
    return Reply(200, encode(sent)) if accepted.duplicate else sent


def asked(core: Core, agent: Agent, body: dict[str, Any]) -> Ask:
    """What a body asks of this agent; ValidationFailed, also for a network that is not the agent's."""
    ask = parse_ask(body, agent.chain, agent.public_key, chain_of(core, agent).address)
    if body.get("network") not in (None, agent.network):
        raise ValidationFailed(("network", f"must be {agent.network}, the network of this agent"))
    return ask


def idempotency_key(header: bytes | None) -> str | None:
    """The key, None where there is none; ValidationFailed at `Idempotency-Key`."""
    if header is None:
        return None
    if not IDEMPOTENCY_KEY.fullmatch(header):
        raise ValidationFailed(("Idempotency-Key", "must have 1 to 255 visible ASCII characters"))
    return header.decode()


def provenance_of(ask: Ask) -> dict[str, Any] | None:
    """What the caller tells of where the request came from, to be stored; ValidationFailed for no conversation."""
    if ask.provenance is None:
        return None
    if ask.provenance.conversation_id is not None:
        raise ValidationFailed(("provenance.conversationId", "is no conversation of this agent"))
    told: dict[str, Any] = msgspec.to_builtins(ask.provenance)
    return told


async def page(call: Call[TxListQuery, None]) -> TxListResponse:
    """Transactions, newest first; a session sees its agent's."""
    query = call.query
    found = await transactions.page(
        call.core.db,
        limit=query.limit + 1,
        agent_id=call.caller.agent_id or query.agent_id,
        cursor=query.cursor,
        status=query.status,
        type=query.type,
        tier=query.tier,
        since=query.since,
        until=query.until,
    )
    items = [tx_response(view) for view in found[: query.limit]]
    more = len(found) > query.limit
    return TxListResponse(items, cursor=items[-1].id if more else None, has_more=more)


async def pending(call: Call[TxPendingQuery, None]) -> TxPendingListResponse:
    """What is PENDING or QUEUED, newest first."""
    found = await unfinished.open_views(call.core.db, call.caller.agent_id or call.query.agent_id)
    return TxPendingListResponse([tx_response(view) for view in found])


async def get(call: Call[TxQuery, None]) -> TxDetailResponse:
    """A transaction with its decision; with `wait` the answer is held until its status is final or time is up."""
    view = await (_awaited(call, call.query.wait) if call.query.wait else _view(call))
    return tx_detail(
        view, waiting=_waiting(call), children=await _children(call, view.tx), show_lists=call.caller.is_operator
    )


def _waiting(call: AnyCall) -> WaitingFor | None:
    found = call.core.waiting.get(call.id)
    return WaitingFor(found.reason, found.since, found.next_try_at, found.tries) if found else None


async def _children(call: AnyCall, tx: Transaction) -> list[Transaction]:
    if tx.chain is not Chain.ETHEREUM or tx.type not in PARENTS:
        return []
    return await transactions.children(call.core.db, tx.id)


async def _view(call: AnyCall) -> View:
    return await transactions.view(call.core.db, call.id, call.caller.agent_id)


async def _awaited(call: AnyCall, seconds: int) -> View:
    watch, clock = call.core.watch, call.core.clock
    until = clock.monotonic() + seconds
    event = watch.listen(call.id)
    if event is None:
        return await _view(call)
    try:
        view = await _view(call)
        while view.tx.status not in FINAL and await watch.moved(call.id, event, until - clock.monotonic()):
            view = await _view(call)
        return view
    finally:
        watch.leave(call.id, event)


async def list_attempts(call: AnyCall) -> AttemptListResponse:
    """What was signed for a transaction, and what is known of it."""
    await _view(call)
    return AttemptListResponse([attempt_item(one) for one in await attempts.of_transaction(call.core.db, call.id)])


async def cancel(call: Call[Nothing, CancelRequest]) -> TxCancelResponse:
    """Take back what is not signed yet; with `onChain` race what is signed with a transfer of nothing."""
    if call.body.on_chain:
        attempt = await replaced(call, cancel=True, fees=asked_fees(call.body))
        return TxCancelResponse(call.id, "SUBMITTED", attempt_item(attempt))
    cancelled = await taking_back.cancel(call.core, call.id, call.caller.agent_id, call.caller.actor)
    return TxCancelResponse(cancelled.id, "CANCELLED")


async def speed_up(call: Call[Nothing, ReplaceRequest]) -> TxReplaceResponse:
    """Sign the same call again with the same nonce and a dearer fee; one of them lands."""
    attempt = await replaced(call, cancel=False, fees=asked_fees(call.body))
    return TxReplaceResponse(call.id, "SUBMITTED", attempt_item(attempt))
