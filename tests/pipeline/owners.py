"""The owner of a world's agent, and what that owner says to the steps themselves."""

from tests.world import OPERATOR
from waiaas.auth.owner import OwnerProof
from waiaas.domain.event import Actor
from waiaas.domain.owner import OwnerAction
from waiaas.pipeline.registry import owners
from waiaas.pipeline.waiting import approve
from waiaas.pipeline.waiting.approval_text import show

OWNER = "9B5XszUGdMaxCZ7uSQhPzdks5ZQSmWxrmzCSvtJ6Ns6g"
LOCK = "UPDATE agents SET owner_verified = 1 WHERE id = :id"


async def owned(world, owner: str = OWNER, *, locked: bool = True) -> None:
    """Alice has an owner."""
    await owners.set_owner(world.core, world.alice.id, owner, OPERATOR)
    if locked:
        await world.by_hand(LOCK, id=world.alice.id, touches=f"agent:{world.alice.id}")


async def signed(world, tx, action=OwnerAction.APPROVE, owner: str = OWNER) -> OwnerProof:
    """The owner has signed what is shown now."""
    shown = await show(world.core, tx.id, action)
    return OwnerProof(owner, shown.digest, bound=True)


async def say_yes(world, tx, proof: OwnerProof | None = None, core=None) -> None:
    proof = proof or await signed(world, tx, owner=(await world.agent()).owner_address)
    await approve.approve(core or world.core, tx.id, proof, Actor(f"owner:{proof.address}"))


async def say_no(world, tx, proof: OwnerProof, core=None) -> None:
    await approve.reject(core or world.core, tx.id, proof, Actor(f"owner:{proof.address}"))
