"""JSON Schema 2020-12, as msgspec writes it, into the dialect of OpenAPI 3.0."""

from collections.abc import Mapping
from typing import Any

REFERENCE = "#/components/schemas/{name}"


def to_openapi(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The same schema without `type: null`, `const` and an empty `required`, which 3.0 does not know."""
    converted = {key: _value(key, value) for key, value in schema.items() if key not in ("anyOf", "const", "default")}
    if "const" in schema:
        converted["enum"] = [schema["const"]]
    if schema.get("default") is not None:
        converted["default"] = schema["default"]
    if not converted.get("required", True):
        del converted["required"]
    if "enum" in converted:
        converted.setdefault("type", "string")
    if "anyOf" in schema:
        converted |= _union(schema["anyOf"])
    return converted


def _value(key: str, value: Any) -> Any:
    if key == "properties":
        return {name: to_openapi(inner) for name, inner in value.items()}
    if key in ("items", "additionalProperties", "not") and isinstance(value, Mapping):
        return to_openapi(value)
    return value


def _union(members: list[Mapping[str, Any]]) -> dict[str, Any]:
    """A union; `null` in it becomes `nullable`, which stands beside a type but not beside a $ref."""
    rest = [to_openapi(member) for member in members if member != {"type": "null"}]
    nullable: dict[str, Any] = {"nullable": True} if len(rest) < len(members) else {}
    if len(rest) > 1:
        return {"anyOf": rest, **nullable}
    return ({"allOf": rest} if nullable and "$ref" in rest[0] else rest[0]) | nullable
