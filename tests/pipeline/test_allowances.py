"""What spenders took is booked as spent, what was granted elsewhere as open; and what is doubtful changes nothing."""

from base64 import b64encode

import pytest

from tests.chains.tokens import instruction, little
from tests.pipeline.ethereum import AGAIN, STRANGER
from tests.pipeline.solana import OTHER, allow, made, open_bank, want
from tests.world import LOCALNET, Between
from waiaas.chains.base import Allowed, Grant
from waiaas.chains.evm import abi
from waiaas.chains.evm.grants import agreed
from waiaas.chains.solana.programs import TOKEN
from waiaas.chains.solana.tokens import associated
from waiaas.domain.chain import Chain
from waiaas.domain.request import AccountMeta, Approve, ContractCall, Effect
from waiaas.domain.transaction import Status
from waiaas.pipeline.elsewhere.allowances import changed_by, reconcile
from waiaas.repositories import ledger

TRANSFER_FROM = bytes.fromhex("23b872dd")


@pytest.fixture
async def spender(eth):
    """Somebody whom Alice lets spend, and who can."""
    maker = await eth.maker()
    await eth.allow("APPROVED_SPENDERS", spenders=[{"address": maker.address}, {"address": STRANGER}])
    await eth.allow("APPROVE_AMOUNT_LIMIT", maxAmount=str(10**9), blockUnlimited=True)
    await eth.allow("APPROVE_TIER_OVERRIDE", tier="INSTANT")
    return maker


async def granted(eth, spender, amount: int = 100):
    tx = await eth.want(eth.approve(amount, address_of(eth, spender)))
    await eth.all_done()
    assert await eth.said(tx) == [("CONFIRMED", None)]
    return await eth.row(tx)


def address_of(eth, spender) -> str:
    return eth.core.chains.chain(eth.network).address(spender.address)


async def takes(eth, spender, amount: int) -> None:
    await spender.land(eth.token.address, abi.call(TRANSFER_FROM, eth.alice.public_key, STRANGER, amount))


async def look(eth) -> None:
    eth.clock.move(AGAIN)
    await reconcile(eth.core, eth.network)


async def allowances(eth, *txs):
    """State and amount of every ALLOWANCE row, the older first."""
    return [
        (row.state.value, row.reserved if row.settled is None else row.settled)
        for tx in txs
        for row in sorted(await ledger.of_transaction(eth.core.db, tx.id), key=lambda row: row.id)
        if row.kind == "ALLOWANCE"
    ]


async def used(eth) -> int:
    book = await eth.core.books.book(eth.alice.id)
    return book.used(f"ethereum:{eth.token.address}", 86400, eth.core.clock.now())


async def test_what_a_spender_took_is_spent_and_the_rest_stays_open(eth, spender):
    tx = await granted(eth, spender)
    await look(eth)
    assert await allowances(eth, tx) == [("RESERVED", 100)]
    assert "ALLOWANCE_SPENT" not in await eth.audited(tx)
    await takes(eth, spender, 30)
    await look(eth)
    assert await allowances(eth, tx) == [("SPENT", 30), ("RESERVED", 70)]
    told = {"asset": f"ethereum:{eth.token.address}", "spender": address_of(eth, spender), "amount": "30", "left": "70"}
    assert await eth.details(tx, "ALLOWANCE_SPENT") == {**told, "what": "spent"}
    assert "ALLOWANCE_SPENT" in await eth.events(tx)
    await takes(eth, spender, 70)
    await look(eth)
    assert await allowances(eth, tx) == [("SPENT", 30), ("SPENT", 70)]
    assert await used(eth) == 100
    eth.clock.move(86401)
    assert await used(eth) == 0


async def test_what_is_taken_is_never_booked_twice(eth, spender):
    tx = await granted(eth, spender)
    await takes(eth, spender, 30)
    other = eth.second_core()
    await reconcile(other, eth.network)
    await look(eth)
    await look(eth)
    assert await allowances(eth, tx) == [("SPENT", 30), ("RESERVED", 70)]


async def test_what_was_granted_elsewhere_is_booked(eth, spender):
    tx = await granted(eth, spender)
    await eth.export()
    data = abi.call(abi.APPROVE, spender.address, 250)
    await eth.spend_elsewhere(await eth.node.nonce(eth.alice.public_key), to=eth.token.address, value=0, data=data)
    await look(eth)
    assert await allowances(eth, tx) == [("RESERVED", 100), ("RESERVED", 150)]
    assert (await eth.details(tx, "ALLOWANCE_SPENT"))["what"] == "granted"
    await takes(eth, spender, 120)
    await look(eth)
    assert await allowances(eth, tx) == [("SPENT", 100), ("SPENT", 20), ("RESERVED", 130)]
    assert await used(eth) == 250


async def test_what_was_granted_elsewhere_is_booked_once_however_many_look(eth, spender, monkeypatch):
    tx = await granted(eth, spender)
    await says(eth, monkeypatch, amount=250)
    other = eth.second_core()
    eth.core.db = Between(eth.core.db, ledger.RESERVE, before=lambda: reconcile(other, eth.network))
    await look(eth)
    assert await allowances(eth, tx) == [("RESERVED", 100), ("RESERVED", 150)]


# --- doubt holds ------------------------------------------------------------------------------


async def says(eth, monkeypatch, *, amount: int, height: int | None = None) -> None:
    """The chain's next readings, whatever it holds."""
    chain = eth.core.chains.chain(eth.network)
    block = await eth.node.number("eth_blockNumber") if height is None else height

    async def answer(grants):
        return {grant: Allowed(amount, block) for grant in grants}

    monkeypatch.setattr(chain, "allowances", answer)


async def test_a_reading_from_before_the_approval_landed_changes_nothing(eth, spender, monkeypatch):
    tx = await granted(eth, spender)
    [attempt] = await eth.attempts(tx)
    await says(eth, monkeypatch, amount=0, height=attempt.block_number - 1)
    await look(eth)
    assert await allowances(eth, tx) == [("RESERVED", 100)]
    await says(eth, monkeypatch, amount=0, height=attempt.block_number)
    await look(eth)
    assert await allowances(eth, tx) == [("SPENT", 100)]


async def test_a_reading_does_not_touch_an_approval_that_landed_meanwhile(eth, spender):
    """The chain answers, and before that is booked a newer approval lands: the guard throws the reading away."""
    first = await granted(eth, spender)
    await takes(eth, spender, 100)
    second = await eth.want(eth.approve(40, address_of(eth, spender)))
    eth.faults.after("eth_call", lambda: eth.all_done())
    await look(eth)
    assert await eth.said(second) == [("CONFIRMED", None)]
    # the newer one's signing had found what was taken, and the reading of before did not end it
    assert await allowances(eth, first, second) == [("SPENT", 100), ("RESERVED", 40)]
    await look(eth)
    assert await allowances(eth, first, second) == [("SPENT", 100), ("RESERVED", 40)]


async def test_while_an_approval_is_in_flight_old_and_new_both_count(eth, spender):
    first = await granted(eth, spender)
    await eth.node.hold()
    revoke = await eth.want(eth.approve(0, address_of(eth, spender)))
    await eth.execute(revoke)
    second = await eth.want(eth.approve(40, address_of(eth, spender)))
    await look(eth)
    assert await allowances(eth, first, second) == [("RESERVED", 100), ("RESERVED", 40)]
    assert await used(eth) == 140


async def test_an_approval_that_is_not_final_is_not_lowered(eth, spender, monkeypatch):
    eth.not_final(times=8)
    tx = await eth.execute(await eth.want(eth.approve(100, address_of(eth, spender))))
    await eth.confirm()
    assert await eth.said(tx) == [("CONFIRMED", None)]
    await says(eth, monkeypatch, amount=0)
    await look(eth)
    assert await allowances(eth, tx) == [("RESERVED", 100)]


async def test_what_is_signed_and_not_landed_holds_what_it_could_change(eth, spender, monkeypatch):
    first = await granted(eth, spender)
    await eth.node.hold()
    revoke = await eth.execute(await eth.want(eth.approve(0, address_of(eth, spender))))
    await says(eth, monkeypatch, amount=40)
    await look(eth)
    assert await allowances(eth, first) == [("RESERVED", 100)]
    assert revoke.status is Status.SUBMITTED


@pytest.mark.parametrize("method", ["eth_blockNumber", "eth_call"])
async def test_a_node_that_does_not_answer_changes_nothing(eth, spender, method):
    tx = await granted(eth, spender)
    await takes(eth, spender, 30)
    eth.faults.drop(method)
    await look(eth)
    assert await allowances(eth, tx) == [("RESERVED", 100)]


def test_nodes_of_different_opinions_change_nothing():
    assert agreed([Allowed(5, 10), Allowed(5, 9)]) == Allowed(5, 9)
    assert agreed([Allowed(5, 10), Allowed(4, 10)]) is None
    assert agreed([Allowed(5, 10), None]) is None


def test_a_call_that_may_change_any_allowance_holds_them_all():
    revoke, named = Effect("APPROVE", "holder", None, 0), Effect("APPROVE", "spender", "solana:mint", 5)
    assert changed_by("a", Chain.SOLANA, [revoke]) == {("a",)}
    assert changed_by("a", Chain.SOLANA, [named]) == {("a", "solana:mint")}
    assert changed_by("a", Chain.ETHEREUM, [named]) == {("a", "solana:mint", "spender")}


# --- before an approval is signed -------------------------------------------------------------


async def test_what_was_taken_before_a_new_approval_stays_spent_when_that_lands(eth, spender):
    """Else approve, take, approve, take would pass any limit: landing ends what was open before."""
    first = await granted(eth, spender)
    await takes(eth, spender, 100)
    second = await granted(eth, spender)
    assert await allowances(eth, first, second) == [("SPENT", 100), ("RESERVED", 100)]
    assert await used(eth) == 200


async def test_what_was_taken_before_a_revocation_stays_spent(eth, spender):
    first = await granted(eth, spender)
    await takes(eth, spender, 60)
    await granted(eth, spender, 0)
    assert await allowances(eth, first) == [("SPENT", 60), ("RELEASED", 40)]


async def test_what_was_taken_before_a_reset_stays_spent(eth, spender):
    first = await granted(eth, spender)
    await takes(eth, spender, 60)
    second = await granted(eth, spender, 10)
    assert await allowances(eth, first, second) == [("SPENT", 60), ("RELEASED", 40), ("RESERVED", 10)]


# --- when an approval lands -------------------------------------------------------------------


async def raced(eth, spender, amount: int):
    """A revocation, and in front of it in its block what the spender still takes."""
    await eth.node.hold()
    await spender.send(eth.token.address, abi.call(TRANSFER_FROM, eth.alice.public_key, STRANGER, amount))
    revoke = await eth.execute(await eth.want(eth.approve(0, address_of(eth, spender))))
    await eth.node.call("evm_setAutomine", True)
    await eth.node.mine()
    return revoke


async def test_what_is_taken_in_front_of_a_revocation_is_spent(eth, spender):
    first = await granted(eth, spender)
    revoke = await raced(eth, spender, 60)
    await eth.confirm()
    assert await eth.said(revoke) == [("CONFIRMED", None)]
    assert await allowances(eth, first) == [("SPENT", 60)]
    assert (await eth.details(first, "ALLOWANCE_SPENT"))["amount"] == "60"
    assert await used(eth) == 60


async def test_what_the_agent_itself_moves_in_the_block_of_a_revocation_was_not_taken(eth, spender):
    """It would be counted twice, and the operator told of a spender that took nothing."""
    await eth.allow_tokens()
    first = await granted(eth, spender)
    await eth.node.hold()
    own = await eth.execute(await eth.want(eth.pay_token(60)))
    revoke = await raced(eth, spender, 30)
    await eth.confirm()
    assert await eth.said(own, revoke) == [("CONFIRMED", None)] * 2
    assert await allowances(eth, first) == [("SPENT", 30)]
    assert await used(eth) == 90


async def test_a_node_that_forgot_the_past_lets_nothing_be_released(eth, spender):
    first = await granted(eth, spender)
    eth.faults.refuse("eth_getLogs", -32000, "missing trie node")
    await granted(eth, spender, 0)
    assert await allowances(eth, first) == [("SPENT", 100)]


async def test_a_silent_node_makes_the_landing_wait(eth, spender):
    first = await granted(eth, spender)
    revoke = await eth.execute(await eth.want(eth.approve(0, address_of(eth, spender))))
    eth.faults.drop("eth_getLogs")
    await eth.confirm()
    assert await eth.said(revoke) == [("SUBMITTED", None)]
    assert await allowances(eth, first) == [("RESERVED", 100)]
    await eth.confirm()
    assert await eth.said(revoke) == [("CONFIRMED", None)]
    assert await allowances(eth, first) == [("RELEASED", 100)]


async def test_an_approval_that_is_looked_at_late_does_not_end_a_newer_one(eth, spender, monkeypatch):
    """Else what the newer one lets be spent would be counted no more."""
    await eth.allow("CONTRACT_WHITELIST", contracts=[{"address": eth.token.address}])
    older, newer = [await eth.execute(await eth.want(approving(eth, spender, amount))) for amount in (1, 100)]
    chain = eth.core.chains.chain(eth.network)
    receipts = chain.receipts

    async def not_all(hashes):
        return {key: one for key, one in (await receipts(hashes)).items() if key != older.tx_hash}

    monkeypatch.setattr(chain, "receipts", not_all)
    await eth.confirm()
    monkeypatch.setattr(chain, "receipts", receipts)
    await eth.confirm()
    assert await eth.said(older, newer) == [("CONFIRMED", None)] * 2
    assert await allowances(eth, older, newer) == [("RESERVED", 1), ("RESERVED", 100)]


def approving(eth, spender, amount: int) -> ContractCall:
    data = abi.call(abi.APPROVE, spender.address, amount)
    return ContractCall(to=eth.token.address, calldata="0x" + data.hex())


# --- Solana -----------------------------------------------------------------------------------


@pytest.fixture
async def bank(world, core):
    return await open_bank(world)


@pytest.fixture
async def delegated(world, bank):
    """A token of Alice's, of which the bank may take 100: its first approval, and how it takes some."""
    token = await bank.token(world.alice.public_key, 1_000)
    await allow(world, "APPROVED_SPENDERS", spenders=[{"address": bank.address}, {"address": OTHER}])
    await allow(world, "APPROVE_AMOUNT_LIMIT", maxAmount=str(10**9), blockUnlimited=True)
    await allow(world, "APPROVE_TIER_OVERRIDE", tier="INSTANT")
    tx = await made(world, Approve(bank.address, token, "100"))
    source = associated(world.alice.public_key, token.address, TOKEN)
    target = await bank.open(token.address, bank.address)

    async def take(amount: int) -> None:
        await bank.land(instruction(TOKEN, bytes([3]) + little(amount), [source, target], [bank.address], bank.address))

    return token, tx, take


async def test_a_delegate_is_followed_over_all_accounts_of_the_token(world, core, bank, delegated):
    token, tx, take = delegated
    await take(30)
    await reconcile(core, LOCALNET)
    assert await allowances(world, tx) == [("SPENT", 30), ("RESERVED", 70)]
    read = await core.chains.chain(LOCALNET).allowances([Grant(world.alice.public_key, token.address, bank.address)])
    assert [one.amount for one in read.values()] == [70]


async def test_what_a_delegate_takes_in_front_of_a_revocation_is_spent(world, core, bank, delegated):
    token, tx, take = delegated
    await take(30)
    await reconcile(core, LOCALNET)
    # what comes in hides nothing of what is taken
    await bank.issue(token.address, world.alice.public_key, 500)
    world.faults.drop("sendTransaction")
    revoke = await world.execute(await want(world, Approve(bank.address, token, "0")))
    await take(50)
    await world.confirm(3)
    await world.confirm()
    assert (await world.row(revoke)).status is Status.CONFIRMED
    assert await allowances(world, tx) == [("SPENT", 30), ("SPENT", 50)]


async def test_what_no_delegate_took_is_released(world, core, bank, delegated):
    token, tx, take = delegated
    await take(30)
    await made(world, Approve(bank.address, token, "0"))
    assert await allowances(world, tx) == [("SPENT", 30), ("RELEASED", 70)]


async def test_another_delegate_ends_the_one_before(world, core, bank, delegated):
    """A token account has one delegate; what the first one took in time is spent, and the rest is nobody's."""
    token, tx, take = delegated
    await take(30)
    second = await made(world, Approve(OTHER, token, "40"))
    assert await allowances(world, tx, second) == [("SPENT", 30), ("RELEASED", 70), ("RESERVED", 40)]
    await reconcile(core, LOCALNET)
    assert await allowances(world, second) == [("RESERVED", 40)]


async def calls_token(world, bank, token, source: str, amount: int):
    """Alice approves the bank on one account of hers, by an instruction of her own."""
    keys = [(source, False, True), (token.address, False, False), (bank.address, False, False)]
    accounts = tuple(AccountMeta(*one) for one in (*keys, (world.alice.public_key, True, False)))
    data = b64encode(bytes([13]) + little(amount) + bytes([token.decimals])).decode()
    return await made(world, ContractCall(program_id=TOKEN, instruction_data=data, accounts=accounts))


async def test_what_is_done_with_another_account_ends_nothing(world, core, bank, delegated):
    """Else the revocation of an empty account would be taken for one of the account that may be spent, and back."""
    token, tx, _ = delegated
    await allow(world, "CONTRACT_WHITELIST", contracts=[{"address": TOKEN}])
    aside = await bank.account_of(token.address, world.alice.public_key)
    revoked = await calls_token(world, bank, token, aside, 0)
    assert revoked.status is Status.CONFIRMED
    assert await allowances(world, tx) == [("RESERVED", 100)]
    by_call = await calls_token(world, bank, token, aside, 40)
    await made(world, Approve(bank.address, token, "0"))
    assert await allowances(world, tx, by_call) == [("RELEASED", 100), ("RESERVED", 40)]
