"""The strict JSON schema of a pydantic model, in the few words every provider takes.

Structured outputs want every object closed and every property required; lengths, counts
and ranges differ from provider to provider and are checked by us after parsing.
"""

from functools import cache
from typing import Any

from pydantic import BaseModel


@cache
def strict_schema(model: type[BaseModel]) -> dict[str, Any]:
    """Inline all references and keep only type, properties, items and enum.

    An optional field becomes one that may be null. Raises TypeError for a union of
    anything but one type and null, which strict mode does not take everywhere. Every
    request of a workload carries the same object: do not change it.
    """
    schema = model.model_json_schema()
    return _strict(schema, schema.get("$defs", {}))


def _strict(node: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in node:
        return _strict(definitions[node["$ref"].rpartition("/")[2]], definitions)
    if "anyOf" in node:
        options = [part for part in node["anyOf"] if part.get("type") != "null"]
        if len(options) != 1 or len(node["anyOf"]) != 2:
            raise TypeError(
                f"A strict schema takes one type or null, not {node['anyOf']}."
            )
        option = _strict(options[0], definitions)
        return {**option, "type": [option["type"], "null"]}
    if "const" in node:
        return {"type": "string", "enum": [node["const"]]}
    strict: dict[str, Any] = {"type": node["type"]}
    if "enum" in node:
        strict["enum"] = node["enum"]
    if node["type"] == "array":
        strict["items"] = _strict(node["items"], definitions)
    if node["type"] == "object":
        properties = node.get("properties", {})
        strict["properties"] = {
            name: _strict(value, definitions) for name, value in properties.items()
        }
        strict["required"] = list(properties)
        strict["additionalProperties"] = False
    return strict
