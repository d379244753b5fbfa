"""The OpenAPI document against the routes, the guards and what is really answered."""

from typing import Any

import httpx
import pytest
from openapi_spec_validator import validate

from tests.api.client import MASTER, Api, Caller, words
from waiaas import __version__
from waiaas.api.openapi import document
from waiaas.api.routes import ROUTES
from waiaas.api.schema import to_openapi

KEPT = words(
    "ErrorResponse HealthResponse NonceResponse AgentResponse AgentListResponse AgentDetailResponse "
    "AgentDeleteResponse WalletAddressResponse WalletBalanceResponse WalletAssetsResponse SessionCreateResponse "
    "SessionListItem SessionRevokeResponse SessionRenewResponse RotateSecretResponse TxSendResponse TxDetailResponse "
    "TxListResponse TxPendingListResponse "
    "TxCancelResponse PolicyResponse PolicyDeleteResponse AdminStatusResponse KillSwitchResponse "
    "KillSwitchActivateResponse RecoverResponse ShutdownResponse CreateAgentRequest "
    "UpdateAgentRequest CreateSessionRequest CreatePolicyRequest UpdatePolicyRequest SendTransactionRequest "
    "TransferRequest TokenTransferRequest ContractCallRequest ApproveRequest BatchRequest"
)
TYPED = {
    "TransferRequest": "TRANSFER",
    "TokenTransferRequest": "TOKEN_TRANSFER",
    "ContractCallRequest": "CONTRACT_CALL",
    "ApproveRequest": "APPROVE",
    "BatchRequest": "BATCH",
}


@pytest.fixture(scope="module")
def served() -> dict[str, Any]:
    return document(ROUTES)


async def test_doc_and_openapi_json_are_the_document(client: httpx.AsyncClient, served: dict[str, Any]) -> None:
    first, second = (await client.get("/doc")).json(), (await client.get("/openapi.json")).json()
    assert first == second
    assert first["info"] == {"title": "WAIaaS API", "version": __version__}
    assert first["paths"].keys() == served["paths"].keys()


def test_it_is_valid_openapi_3_0(served: dict[str, Any]) -> None:
    assert served["openapi"] == "3.0.0"
    validate(served)


def test_its_operations_are_the_routes_and_each_names_its_guard(served: dict[str, Any]) -> None:
    told = {
        (method.upper(), path): [scheme for one in operation["security"] for scheme in one]
        for path, operations in served["paths"].items()
        for method, operation in operations.items()
    }
    assert told == {(route.method, route.path): [kind.scheme for kind in route.guard.kinds] for route in ROUTES}


def test_every_operation_has_an_id_a_summary_and_a_tag_of_its_own(served: dict[str, Any]) -> None:
    operations = [operation for path in served["paths"].values() for operation in path.values()]
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    assert all(operation["summary"] for operation in operations)
    assert {tag for operation in operations for tag in operation["tags"]} == {tag["name"] for tag in served["tags"]}


def test_the_names_of_components_are_kept(served: dict[str, Any]) -> None:
    assert set(KEPT) - set(served["components"]["schemas"]) == set()


def test_components_are_all_referred_to(served: dict[str, Any]) -> None:
    text = str(served)
    unused = [name for name in served["components"]["schemas"] if f"#/components/schemas/{name}'" not in text]
    assert unused == []


def test_nothing_of_json_schema_2020_is_left(served: dict[str, Any]) -> None:
    def keys(node: Any) -> set[str]:
        if isinstance(node, dict):
            return set(node).union(*map(keys, node.values()))
        return set().union(*map(keys, node)) if isinstance(node, list) else set()

    assert keys(served) & {"const", "$defs", "prefixItems", "examples"} == set()
    assert "'type': 'null'" not in str(served)


def test_the_forms_of_a_send_exclude_each_other(served: dict[str, Any]) -> None:
    body = served["paths"]["/v1/transactions/send"]["post"]["requestBody"]
    forms = body["content"]["application/json"]["schema"]["oneOf"]
    assert forms == [
        {"allOf": [{"$ref": "#/components/schemas/SendTransactionRequest"}], "not": {"required": ["type"]}},
        *({"$ref": f"#/components/schemas/{name}"} for name in TYPED),
    ]
    for name in TYPED:
        schema = served["components"]["schemas"][name]
        assert "type" in schema["required"]
        assert schema["properties"]["type"] == {"enum": [TYPED[name]], "type": "string"}


def test_a_body_is_required_where_a_field_of_it_is(served: dict[str, Any]) -> None:
    required = {
        path: operations["post"]["requestBody"]["required"]
        for path, operations in served["paths"].items()
        if "requestBody" in operations.get("post", {})
    }
    assert required["/v1/transactions/send"] is True
    assert required["/v1/transactions/{id}/cancel"] is False


def test_metrics_are_described_as_text(served: dict[str, Any]) -> None:
    answered = served["paths"]["/metrics"]["get"]["responses"]["200"]["content"]
    assert answered == {"text/plain": {"schema": {"type": "string"}}}


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, {"type": "string", "nullable": True}),
        ({"anyOf": [{"$ref": "#/x"}, {"type": "null"}]}, {"allOf": [{"$ref": "#/x"}], "nullable": True}),
        ({"anyOf": [{"type": "integer"}, {"type": "string"}]}, {"anyOf": [{"type": "integer"}, {"type": "string"}]}),
        ({"enum": ["a"], "default": None}, {"enum": ["a"], "type": "string"}),
        ({"type": "object", "required": []}, {"type": "object"}),
        ({"const": "a"}, {"enum": ["a"], "type": "string"}),
        ({"type": "array", "items": {"const": "a"}}, {"type": "array", "items": {"enum": ["a"], "type": "string"}}),
    ],
)
def test_a_schema_is_put_into_the_older_dialect(schema: dict[str, Any], expected: dict[str, Any]) -> None:
    assert to_openapi(schema) == expected


async def test_what_is_answered_is_what_is_described(api: Api, caller: Caller, served: dict[str, Any]) -> None:
    """Every key that is answered is described, and every required one is answered."""
    sent = (await caller.send(str(11 * 10**9))).json()
    agent, tx = caller.agent["id"], sent["id"]
    answered = {
        path: (await api.client.get(path.format(id=thing), headers=MASTER, params={"agentId": agent})).json()
        for path, thing in (
            ("/health", ""),
            ("/ready", ""),
            ("/v1/nonce", ""),
            ("/v1/agents", ""),
            ("/v1/agents/{id}", agent),
            ("/v1/sessions", ""),
            ("/v1/wallet/address", ""),
            ("/v1/wallet/balance", ""),
            ("/v1/wallet/assets", ""),
            ("/v1/wallet/limits", ""),
            ("/v1/sessions/{id}", caller.session["id"]),
            ("/v1/transactions", ""),
            ("/v1/transactions/pending", ""),
            ("/v1/transactions/{id}", tx),
            ("/v1/transactions/{id}/attempts", tx),
            ("/v1/policies", ""),
            ("/v1/admin/status", ""),
        )
    }
    for path, body in answered.items():
        response = served["paths"][path]["get"]["responses"]["200"]
        fits(body, response["content"]["application/json"]["schema"], served["components"]["schemas"], path)


def fits(value: Any, schema: dict[str, Any], components: dict[str, Any], where: str) -> None:
    """The value against the parts of a schema that say which keys an object has."""
    for inner in [schema["allOf"][0]] if "allOf" in schema else []:
        return fits(value, inner, components, where) if value is not None else None
    if "$ref" in schema:
        return fits(value, components[schema["$ref"].rpartition("/")[2]], components, where)
    if isinstance(value, list):
        for item in value:
            fits(item, schema["items"], components, f"{where}[]")
    if isinstance(value, dict) and "properties" in schema:
        assert set(schema.get("required", ())) <= set(value) <= set(schema["properties"]), where
        for name, inner in schema["properties"].items():
            if name in value:
                fits(value[name], inner, components, f"{where}.{name}")
    if value is None:
        assert schema.get("nullable") or not schema, where
    return None
