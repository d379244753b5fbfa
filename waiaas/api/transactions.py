"""Transactions: send, list, look at, wait for, cancel."""

import re
from typing import Any

import msgspec

from waiaas.api.call import AnyCall, Call, Reply, encode
from waiaas.api.chain import chain_of
from waiaas.api.check import Issues
from waiaas.api.decode import Nothing
from waiaas.chains.base import Chain
from waiaas.domain.agent import Agent
from waiaas.domain.money import LARGEST, parse_amount
from waiaas.domain.request import Transfer
from waiaas.domain.transaction import FINAL, TransactionType, View
from waiaas.errors import ValidationFailed
from waiaas.pipeline import submit as pipeline
from waiaas.repositories import transactions
from waiaas.wire.transactions import (
    SendBody,
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
LONGEST_MEMO = 256
LONGEST_MEMO_BYTES = 512


async def send(call: Call[Nothing, SendBody]) -> TxSendResponse | Reply:
    """Ask for a transfer: accepted with its money set aside, refused by a limit, or answered again to the same key."""
    core, session = call.core, call.session
    agent = await core.agents.get(session.agent_id)
    key = _idempotency_key(call.headers.get(b"idempotency-key"))
    request = transfer(call.body, agent, chain_of(core, agent))
    accepted = await pipeline.submit(
        core, agent, session, request, key=key, provenance=_provenance(call.body), actor=call.caller.actor
    )
    if accepted.replayed:
        return Reply(200, encode(tx_sent(accepted.tx)), [(b"idempotent-replayed", b"true")])
    return tx_sent(accepted.tx)


def transfer(body: SendBody, agent: Agent, chain: Chain) -> Transfer:
    """The canonical request; ValidationFailed names every issue."""
    issues = Issues()
    if body.type not in (None, TransactionType.TRANSFER):
        issues.add("type", _type_issue(str(body.type)))
        issues.settle()
    to = issues.given("to", body.to, chain.address)
    amount = issues.given("amount", body.amount, lambda text: parse_amount(text, LARGEST[agent.chain]))
    memo = issues.read("memo", body.memo, checked_memo) if body.memo else None
    if body.provenance is not None and body.provenance.conversation_id is not None:
        issues.add("provenance.conversationId", "is no conversation of this agent")
    issues.settle()
    assert to is not None
    return Transfer(to=to, amount=str(amount), memo=memo)


def _type_issue(type: str) -> str:
    if type in TransactionType.__members__:
        return f"{type} is not available in this version, which knows TRANSFER"
    return f"must be one of {', '.join(TransactionType)}"


def checked_memo(text: str) -> str:
    """A memo that fits; ValueError if not."""
    if len(text) > LONGEST_MEMO or len(text.encode()) > LONGEST_MEMO_BYTES:
        raise ValueError(f"must have at most {LONGEST_MEMO} characters and {LONGEST_MEMO_BYTES} bytes in UTF-8")
    return text


def _idempotency_key(header: bytes | None) -> str | None:
    if header is None:
        return None
    if not IDEMPOTENCY_KEY.fullmatch(header):
        raise ValidationFailed(("Idempotency-Key", "must have 1 to 255 visible ASCII characters"))
    return header.decode()


def _provenance(body: SendBody) -> dict[str, Any] | None:
    return msgspec.to_builtins(body.provenance) if body.provenance is not None else None


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
    found = await transactions.open_views(call.core.db, call.caller.agent_id or call.query.agent_id)
    return TxPendingListResponse([tx_response(view) for view in found])


async def get(call: Call[TxQuery, None]) -> TxDetailResponse:
    """A transaction with its decision; with `wait` the answer is held until its status is final or time is up."""
    view = await (_awaited(call, call.query.wait) if call.query.wait else _view(call))
    waiting = call.core.waiting.get(call.id)
    return tx_detail(
        view,
        waiting=WaitingFor(waiting.reason, waiting.since, waiting.next_try_at) if waiting else None,
        show_lists=call.caller.is_operator,
    )


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


async def cancel(call: AnyCall) -> TxCancelResponse:
    """Take back what is not signed yet."""
    cancelled = await pipeline.cancel(call.core, call.id, call.caller.agent_id, call.caller.actor)
    return TxCancelResponse(cancelled.id, "CANCELLED")
