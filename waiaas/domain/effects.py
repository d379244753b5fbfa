"""What a request does, one entry per movement of money, grant and call: all that policy judges, booked or denied."""

import base64
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from waiaas.domain.asset import token_asset
from waiaas.domain.calldata import APPROVE, MULTICALLS, call_effects
from waiaas.domain.chain import Chain, native_asset
from waiaas.domain.instruction import instruction_effects
from waiaas.domain.request import (
    Approve,
    Batch,
    ContractCall,
    Effect,
    Item,
    Request,
    Sweep,
    SweepToken,
    TokenTransfer,
    Transfer,
)


def effects(request: Request, chain: Chain, *, sender: str) -> tuple[Effect, ...]:
    """Every effect of a canonical request of `sender`, a batch's in the order of its items. Pure; no node is asked.

    A call yields itself and what its data is known to do. Of an SPL transfer inside a call the counterparty is the
    receiving token account, for its owner cannot be known here; the adapter may resolve it. A withdrawal's sweep has no
    amount until it is built.
    """
    match request:
        case Batch():
            return tuple(_indexed(request.instructions, chain, sender))
        case Sweep(to=to):
            return (Effect("TRANSFER", to, native_asset(chain)),)
        case SweepToken(to=to, token=token):
            return (Effect("TOKEN_TRANSFER", to, token_asset(chain, token.address)),)
        case _:
            return tuple(_item_effects(request, chain, sender))


def allowances_set(found: Sequence[Effect]) -> list[Effect]:
    """The approvals whose landing leaves the spender with exactly their amount, so that what was let before is void.

    Not so where a call adds to an allowance, or may be taken by a contract that does not know it: a multicall that a
    fallback swallows has revoked nothing.
    """
    wrapped = {one.index for one in found if one.kind == "CONTRACT_CALL" and one.selector in MULTICALLS}
    approvals = (one for one in found if one.kind == "APPROVE" and one.asset is not None)
    return [one for one in approvals if one.selector in (None, APPROVE) and one.index not in wrapped]


def _indexed(items: Iterable[Item], chain: Chain, sender: str) -> Iterator[Effect]:
    for index, item in enumerate(items):
        for effect in _item_effects(item, chain, sender):
            yield msgspec.structs.replace(effect, index=index)


def _item_effects(item: Item, chain: Chain, sender: str) -> Iterable[Effect]:
    match item:
        case Transfer(to=to, amount=amount):
            return (Effect("TRANSFER", to, native_asset(chain), int(amount)),)
        case TokenTransfer(to=to, amount=amount, token=token):
            return (Effect("TOKEN_TRANSFER", to, token_asset(chain, token.address), int(amount)),)
        case Approve(spender=spender, amount=amount, token=token):
            return (Effect("APPROVE", spender, token_asset(chain, token.address), int(amount)),)
        case ContractCall():
            return _call_effects(item, sender)


def _call_effects(call: ContractCall, sender: str) -> Iterable[Effect]:
    if call.program_id is not None:
        data = base64.b64decode(call.instruction_data or "", validate=True)
        return instruction_effects(call.program_id, data, [account.pubkey for account in call.accounts or ()])
    assert call.to is not None
    return call_effects(call.to, bytes.fromhex((call.calldata or "0x")[2:]), int(call.value), sender)


class Copies(msgspec.Struct, frozen=True, kw_only=True):
    """What the columns of a transaction's row repeat of its request, to be shown and filtered by."""

    amount: str | None = None
    asset: str | None = None
    to_address: str | None = None
    token_mint: str | None = None
    contract_address: str | None = None
    method_signature: str | None = None
    spender_address: str | None = None
    approved_amount: str | None = None


def copies(request: Request, chain: Chain) -> Copies:
    """The columns of a canonical request; all None for a batch, whose items say it."""
    match request:
        case Transfer(to=to, amount=amount):
            return Copies(amount=amount, asset=native_asset(chain), to_address=to)
        case TokenTransfer(to=to, amount=amount, token=token):
            asset = token_asset(chain, token.address)
            return Copies(amount=amount, asset=asset, to_address=to, token_mint=token.address)
        case Approve(spender=spender, amount=amount, token=token):
            return Copies(
                amount=amount,
                asset=token_asset(chain, token.address),
                token_mint=token.address,
                spender_address=spender,
                approved_amount=amount,
            )
        case ContractCall():
            contract = request.program_id or request.to
            method = request.calldata[:10] if request.calldata else None
            return Copies(to_address=contract, contract_address=contract, method_signature=method)
        case Sweep(to=to):
            return Copies(asset=native_asset(chain), to_address=to)
        case SweepToken(to=to, token=token):
            asset = token_asset(chain, token.address)
            return Copies(asset=asset, to_address=to, token_mint=token.address)
        case Batch():
            return Copies()
