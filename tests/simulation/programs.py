"""The Solana programs that the model runs: System, Compute Budget, Memo, SPL Token and its associated accounts."""

from typing import Any

import msgspec
from solders.pubkey import Pubkey

from tests import signed
from tests.signed import SYSTEM, TOKEN, Instruction, SolanaBytes

#: works whenever it is tried, and when it comes to it, every other time
FICKLE = "9xQeWvG816bUx9EPjHmaT23yvVM2ZWbrrpZb9PusVFin"
MINT_SIZE, HOLDER_SIZE = 82, 165
NO_FUNDS = 1


class Account(msgspec.Struct, frozen=True):
    """Lamports, the program that owns it, data."""

    lamports: int
    owner: str = SYSTEM
    data: bytes = b""


Accounts = dict[str, Account | None]


class Failure(Exception):
    """A TransactionError."""

    def __init__(self, error: Any) -> None:
        self.error = error


def minimum(size: int) -> int:
    """The least that an account of so many bytes may hold, in lamports."""
    return (128 + size) * 6960


def run(said: SolanaBytes, accounts: Accounts, *, for_good: bool) -> None:
    """Every instruction in order, on `accounts`; Failure at the first that fails. `for_good`: not only to try it."""
    for place, one in enumerate(said.instructions):
        try:
            if one.program == FICKLE and for_good and ord(said.hash[-1]) % 2:
                raise Failure({"Custom": 42})
            _run(one, accounts)
        except Failure as failure:
            raise Failure({"InstructionError": [place, failure.error]}) from None


def _run(one: Instruction, accounts: Accounts) -> None:
    match one.program, one.data[:1]:
        case (signed.COMPUTE_BUDGET, _) | (signed.MEMO, _) | (_, b"F"):
            pass
        case (signed.SYSTEM, b"\x02"):
            source, target = one.accounts[:2]
            move(accounts, source, target, int.from_bytes(one.data[4:12], "little"))
        case (signed.ASSOCIATED_TOKEN, b"\x01"):
            open_holder(accounts, *one.accounts[:4])
        case (signed.TOKEN, b"\x0c"):
            source, _, target, authority = one.accounts[:4]
            send(accounts, source, target, authority, int.from_bytes(one.data[1:9], "little"))
        case (signed.TOKEN, b"\x0d"):
            source, _, delegate, _ = one.accounts[:4]
            put(accounts, source, delegated(delegate, int.from_bytes(one.data[1:9], "little")))
        case (signed.TOKEN, b"\x05"):
            put(accounts, one.accounts[0], delegated(None, 0))
        case _:
            raise Failure("InvalidInstructionData")


def move(accounts: Accounts, source: str, target: str, amount: int) -> None:
    """System: Transfer."""
    payer = accounts[source]
    if payer is None or payer.lamports < amount:
        raise Failure({"Custom": NO_FUNDS})
    accounts[source] = msgspec.structs.replace(payer, lamports=payer.lamports - amount)
    there = accounts[target] or Account(0)
    accounts[target] = msgspec.structs.replace(there, lamports=there.lamports + amount)


def open_holder(accounts: Accounts, payer: str, holder: str, owner: str, mint: str) -> None:
    """Associated Token Account: CreateIdempotent."""
    if (found := accounts[holder]) is not None and found.owner == TOKEN:
        return
    if signed.associated(owner, mint) != holder:
        raise Failure("InvalidSeeds")
    move(accounts, payer, holder, minimum(HOLDER_SIZE))
    accounts[holder] = a_holder(owner, mint, 0)


def send(accounts: Accounts, source: str, target: str, authority: str, amount: int) -> None:
    """Token: TransferChecked."""
    giver, taker = accounts[source], accounts[target]
    if giver is None or taker is None or taker.owner != TOKEN:
        raise Failure("InvalidAccountData")
    if owner_of(giver) != authority:
        raise Failure({"Custom": 4})
    if held(giver) < amount:
        raise Failure({"Custom": NO_FUNDS})
    put(accounts, source, (64, little(held(giver) - amount)))
    put(accounts, target, (64, little(held(accounts[target]) + amount)))


def put(accounts: Accounts, address: str, *changes: Any) -> None:
    """Write bytes into an account's data: (place, bytes), or what makes several of them."""
    account = accounts[address]
    assert account is not None
    data = bytearray(account.data)
    for place, some in changes if isinstance(changes[0], tuple) else changes[0]:
        data[place : place + len(some)] = some
    accounts[address] = msgspec.structs.replace(account, data=bytes(data))


def delegated(to: str | None, amount: int) -> list[tuple[int, bytes]]:
    """The parts of a token account that name its delegate."""
    key = bytes(Pubkey.from_string(to)) if to else bytes(32)
    return [(72, (1 if to else 0).to_bytes(4, "little") + key), (121, little(amount))]


def a_holder(owner: str, mint: str, amount: int) -> Account:
    """A token account (spl-token `state.rs`)."""
    data = bytearray(HOLDER_SIZE)
    data[:64] = bytes(Pubkey.from_string(mint)) + bytes(Pubkey.from_string(owner))
    data[64:72] = little(amount)
    data[108] = 1
    return Account(minimum(HOLDER_SIZE), TOKEN, bytes(data))


def a_mint(decimals: int, supply: int) -> Account:
    """A mint without authorities."""
    data = bytearray(MINT_SIZE)
    data[36:44] = little(supply)
    data[44], data[45] = decimals, 1
    return Account(minimum(MINT_SIZE), TOKEN, bytes(data))


def held(account: Account | None) -> int:
    """Tokens in a token account."""
    return int.from_bytes(account.data[64:72], "little") if account else 0


def owner_of(account: Account) -> str:
    """Whose token account it is."""
    return str(Pubkey.from_bytes(account.data[32:64]))


def little(number: int) -> bytes:
    """A u64."""
    return number.to_bytes(8, "little")
