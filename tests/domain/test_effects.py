"""What each type of request does, and what its row repeats of it."""

import base64

from waiaas.domain.chain import Chain
from waiaas.domain.effects import Copies, copies, effects
from waiaas.domain.instruction import SYSTEM
from waiaas.domain.request import (
    AccountMeta,
    Approve,
    Batch,
    ContractCall,
    Effect,
    Token,
    TokenTransfer,
    Transfer,
    canonical,
    decode,
)

ALICE, MINT = "4vJ9JU1bJJE96FWSJKvHsmmFADCg4gpZQff4P3bkLKi", "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"
DAI, EVE = "0x6B175474E89094C44Da98b954EedeAC495271d0F", "0xd8dA6BF26964aF9D7eEd9e03E53415D37aA96045"
SOLANA, ETHEREUM = Chain.SOLANA, Chain.ETHEREUM
USDC = Token(MINT, 6, "USDC")

TRANSFER = Transfer(ALICE, "5", "memo")
TOKENS = TokenTransfer(ALICE, "6", USDC)
APPROVE = Approve(ALICE, USDC, "7")
CALL = ContractCall(to=EVE, calldata="0x12345678", value="8")
INSTRUCTION = ContractCall(
    program_id=SYSTEM,
    instruction_data=base64.b64encode(b"\2\0\0\0" + (9).to_bytes(8, "little")).decode(),
    accounts=(AccountMeta("me", True, True), AccountMeta(ALICE, False, True)),
)


def test_each_type_has_its_effect():
    done = [effects(each, SOLANA, sender="me") for each in (TRANSFER, TOKENS, APPROVE, INSTRUCTION)]
    assert done == [
        (Effect("TRANSFER", ALICE, "native:solana", 5),),
        (Effect("TOKEN_TRANSFER", ALICE, f"solana:{MINT}", 6),),
        (Effect("APPROVE", ALICE, f"solana:{MINT}", 7),),
        (Effect("CONTRACT_CALL", SYSTEM), Effect("TRANSFER", ALICE, "native:solana", 9)),
    ]
    assert effects(CALL, ETHEREUM, sender=EVE) == (
        Effect("CONTRACT_CALL", EVE, selector="0x12345678", decoded=False),
        Effect("TRANSFER", EVE, "native:ethereum", 8),
    )


def test_a_transfer_of_nothing_is_still_one():
    assert effects(Transfer(EVE, "0"), ETHEREUM, sender=EVE) == (Effect("TRANSFER", EVE, "native:ethereum", 0),)


def test_a_batch_has_the_effects_of_its_items_each_with_its_place():
    batch = Batch((TRANSFER, INSTRUCTION, APPROVE))
    found = effects(batch, SOLANA, sender="me")
    assert [(effect.index, effect.kind) for effect in found] == [
        (0, "TRANSFER"),
        (1, "CONTRACT_CALL"),
        (1, "TRANSFER"),
        (2, "APPROVE"),
    ]


def test_a_stored_request_has_the_effects_of_the_one_that_was_accepted():
    for request in (TRANSFER, TOKENS, APPROVE, INSTRUCTION, Batch((TRANSFER, INSTRUCTION))):
        assert decode(canonical(request)) == request


def test_the_row_repeats_what_it_is_filtered_by():
    assert [copies(each, SOLANA) for each in (TRANSFER, TOKENS, APPROVE)] == [
        Copies(amount="5", asset="native:solana", to_address=ALICE),
        Copies(amount="6", asset=f"solana:{MINT}", to_address=ALICE, token_mint=MINT),
        Copies(amount="7", asset=f"solana:{MINT}", token_mint=MINT, spender_address=ALICE, approved_amount="7"),
    ]
    assert copies(CALL, ETHEREUM) == Copies(to_address=EVE, contract_address=EVE, method_signature="0x12345678")
    assert copies(INSTRUCTION, SOLANA) == Copies(to_address=SYSTEM, contract_address=SYSTEM)
    assert copies(Batch((TRANSFER, TOKENS)), SOLANA) == Copies()
