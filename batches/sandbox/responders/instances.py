"""A small valid instance of a JSON schema, without chance: the same each time."""

from typing import Any

from batches.sandbox.responders.script import MARK

DEEPEST = 12  # beyond this only what ends the nesting is chosen
FORMATS = {
    "date-time": "2026-01-01T00:00:00Z",
    "date": "2026-01-01",
    "time": "00:00:00Z",
    "duration": "P1D",
    "email": "pseudo@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


def instance_of(schema: dict[str, Any], *, name: str = "answer") -> Any:
    """A value that the schema accepts; texts say that they are pseudo and name the
    property they stand in."""
    return _Maker(schema).make(schema, name, 0)


class _Maker:
    def __init__(self, root: dict[str, Any]) -> None:
        self.root = root

    def make(self, schema: Any, name: str, depth: int) -> Any:
        if not isinstance(schema, dict):  # `true` allows anything
            return None
        if "$ref" in schema:
            return self.make(self._resolve(schema["$ref"]), name, depth + 1)
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return schema["enum"][0]
        for word in ("anyOf", "oneOf"):
            if schema.get(word):
                return self.make(self._choose(schema[word], depth), name, depth + 1)
        if schema.get("allOf"):
            merged: dict[str, Any] = {}
            for part in schema["allOf"]:
                part = self._resolve(part["$ref"]) if "$ref" in part else part
                for key, value in part.items():
                    known = merged.get(key)
                    if isinstance(known, dict):
                        merged[key] = {**known, **value}
                    elif isinstance(known, list):
                        merged[key] = known + value
                    else:
                        merged[key] = value
            rest = {key: value for key, value in schema.items() if key != "allOf"}
            return self.make({**merged, **rest}, name, depth + 1)
        kinds = schema.get("type", "object" if "properties" in schema else "string")
        kind = kinds
        if isinstance(kinds, list):
            kind = "null" if depth > DEEPEST and "null" in kinds else kinds[0]
        return self._of_kind(kind, schema, name, depth)

    def _of_kind(self, kind: str, schema: dict[str, Any], name: str, depth: int) -> Any:
        match kind:
            case "object":
                properties = schema.get("properties", {})
                wanted = schema.get("required", [] if depth > DEEPEST else properties)
                return {
                    key: self.make(properties.get(key, {}), key, depth + 1)
                    for key in wanted
                }
            case "array":
                return self._array(schema, name, depth)
            case "integer":
                return int(_number(schema, step=1))
            case "number":
                return _number(schema, step=schema.get("multipleOf", 1))
            case "boolean":
                return False
            case "null":
                return None
        return _text(schema, name)

    def _array(self, schema: dict[str, Any], name: str, depth: int) -> list[Any]:
        least = schema.get("minItems", 0)
        count = least if depth > DEEPEST else max(least, 1)
        count = min(count, schema.get("maxItems", count))
        fixed = schema.get("prefixItems", [])
        items = [self.make(item, name, depth + 1) for item in fixed[:count]]
        while len(items) < count:
            items.append(self.make(schema.get("items", {}), name, depth + 1))
        if schema.get("uniqueItems"):
            items = [
                f"{item} {place}" if isinstance(item, str) and place else item
                for place, item in enumerate(items)
            ]
        return items

    def _choose(self, options: list[Any], depth: int) -> Any:
        """The first option; deep down, null or a plain value where one is offered."""
        if depth <= DEEPEST:
            return options[0]
        plain = [
            option
            for option in options
            if isinstance(option, dict)
            and option.get("type") in ("null", "string", "integer", "number", "boolean")
        ]
        return (plain or options)[0]

    def _resolve(self, reference: str) -> Any:
        place: Any = self.root
        for step in reference.removeprefix("#").strip("/").split("/"):
            if step:
                place = place[step.replace("~1", "/").replace("~0", "~")]
        return place


def _number(schema: dict[str, Any], *, step: float) -> float:
    """The least number allowed, or 0 where that is allowed."""
    step = schema.get("multipleOf", step)
    low = schema.get("minimum")
    if "exclusiveMinimum" in schema:
        low = schema["exclusiveMinimum"] + step
    high = schema.get("maximum")
    if "exclusiveMaximum" in schema:
        high = schema["exclusiveMaximum"] - step
    value: float = 0
    if low is not None and low > 0:
        value = -(-low // step) * step
    elif high is not None and high < 0:
        value = high // step * step
    return value


def _text(schema: dict[str, Any], name: str) -> str:
    if schema.get("format") in FORMATS:
        return FORMATS[schema["format"]]
    if "pattern" in schema:
        return _matching(schema["pattern"])
    text = f"{MARK}{name.replace('_', ' ')}"
    text = text.ljust(schema.get("minLength", 0), ".")
    return text[: schema.get("maxLength", len(text))]


def _matching(pattern: str) -> str:
    """A short text that a regular expression matches; simple expressions only."""
    from re import _parser  # type: ignore[attr-defined]

    def write(tree: Any) -> str:
        written = ""
        for operation, argument in tree:
            match str(operation):
                case "LITERAL":
                    written += chr(argument)
                case "IN":
                    written += one_of(argument)
                case "ANY":
                    written += "x"
                case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
                    least, _, inner = argument
                    written += write(inner) * least
                case "SUBPATTERN":
                    written += write(argument[-1])
                case "BRANCH":
                    written += write(argument[1][0])
                case "NOT_LITERAL":
                    written += "x" if chr(argument) != "x" else "y"
        return written

    def one_of(choices: Any) -> str:
        operation, argument = choices[0]
        match str(operation):
            case "LITERAL":
                return chr(argument)
            case "RANGE":
                return chr(argument[0])
            case "CATEGORY":
                return {"CATEGORY_DIGIT": "0", "CATEGORY_SPACE": " "}.get(
                    str(argument), "a"
                )
        return "x"

    return write(_parser.parse(pattern))
