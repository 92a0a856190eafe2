"""What a setting may be, from its type: JSON Schema, a few words, a list of values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

NAMES = {
    "integer": "integer",
    "number": "number",
    "string": "text",
    "boolean": "true or false",
    "object": "mapping",
    "array": "list",
    "null": "null",
}
LIMITS = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}


def json_schema(kind: Any) -> dict[str, Any]:
    """Return the JSON Schema of a setting's type, as msgspec checks it."""
    return msgspec.json.schema(kind)


def alternatives(schema: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    """Return the schemas of which a value has to meet one."""
    return tuple(schema.get("anyOf", (schema,)))


def described(schema: Mapping[str, Any]) -> str:
    """Return type and allowed range in words, such as `integer >= 1, or null`."""
    parts = [_one(each) for each in alternatives(schema)]
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])}, or {parts[-1]}"


def _one(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    if "prefixItems" in schema:
        return f"list of {len(schema['prefixItems'])}: {described(schema['prefixItems'][0])}"
    if schema["type"] == "array":
        # Of a list of mappings or texts the elements say nothing more.
        inner = described(schema["items"])
        return f"list of {inner}" if inner.startswith(("number", "integer")) else "list"
    name = "file or folder" if schema.get("format") == "path" else NAMES[schema["type"]]
    limits = ", ".join(f"{sign} {schema[key]}" for key, sign in LIMITS.items() if key in schema)
    if pattern := schema.get("pattern"):
        limits = f"matching {pattern}"
    return f"{name} {limits}".rstrip()


def listed_values(schema: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the values that can be listed, as an override writes them; of a number null at most."""
    values = tuple(value for each in alternatives(schema) for value in _listed(each))
    is_optional = any(each.get("type") == "null" for each in alternatives(schema))
    return (*values, "null") if is_optional else values


def _listed(schema: Mapping[str, Any]) -> Iterator[str]:
    if "enum" in schema:
        yield from map(str, schema["enum"])
    elif schema.get("type") == "boolean":
        yield from ("true", "false")


def is_path(schema: Mapping[str, Any]) -> bool:
    """Return whether a value may be a file or a folder."""
    return any(each.get("format") == "path" for each in alternatives(schema))


def is_read_only(schema: Mapping[str, Any]) -> bool:
    """Return whether isoflop sets the value itself."""
    return any(each.get("readOnly", False) for each in alternatives(schema))
