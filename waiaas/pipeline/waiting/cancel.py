"""A caller takes back what is not signed yet."""

from waiaas.domain.event import Actor
from waiaas.domain.transaction import Reason, Status, Transaction
from waiaas.errors import AlreadyProcessed, Reconciling, StaleState, TransactionNotFound
from waiaas.pipeline import family
from waiaas.pipeline.core import Core
from waiaas.pipeline.requests.withdrawal import must_be_its_own
from waiaas.repositories import transactions


async def cancel(core: Core, tx_id: str, agent_id: str | None, actor: Actor) -> Transaction:
    """PENDING or QUEUED → CANCELLED, once; AlreadyProcessed when another step was first, TransactionNotFound.

    `agent_id` is given for a session, which may not touch a withdrawal: PolicyDenied.
    """
    tx = await transactions.get(core.db, tx_id)
    if agent_id is not None and tx.agent_id != agent_id:
        raise TransactionNotFound()
    if agent_id is not None:
        must_be_its_own(tx)
    if tx.network in core.reconciling:
        raise Reconciling()
    if tx.status not in (Status.PENDING, Status.QUEUED):
        raise AlreadyProcessed(status=tx.status)
    code, message, now = Reason.CANCELLED_BY_CALLER, "Cancelled by its caller.", core.clock.now()
    try:
        await core.db.commit(*await family.ending(core.db, tx, Status.CANCELLED, code, message, now, actor))
    except StaleState:
        tx = await transactions.get(core.db, tx_id)
        raise AlreadyProcessed(status=tx.status) from None
    return await transactions.get(core.db, tx_id)
