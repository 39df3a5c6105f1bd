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
    anything but one type and null, which strict mode does not take everywhere, and for
    objects whose properties have no names. Every request of a workload carries the same
    object: do not change it.
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
        if node.get("additionalProperties"):
            raise TypeError(
                "A strict schema names every property; a dict, or a model with "
                "extra='allow', cannot. Use a list of pairs."
            )
        properties = node.get("properties", {})
        strict["properties"] = {
            name: _strict(value, definitions) for name, value in properties.items()
        }
        strict["required"] = list(properties)
        strict["additionalProperties"] = False
    return strict


# OpenAI, "Structured outputs", supported schemas, read in 2026-09.
NOT_IN_STRICT = (
    "allOf",
    "dependentRequired",
    "dependentSchemas",
    "else",
    "if",
    "not",
    "oneOf",
    "patternProperties",
    "then",
)
MOST_PROPERTIES = 5_000
DEEPEST_LEVEL = 10


def strict_problem(schema: Any) -> str:
    """Why strict mode would refuse a JSON schema, naming the place; '' if it takes it.

    Only what every provider refuses: which formats and bounds are taken differs.
    """
    if not isinstance(schema, dict):
        return f"the schema is {schema!r:.80}; it must be a JSON object."
    if schema.get("type") != "object":
        return (
            f"the schema's type is {schema.get('type')!r}; strict mode takes an object "
            "at the top. Put the value into a property of one."
        )
    counted = [0]
    problem = _problem(schema, "the schema", 1, counted)
    if not problem and counted[0] > MOST_PROPERTIES:
        return f"the schema has {counted[0]:,} properties; at most 5,000 are taken."
    return problem


def _problem(node: Any, place: str, level: int, counted: list[int]) -> str:
    if not isinstance(node, dict):
        return f"{place} is {node!r:.80}; strict mode wants a schema there."
    for word in NOT_IN_STRICT:
        if word in node:
            return f"{place} has {word}, which strict mode refuses; write it without."
    if level > DEEPEST_LEVEL:
        return f"{place} is nested more than {DEEPEST_LEVEL} levels deep."
    kinds = node.get("type")
    is_object = kinds == "object" or isinstance(kinds, list) and "object" in kinds
    inside: list[tuple[Any, str]] = []
    if is_object:
        properties = node.get("properties")
        if not isinstance(properties, dict):
            return f"{place} is an object without properties; name each of them."
        counted[0] += len(properties)
        if node.get("additionalProperties") is not False:
            return f'{place} lacks "additionalProperties": false; strict mode needs it.'
        required = node.get("required")
        missing = [
            name
            for name in properties
            if not isinstance(required, list) or name not in required
        ]
        if missing:
            return (
                f"{place} does not require {missing[0]!r}; strict mode wants every "
                'property in "required". One that may be missing gets the type '
                '["string", "null"].'
            )
        inside += [(part, f"{place}.{name}") for name, part in properties.items()]
    elif not {"type", "$ref", "anyOf", "enum", "const"} & node.keys():
        return f"{place} has no type."
    if "items" in node:
        inside.append((node["items"], f"{place}[]"))
    elif kinds == "array":
        return f"{place} is an array without items; say what it holds."
    if isinstance(node.get("anyOf"), list):
        inside += [(part, f"{place} (anyOf)") for part in node["anyOf"]]
    if isinstance(node.get("$defs"), dict):
        inside += [(part, f"$defs.{name}") for name, part in node["$defs"].items()]
    for part, where in inside:
        if problem := _problem(part, where, level + 1, counted):
            return problem
    return ""
