"""Policies that are lists: WHITELIST, ALLOWED_TOKENS, CONTRACT_WHITELIST, METHOD_WHITELIST."""

from collections.abc import Iterator, Sequence

from waiaas.domain.asset import token_of
from waiaas.domain.chain import Chain
from waiaas.domain.policy import PolicyType
from waiaas.domain.request import Effect
from waiaas.domain.rules.lists import AllowedTokens, ContractWhitelist, Listed, MethodWhitelist, Whitelist
from waiaas.errors import (
    ContractCallDisabled,
    ContractNotWhitelisted,
    MethodNotWhitelisted,
    TokenNotAllowed,
    WhitelistDenied,
)
from waiaas.policy.facts import EXPOSURE, Case
from waiaas.policy.judgement import Judgement, Subject, by_list, without_list

UNNAMED = "a token that the call does not name"


def whitelist(case: Case) -> Iterator[Judgement]:
    """Every recipient, contract, program and spender must be listed, but for a spender whose grant is revoked."""
    asked = [_counterparty(effect) for effect in case.facts.effects if _meets(effect)]
    for policy, rules in case.having(Whitelist):
        unlisted = [subject for subject in asked if subject.text not in rules.allowed_addresses]
        yield from by_list(policy, asked, unlisted, WhitelistDenied.code)


def allowed_tokens(case: Case) -> Iterator[Judgement]:
    """Every token that is sent must be listed."""
    asked = [Subject(token_name(effect), effect.index) for effect in case.effects("TOKEN_TRANSFER")]
    lists = case.having(AllowedTokens)
    if not lists:
        yield from without_list(PolicyType.ALLOWED_TOKENS, asked, TokenNotAllowed.code)
    for policy, rules in lists:
        unlisted = _unlisted(asked, rules.tokens, case.facts.chain)
        yield from by_list(policy, asked, unlisted, TokenNotAllowed.code)


def contract_whitelist(case: Case) -> Iterator[Judgement]:
    """Every contract or program that is called must be listed."""
    asked = [_counterparty(effect) for effect in case.effects("CONTRACT_CALL")]
    lists = case.having(ContractWhitelist)
    if not lists:
        yield from without_list(PolicyType.CONTRACT_WHITELIST, asked, ContractCallDisabled.code)
    for policy, rules in lists:
        unlisted = _unlisted(asked, rules.contracts, case.facts.chain)
        yield from by_list(policy, asked, unlisted, ContractNotWhitelisted.code)


def method_whitelist(case: Case) -> Iterator[Judgement]:
    """Every method that is called of a contract which the policy names must be listed, inside a multicall too."""
    calls = case.effects("CONTRACT_CALL")
    for policy, rules in case.having(MethodWhitelist):
        asked = [effect for effect in calls if rules.names(effect.counterparty)]
        unlisted = [effect for effect in asked if not rules.allows(effect.counterparty, effect.selector)]
        yield from by_list(policy, list(map(_method, asked)), list(map(_method, unlisted)), MethodNotWhitelisted.code)


def token_name(effect: Effect) -> str:
    """The token of an effect, for a list and for people."""
    return UNNAMED if effect.asset is None else token_of(effect.asset) or effect.asset


def _unlisted(asked: Sequence[Subject], entries: Sequence[Listed], chain: Chain) -> list[Subject]:
    return [subject for subject in asked if not any(entry.means(subject.text, chain) for entry in entries)]


def _meets(effect: Effect) -> bool:
    revokes = effect.kind == "APPROVE" and effect.amount == 0
    return effect.kind in EXPOSURE | {"CONTRACT_CALL"} and not revokes


def _counterparty(effect: Effect) -> Subject:
    return Subject(effect.counterparty, effect.index)


def _method(effect: Effect) -> Subject:
    return Subject(f"{effect.selector or 'no method'} of {effect.counterparty}", effect.index)
