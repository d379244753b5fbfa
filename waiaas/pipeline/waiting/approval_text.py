"""What an owner is shown before signing: every effect in words, the highest fee, and the digest that binds both."""

import asyncio

import msgspec
import structlog

from waiaas.chains.base import Prepared
from waiaas.domain.agent import Agent
from waiaas.domain.approval import Approval, approval_digest, read_undeclared, written_undeclared
from waiaas.domain.owner import STATEMENT, OwnerAction
from waiaas.domain.transaction import Status, Transaction
from waiaas.domain.wording import MOST_ITEMS, Worded, money, summary, worded, worded_undeclared
from waiaas.errors import AlreadyProcessed, ChainError, ChainNotSupported, StaleState
from waiaas.pipeline import family
from waiaas.pipeline.core import Core
from waiaas.pipeline.signing.execute import reserved_fee, stored_request
from waiaas.pipeline.signing.gate import Stopped, pass_gate
from waiaas.pipeline.waiting.approve import find_open, set_aside, subject
from waiaas.repositories import approvals, ledger, transactions

#: seconds that a node has to say what exactly it will cost, before the text is made without it
CHAIN_SECONDS = 10
#: how often a higher fee is set aside anew when the ledger changes under it
ROUNDS = 5
FURTHER = "A simulation of it shows more than it says:"
RESETS = "What may be spent there now is set to 0 first."

log = structlog.get_logger()


class Shown(msgspec.Struct, frozen=True):
    """What an owner is asked about, as it stands now; `digest` binds a signature to it."""

    tx: Transaction
    agent: Agent
    approval: Approval
    #: what the request declares, then what a simulation saw leave besides
    words: tuple[Worded, ...]
    statement: str
    digest: str


async def show(core: Core, tx_id: str, action: OwnerAction) -> Shown:
    """What the text says; before a yes the chain is asked what it costs and what leaves, and a higher fee set aside.

    TransactionNotFound, OwnerNotConnected, Reconciling, ApprovalNotFound, AlreadyProcessed, ApprovalTimeout.
    """
    tx, agent = await subject(core, tx_id)
    await find_open(core, tx)
    try:
        request = stored_request(tx)
        notes = await _look(core, tx, agent) if action is OwnerAction.APPROVE else []
    except Stopped as stop:
        await family.end(core, tx, Status.CANCELLED, stop.code, stop.message)
        raise AlreadyProcessed(stop.message, status=Status.CANCELLED, reason=stop.code) from None
    approval, max_fee = await find_open(core, tx), await set_aside(core, tx)
    bound = approval_digest(tx, max_fee, approval.undeclared)
    words = worded(request, tx.network, agent.public_key)
    further = worded_undeclared(read_undeclared(approval.undeclared), tx.network)
    statement = " ".join(
        (
            f"{action.capitalize()} transaction {tx.id} of agent {agent.id}: "
            f"{summary(words, tx.network)} on {tx.network}.",
            *([f"{FURTHER} {summary(further, tx.network)}."] if further else []),
            *notes,
            f"Fee at most {money(max_fee, tx.network)}.",
            f"Digest {bound}.",
        )
    )
    return Shown(tx, agent, approval, (*words, *further), statement, bound)


async def _look(core: Core, tx: Transaction, agent: Agent) -> list[str]:
    """Set aside what the chain now says it may cost, if that is more, and keep what it sees leave undeclared.

    What it says besides, for people. Where a node is silent, refuses, or a limit does not allow more, what is known
    stays, and is what is shown.
    """
    found: dict[str, Prepared] = {}
    try:
        async with asyncio.timeout(CHAIN_SECONDS):
            for part in await _parts(core, tx):
                chain = core.chains.chain(part.network)
                found[part.id] = await chain.prepare(stored_request(part), agent.public_key)
    except (ChainError, ChainNotSupported, TimeoutError) as error:
        log.info("exact_fee_unknown", tx_id=tx.id, error=str(error))
    if found:
        seen = [effect for prepared in found.values() for effect in prepared.undeclared]
        await core.db.commit(approvals.see(tx.id, written_undeclared(seen)))
    await _raise_fee(core, tx, {part: _bound(prepared) for part, prepared in found.items()})
    notes = [note for prepared in found.values() for note in prepared.notes if STATEMENT.fullmatch(note)]
    return [*notes[:MOST_ITEMS], *([RESETS] if any(prepared.needs_reset for prepared in found.values()) else [])]


def _bound(prepared: Prepared) -> int:
    """With the reset that must land first, an approval pays twice."""
    return prepared.max_fee * 2 if prepared.needs_reset else prepared.max_fee


async def _parts(core: Core, tx: Transaction) -> list[Transaction]:
    """What is signed by itself: the items of an EVM batch, or the transaction."""
    return await transactions.children(core.db, tx.id) or [tx]


async def _raise_fee(core: Core, tx: Transaction, bounds: dict[str, int]) -> None:
    async with core.lock(tx.agent_id):
        for _ in range(ROUNDS):
            try:
                await _raise_once(core, tx, bounds)
            except Stopped as stop:
                log.info("fee_not_raised", tx_id=tx.id, code=stop.code, reason=stop.message)
            except StaleState:
                core.books.forget(tx.agent_id)
                continue
            return


async def _raise_once(core: Core, tx: Transaction, bounds: dict[str, int]) -> None:
    """Under the ledger's guard and the caps; Stopped where those say no."""
    version = (await core.books.book(tx.agent_id)).version
    parts = {part.id: await reserved_fee(core, part) for part in await _parts(core, tx)}
    raised = {part: fee for part, fee in bounds.items() if fee > parts[part]}
    if not raised:
        return
    gate = await pass_gate(core, tx, stored_request(tx), fee=sum((parts | raised).values()))
    await core.db.commit(
        ledger.raise_version(tx.agent_id, was=version),
        transactions.is_still(tx.id, Status.QUEUED),
        *gate.guards(),
        *(ledger.set_fee(part, fee) for part, fee in raised.items()),
    )
