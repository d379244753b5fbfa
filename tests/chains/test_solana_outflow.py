"""What counts as leaving an agent, account by account."""

from solders.keypair import Keypair
from solders.token.state import TokenAccount, TokenAccountState

from tests.chains.tokens import key
from waiaas.chains.solana.answers import Account
from waiaas.chains.solana.outflow import undeclared
from waiaas.chains.solana.programs import SYSTEM, TOKEN, WRAPPED_SOL
from waiaas.domain.request import Effect

SENDER, OWN, SECOND, STRANGER, PROGRAM, MINT = (str(Keypair().pubkey()) for _ in range(6))
ASSET, NATIVE = f"solana:{MINT}", "native:solana"
RENT = 2_039_280


def sol(lamports: int, owner: str = SYSTEM) -> Account:
    return Account(lamports, owner, b"")


def holder(
    amount: int,
    owner: str = SENDER,
    *,
    mint: str = MINT,
    delegate: str | None = None,
    delegated: int = 0,
    closer: str | None = None,
    lamports: int = RENT,
) -> Account:
    state = TokenAccount(
        mint=key(mint),
        owner=key(owner),
        amount=amount,
        delegate=key(delegate) if delegate else None,
        state=TokenAccountState.Initialized,
        is_native=None,
        delegated_amount=delegated,
        close_authority=key(closer) if closer else None,
    )
    return Account(lamports, TOKEN, bytes(state))


def left(before: dict, after: dict, *declared: Effect, paid: int = 0) -> list[tuple[str, str, int]]:
    """Counterparty, asset and amount of each further effect; the agent's own lamports stay unless given."""
    lamports = {SENDER: sol(10**9)}
    found = undeclared(declared, SENDER, PROGRAM, lamports | before, lamports | after, paid)
    return [(effect.counterparty, effect.asset, effect.amount) for effect in found]


def test_where_nothing_changes_nothing_leaves():
    state = {OWN: holder(5, delegate=STRANGER, delegated=3), STRANGER: holder(9, STRANGER), SECOND: None}
    assert left(state, state) == []


def test_fee_and_rent_are_paid_for_and_not_a_lamport_more():
    assert left({}, {SENDER: sol(10**9 - 5000)}, paid=5000) == []
    assert left({}, {SENDER: sol(10**9 - 5001)}, paid=5000) == [(PROGRAM, NATIVE, 1)]


def test_tokens_of_all_own_accounts_count_together():
    assert left({OWN: holder(5), SECOND: holder(0)}, {OWN: holder(1), SECOND: holder(4)}) == []
    assert left({OWN: holder(5), SECOND: holder(0)}, {OWN: holder(1), SECOND: holder(3)}) == [(PROGRAM, ASSET, 1)]


def test_other_peoples_tokens_do_not_count():
    assert left({OWN: holder(5, STRANGER)}, {OWN: holder(0, STRANGER)}) == []


def test_what_is_declared_is_taken_off_by_its_asset():
    sent = Effect("TOKEN_TRANSFER", STRANGER, ASSET, 4)
    other = Effect("TOKEN_TRANSFER", STRANGER, "solana:other", 4)
    assert left({OWN: holder(5)}, {OWN: holder(0)}, sent) == [(PROGRAM, ASSET, 1)]
    assert left({OWN: holder(5)}, {OWN: holder(0)}, other) == [(PROGRAM, ASSET, 5)]
    assert left({OWN: holder(5)}, {OWN: holder(0)}, sent, sent) == []


def test_what_is_declared_for_oneself_is_not_taken_off():
    for own in (SENDER, OWN, SECOND):
        sent = Effect("TOKEN_TRANSFER", own, ASSET, 5)
        assert left({OWN: holder(5)}, {OWN: holder(0), SECOND: holder(0)}, sent) == [(PROGRAM, ASSET, 5)]


def test_a_call_or_an_approval_declares_no_outflow():
    told = [Effect("CONTRACT_CALL", PROGRAM), Effect("APPROVE", STRANGER, ASSET, 5)]
    assert left({OWN: holder(5)}, {OWN: holder(0)}, *told) == [(PROGRAM, ASSET, 5)]


def test_an_account_that_vanished_has_left():
    assert left({OWN: holder(5)}, {OWN: None}) == [(PROGRAM, NATIVE, RENT), (PROGRAM, ASSET, 5)]


def test_an_account_another_may_close_has_left_unless_he_could_before():
    mine, his = holder(5), holder(5, closer=STRANGER)
    assert left({OWN: mine}, {OWN: his}) == [(PROGRAM, NATIVE, RENT), (PROGRAM, ASSET, 5)]
    assert left({OWN: his}, {OWN: his}) == []
    assert left({OWN: his}, {OWN: holder(2, closer=STRANGER)}) == [(PROGRAM, ASSET, 3)]
    assert left({OWN: his}, {OWN: mine}) == []
    assert left({OWN: mine}, {OWN: holder(5, closer=SENDER)}) == []


def test_tokens_in_a_new_account_another_owns_have_left():
    assert left({OWN: holder(5)}, {OWN: holder(0), SECOND: holder(5, STRANGER)}) == [(PROGRAM, ASSET, 5)]


def test_wrapped_sol_is_native_money():
    wrapped = holder(7, mint=WRAPPED_SOL, lamports=RENT + 7)
    emptied = holder(0, mint=WRAPPED_SOL)
    assert left({OWN: wrapped}, {OWN: emptied}) == [(PROGRAM, NATIVE, 7)]
    assert left({OWN: wrapped}, {OWN: emptied}, Effect("TOKEN_TRANSFER", STRANGER, f"solana:{WRAPPED_SOL}", 7)) == []
    assert left({OWN: wrapped}, {OWN: None, SENDER: sol(10**9 + RENT + 7)}) == []


def test_an_allowance_is_a_further_effect_when_it_is_new_or_grows():
    def allowed(delegate: str | None, amount: int) -> dict:
        return {OWN: holder(5, delegate=delegate, delegated=amount)}

    assert left(allowed(None, 0), allowed(STRANGER, 3)) == [(STRANGER, ASSET, 3)]
    assert left(allowed(STRANGER, 3), allowed(STRANGER, 4)) == [(STRANGER, ASSET, 4)]
    assert left(allowed(STRANGER, 3), allowed(STRANGER, 2)) == []
    assert left(allowed(PROGRAM, 3), allowed(STRANGER, 3)) == [(STRANGER, ASSET, 3)]
    assert left(allowed(STRANGER, 3), allowed(None, 0)) == []


def test_a_declared_allowance_is_no_further_effect():
    before, after = {OWN: holder(5)}, {OWN: holder(5, delegate=STRANGER, delegated=3)}
    assert left(before, after, Effect("APPROVE", STRANGER, ASSET, 3)) == []
    assert left(before, after, Effect("APPROVE", STRANGER, ASSET, 2)) == [(STRANGER, ASSET, 3)]
    assert left(before, after, Effect("APPROVE", PROGRAM, ASSET, 3)) == [(STRANGER, ASSET, 3)]
    assert left(before, after, Effect("APPROVE", STRANGER, "solana:other", 3)) == [(STRANGER, ASSET, 3)]
    assert left(before, after, Effect("TOKEN_TRANSFER", STRANGER, ASSET, 3)) == [(STRANGER, ASSET, 3)]


def test_an_allowance_on_a_new_account_counts():
    assert left({OWN: holder(5)}, {OWN: holder(0), SECOND: holder(5, delegate=STRANGER, delegated=5)}) == [
        (STRANGER, ASSET, 5)
    ]
