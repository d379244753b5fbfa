"""Tokens on the embedded machine, made from instructions as their programs lay them out."""

from base64 import b64encode
from collections.abc import Sequence
from typing import Any

import msgspec
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.system_program import CreateAccountParams, create_account
from solders.transaction import VersionedTransaction

from waiaas.chains.solana import answers
from waiaas.chains.solana.adapter import SolanaChain
from waiaas.chains.solana.programs import ASSOCIATED_TOKEN, SYSTEM, TOKEN, TOKEN_2022
from waiaas.chains.solana.tokens import associated, read_holder
from waiaas.domain.request import Token

DECIMALS = 6


class Extension(msgspec.Struct, frozen=True):
    """An extension of a mint: its type, the size of its value, and the instruction that initialises it."""

    kind: int
    size: int
    data: bytes


KEY = bytes(range(32))
#: a valid point, as an ElGamal key has to be
POINT = bytes.fromhex("e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76")

TRANSFER_FEE = Extension(1, 108, bytes([26, 0, 1]) + KEY + bytes([1]) + KEY + bytes([10, 0]) + b"\xff" * 8)
CLOSE_AUTHORITY = Extension(3, 32, bytes([25, 1]) + KEY)
CONFIDENTIAL = Extension(4, 65, bytes([27, 0]) + KEY + bytes([1]) + bytes(32))
FROZEN_AT_FIRST = Extension(6, 1, bytes([28, 0, 2]))
NON_TRANSFERABLE = Extension(9, 0, bytes([32]))
INTEREST = Extension(10, 52, bytes([33, 0]) + KEY + bytes([1, 0]))
PERMANENT_DELEGATE = Extension(12, 32, bytes([35]) + KEY)
TRANSFER_HOOK = Extension(14, 64, bytes([36, 0]) + KEY + KEY)
CONFIDENTIAL_FEE = Extension(16, 129, bytes([37, 0]) + KEY + POINT)
METADATA_POINTER = Extension(18, 64, bytes([39, 0]) + KEY + KEY)
CONFIDENTIAL_SUPPLY = Extension(24, 196, bytes([42, 0]) + POINT + bytes(36))
PAUSABLE = Extension(26, 33, bytes([44, 0]) + KEY)


def little(number: int, size: int = 8) -> bytes:
    return number.to_bytes(size, "little")


def key(address: str) -> Pubkey:
    return Pubkey.from_string(address)


def instruction(program: str, data: bytes, writes: Sequence[str], reads: Sequence[str] = (), signer: str = ""):
    """Written accounts first, then read ones; the signer is whichever of them is named."""
    metas = [AccountMeta(key(each), each == signer, each in writes) for each in (*writes, *reads)]
    return Instruction(key(program), data, metas)


class Bank:
    """Whoever makes tokens and hands them out."""

    def __init__(self, chain: SolanaChain, clock: Any, signer: Any) -> None:
        self.chain = chain
        self.clock = clock
        self.signer = signer
        self.address = signer.address

    async def land(self, *instructions: Instruction, others: Sequence[Keypair] = ()) -> None:
        """Run these instructions in one transaction of their own."""
        self.clock.pass_slots(3)
        slot = await self.chain.slot(self.address)
        message = MessageV0.try_compile(key(self.address), instructions, [], Hash.from_string(slot.blockhash))
        raw = bytes(VersionedTransaction(message, [self.signer.key, *others]))
        params = [b64encode(raw).decode(), {"encoding": "base64"}]
        await self.chain.rpc.call("sendTransaction", params, answers.SIGNATURE.decode)
        self.clock.pass_slots(1)

    async def mint(self, program: str = TOKEN, *extensions: Extension, decimals: int = DECIMALS) -> str:
        """A new token that the bank may issue."""
        fresh = Keypair()
        address = str(fresh.pubkey())
        space = 166 + sum(4 + each.size for each in extensions) if extensions else 82
        create = CreateAccountParams(
            from_pubkey=key(self.address),
            to_pubkey=fresh.pubkey(),
            lamports=await self.rent(space),
            space=space,
            owner=key(program),
        )
        authority = bytes(key(self.address))
        freeze = bytes([1]) + authority
        await self.land(
            create_account(create),
            *(instruction(program, each.data, [address]) for each in extensions),
            instruction(program, bytes([20, decimals]) + authority + freeze, [address]),
            others=[fresh],
        )
        return address

    async def open(self, mint: str, owner: str, program: str = TOKEN) -> str:
        """The owner's associated account of a token."""
        holder = associated(owner, mint, program)
        await self.land(
            instruction(
                ASSOCIATED_TOKEN, bytes([1]), [self.address, holder], [owner, mint, SYSTEM, program], self.address
            )
        )
        return holder

    async def account_of(self, mint: str, owner: str) -> str:
        """A further, empty account of a token, beside the owner's associated one."""
        fresh = Keypair()
        address = str(fresh.pubkey())
        create = CreateAccountParams(
            from_pubkey=key(self.address),
            to_pubkey=fresh.pubkey(),
            lamports=await self.rent(165),
            space=165,
            owner=key(TOKEN),
        )
        initialise = instruction(TOKEN, bytes([18]) + bytes(key(owner)), [address], [mint])
        await self.land(create_account(create), initialise, others=[fresh])
        return address

    async def issue(self, mint: str, owner: str, amount: int, program: str = TOKEN) -> str:
        """The owner's associated account of a token, with so much more in it."""
        holder = await self.open(mint, owner, program)
        await self.land(instruction(program, bytes([7]) + little(amount), [mint, holder], [self.address], self.address))
        return holder

    async def token(self, owner: str, amount: int, program: str = TOKEN, *extensions: Extension) -> Token:
        """A new token of which an owner holds so much."""
        mint = await self.mint(program, *extensions)
        await self.issue(mint, owner, amount, program)
        return Token(mint, DECIMALS, "TOK")

    async def rent(self, size: int) -> int:
        return await self.chain.rpc.call("getMinimumBalanceForRentExemption", [size], answers.COUNT.decode)

    async def account(self, address: str) -> answers.Account | None:
        """What stands at an address."""
        params = [[address], {"encoding": "base64"}]
        found = await self.chain.rpc.call("getMultipleAccounts", params, answers.accounts([address]))
        return found[address]

    async def held(self, token: Token, owner: str, program: str = TOKEN) -> int:
        """How much of a token an owner has in the associated account; 0 if there is none."""
        holder = read_holder(await self.account(associated(owner, token.address, program)))
        return holder.amount if holder else 0


PROGRAMS = (TOKEN, TOKEN_2022)
