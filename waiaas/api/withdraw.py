"""Withdrawals: everything that an agent holds, to its owner."""

from typing import Literal

from structlog.contextvars import bind_contextvars

from waiaas.api.call import Call, Reply, encode
from waiaas.api.chain import chain_of, reading_chain
from waiaas.api.decode import Nothing
from waiaas.api.transactions import idempotency_key
from waiaas.api.wallet import named_tokens
from waiaas.pipeline.requests import withdraw as pipeline
from waiaas.pipeline.requests.withdraw import Withdrawal
from waiaas.wire.withdraw import WithdrawRequest, WithdrawResponse, skipped, withdrawn


async def withdraw(call: Call[Nothing, WithdrawRequest]) -> WithdrawResponse | Reply:
    """Move what the agent holds to the registered owner, who must have signed once; a stopped agent's too."""
    core = call.core
    agent = await core.agents.get(call.id)
    key = idempotency_key(call.headers.get(b"idempotency-key"))
    chain_of(core, agent)
    tokens = await named_tokens(core, agent)
    async with reading_chain():
        done = await pipeline.withdraw(core, agent.id, call.body.scope, tokens=tokens, key=key, actor=call.caller.actor)
    bind_contextvars(tx_id=done.rows[-1].id)
    answer = _answer(done, call.body.scope)
    return Reply(200, encode(answer), [(b"idempotent-replayed", b"true")]) if done.replayed else answer


def _answer(done: Withdrawal, scope: Literal["all", "native"]) -> WithdrawResponse:
    rows, left = [withdrawn(row) for row in done.rows], [skipped(one) for one in done.left]
    return WithdrawResponse(done.agent_id, done.to, scope, rows, left)
