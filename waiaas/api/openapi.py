"""The OpenAPI 3.0.0 document, made from the table of routes and the structs on it."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from waiaas import __version__
from waiaas.api.decode import Nothing
from waiaas.api.guards import BY_PASSWORD, BY_SIGNATURE, BY_TOKEN
from waiaas.api.routing import Route
from waiaas.api.schema import REFERENCE, to_openapi
from waiaas.errors import (
    BodyTooLarge,
    InvalidHost,
    InvalidMasterPassword,
    InvalidNonce,
    InvalidSignature,
    InvalidToken,
    KillSwitchActive,
    MasterPasswordLocked,
    RateLimited,
    Refusal,
    SessionNotFound,
    SessionRevoked,
    ShuttingDown,
    StorageUnavailable,
    TokenExpired,
    ValidationFailed,
)
from waiaas.wire.body import Id
from waiaas.wire.system import ErrorResponse

SCHEMES = {
    "masterAuth": {"type": "apiKey", "in": "header", "name": "X-Master-Password"},
    "ownerAuth": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Owner-Signature",
        "description": "with X-Owner-Address and X-Owner-Message, the served text in base64",
    },
    "sessionAuth": {"type": "http", "scheme": "bearer", "bearerFormat": "wai_sess_ and a JWT"},
}
#: how each kind of caller is turned away
TURNED_AWAY: Mapping[str, tuple[type[Refusal], ...]] = {
    BY_PASSWORD.scheme: (InvalidMasterPassword, MasterPasswordLocked),
    BY_SIGNATURE.scheme: (InvalidSignature, InvalidNonce),
    BY_TOKEN.scheme: (InvalidToken, TokenExpired, SessionRevoked, SessionNotFound),
}
IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "1 to 255 visible ASCII characters; the same key again answers with the same transaction",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}
JSON = "application/json"


def document(routes: Iterable[Route]) -> dict[str, Any]:
    """The whole document."""
    routes = tuple(routes)
    references, components = schemas(routes)
    paths: dict[str, dict[str, Any]] = defaultdict(dict)
    for route in routes:
        paths[route.path][route.method.lower()] = operation(route, references)
    for route in routes:
        components.pop(route.query.__name__, None)
    return {
        "openapi": "3.0.0",
        "info": {"title": "WAIaaS API", "version": __version__},
        "tags": [{"name": tag} for tag in dict.fromkeys(route.tag for route in routes)],
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": SCHEMES},
    }


def schemas(routes: Iterable[Route]) -> tuple[dict[Any, Any], dict[str, Any]]:
    """(the schema of every type on the routes, all components by name)."""
    kinds: dict[Any, None] = dict.fromkeys([ErrorResponse, Id])
    for route in routes:
        kinds |= dict.fromkeys((route.answer, route.query, *route.bodies))
    found, components = msgspec.json.schema_components(tuple(kinds), ref_template=REFERENCE)
    references = {kind: to_openapi(schema) for kind, schema in zip(kinds, found, strict=True)}
    # the parameters of a query are shown one by one: its schema is looked up here and left out there
    references |= {route.query: to_openapi(components[route.query.__name__]) for route in routes}
    return references, {name: to_openapi(schema) for name, schema in components.items()}


def operation(route: Route, references: Mapping[Any, Any]) -> dict[str, Any]:
    """One method of a path."""
    described: dict[str, Any] = {
        "operationId": operation_id(route),
        "summary": (route.handler.__doc__ or "").splitlines()[0],
        "tags": [route.tag],
        "security": [{kind.scheme: []} for kind in route.guard.kinds],
        "responses": responses(route, references),
    }
    if parameters := [*_parameters(route, references)]:
        described["parameters"] = parameters
    if route.bodies:
        shapes = [_body(kind, references, alone=len(route.bodies) == 1) for kind in route.bodies]
        schema = shapes[0] if len(shapes) == 1 else {"oneOf": shapes}
        required = any(field.required for kind in route.bodies for field in msgspec.structs.fields(kind))
        described["requestBody"] = {"required": required, "content": {JSON: {"schema": schema}}}
    return described


def operation_id(route: Route) -> str:
    """`getV1AgentsId`."""
    words = "".join(c if c.isalnum() else " " for c in route.path).split()
    return route.method.lower() + "".join(word.capitalize() for word in words)


def _body(kind: type[Any], references: Mapping[Any, Any], *, alone: bool) -> dict[str, Any]:
    """Among several shapes the one that names no type is for bodies that name none."""
    reference: dict[str, Any] = references[kind]
    if alone or "type" in kind.__struct_encode_fields__:
        return reference
    return {"allOf": [reference], "not": {"required": ["type"]}}


def _parameters(route: Route, references: Mapping[Any, Any]) -> Iterable[dict[str, Any]]:
    if "{id}" in route.path:
        yield {"name": "id", "in": "path", "required": True, "schema": references[Id]}
    for name, schema in references[route.query].get("properties", {}).items():
        yield {"name": name, "in": "query", "required": False, "schema": schema}
    if route.is_send:
        yield IDEMPOTENCY_KEY


def responses(route: Route, references: Mapping[Any, Any]) -> dict[str, Any]:
    """Answers and refusals by status; a refusal's description is its codes."""
    answered = {"description": "Done", "content": {route.media: {"schema": references[route.answer]}}}
    codes: dict[int, list[str]] = defaultdict(list)
    for refusal in refusals(route):
        codes[refusal.status].append(refusal.code)
    refused = {
        str(status): {
            "description": ", ".join(dict.fromkeys(found)),
            "content": {JSON: {"schema": references[ErrorResponse]}},
        }
        for status, found in sorted(codes.items())
    }
    return {str(status): answered for status in (route.status, *route.also)} | refused


def refusals(route: Route) -> Iterable[type[Refusal]]:
    """Every way in which a route refuses, those of the checks in front of it first."""
    yield InvalidHost
    if not route.always:
        yield from (RateLimited, ShuttingDown, StorageUnavailable)
    if not route.despite_switch:
        yield KillSwitchActive
    for kind in route.guard.kinds:
        yield from TURNED_AWAY[kind.scheme]
    if "{id}" in route.path or route.query is not Nothing or route.read_body is not None:
        yield ValidationFailed
    if route.read_body is not None:
        yield BodyTooLarge
    yield from route.errors
    yield Refusal
