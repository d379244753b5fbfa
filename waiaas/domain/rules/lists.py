"""Rules that are lists: WHITELIST, ALLOWED_TOKENS, CONTRACT_WHITELIST, METHOD_WHITELIST."""

import re
from collections.abc import Callable
from typing import Any

import msgspec

from waiaas.domain.address import canonical_address
from waiaas.domain.chain import Chain
from waiaas.domain.fields import Fields, parse_object, text

LONGEST_WHITELIST = 1000
LONGEST_LIST = 200
MOST_SELECTORS = 100
LONGEST_LABEL = 100
SELECTOR = re.compile(r"0x[0-9a-fA-F]{8}", re.ASCII)


class Whitelist(msgspec.Struct, frozen=True):
    """WHITELIST: who may receive, be called or be let spend; empty allows nobody."""

    allowed_addresses: tuple[str, ...]


class Listed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An address on a list; with a chain it counts for agents of that chain alone."""

    address: str
    chain: Chain | None = None

    def means(self, address: str, chain: Chain) -> bool:
        """Whether this entry is about that address of an agent on that chain."""
        return self.address == address and self.chain in (None, chain)


class ListedToken(Listed, frozen=True, kw_only=True, omit_defaults=True):
    """A token; the symbol is for people."""

    symbol: str | None = None


class ListedContract(Listed, frozen=True, kw_only=True, omit_defaults=True):
    """A contract or program; the name is for people."""

    name: str | None = None


class AllowedTokens(msgspec.Struct, frozen=True):
    """ALLOWED_TOKENS: what may be sent."""

    tokens: tuple[ListedToken, ...]


class ContractWhitelist(msgspec.Struct, frozen=True):
    """CONTRACT_WHITELIST: what may be called."""

    contracts: tuple[ListedContract, ...]


class ListedMethods(msgspec.Struct, frozen=True, rename="camel"):
    """The methods of an EVM contract that may be called, as selectors in lower case."""

    contract_address: str
    selectors: tuple[str, ...]


class MethodWhitelist(msgspec.Struct, frozen=True):
    """METHOD_WHITELIST: how the contracts it names may be called; it says nothing of others."""

    methods: tuple[ListedMethods, ...]

    def names(self, contract: str) -> bool:
        """Whether it says anything of that contract."""
        return any(entry.contract_address == contract for entry in self.methods)

    def allows(self, contract: str, selector: str | None) -> bool:
        """Whether it lists this method of that contract."""
        return any(entry.contract_address == contract and selector in entry.selectors for entry in self.methods)


def parse_whitelist(raw: object, chain: Chain | None) -> Whitelist:
    """The rules of a WHITELIST; `chain` is the agent's, None for a global one. ValidationFailed lists all issues."""

    def read(fields: Fields) -> Whitelist:
        return Whitelist(fields.each("allowed_addresses", 0, LONGEST_WHITELIST, address_on(chain)))

    return parse_object(raw, "rules", ("allowed_addresses",), read)


def parse_allowed_tokens(raw: object, chain: Chain | None) -> AllowedTokens:
    """The rules of an ALLOWED_TOKENS; otherwise as `parse_whitelist`."""

    def read(fields: Fields) -> AllowedTokens:
        entries = read_list(fields, "tokens", ("address", "symbol", "chain"))
        return AllowedTokens(
            tuple(ListedToken(**place(entry, chain), symbol=entry.read("symbol", label)) for entry in entries)
        )

    return parse_object(raw, "rules", ("tokens",), read)


def parse_contract_whitelist(raw: object, chain: Chain | None) -> ContractWhitelist:
    """The rules of a CONTRACT_WHITELIST; otherwise as `parse_whitelist`."""

    def read(fields: Fields) -> ContractWhitelist:
        entries = read_list(fields, "contracts", ("address", "name", "chain"))
        return ContractWhitelist(
            tuple(ListedContract(**place(entry, chain), name=entry.read("name", label)) for entry in entries)
        )

    return parse_object(raw, "rules", ("contracts",), read)


def parse_method_whitelist(raw: object, chain: Chain | None) -> MethodWhitelist:
    """The rules of a METHOD_WHITELIST, which is for EVM only; otherwise as `parse_whitelist`."""

    def read(fields: Fields) -> MethodWhitelist:
        entries = read_list(fields, "methods", ("contract_address", "selectors"))
        if chain is Chain.SOLANA:
            fields.refuse("methods", "are of contracts on ethereum, the agent is on solana")
        return MethodWhitelist(
            tuple(
                ListedMethods(
                    entry.need("contract_address", address_on(Chain.ETHEREUM)),
                    entry.each("selectors", 1, MOST_SELECTORS, _selector),
                )
                for entry in entries
            )
        )

    return parse_object(raw, "rules", ("methods",), read)


def _selector(value: Any) -> str:
    if not isinstance(value, str) or not SELECTOR.fullmatch(value):
        raise ValueError("must be 0x and 8 hex digits")
    return value.lower()


def read_list(fields: Fields, name: str, keys: tuple[str, ...]) -> list[Fields]:
    """The objects of a list of 1 to 200."""
    found = fields.items(name, 1, LONGEST_LIST)
    return [fields.inside(f"{name}.{place}", value, keys) for place, value in enumerate(found)]


def place(entry: Fields, chain: Chain | None) -> dict[str, Any]:
    """Address and chain of an entry: the address is one of the entry's chain, else of the agent's."""
    own = entry.read("chain", _chain)
    return {"address": entry.need("address", address_on(own or chain)), "chain": own}


def address_on(chain: Chain | None) -> Callable[[Any], str]:
    """A parser of an address of that chain; with None of whichever has that form."""

    def parse(value: Any) -> str:
        if not isinstance(value, str):
            raise ValueError("must be an address")
        return canonical_address(value, chain)

    return parse


label = text(LONGEST_LABEL)


def _chain(value: Any) -> Chain:
    if value not in list(Chain):
        raise ValueError(f"must be one of {', '.join(Chain)}")
    return Chain(value)
