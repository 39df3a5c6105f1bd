"""What `pseudo` and `sample` say, without a process in between."""

import json
import re

import jsonschema
import orjson
import pytest

from batches.sandbox.responders.instances import instance_of
from batches.sandbox.responders.pseudo import PseudoResponder
from batches.sandbox.responders.sample import SampleResponder, shipped_directories
from batches.sandbox.responders.script import MARK, pseudo_text

RESULT = {
    "type": "object",
    "additionalProperties": False,
    "required": ["segments", "uncertain"],
    "properties": {
        "segments": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["id", "text"],
                "properties": {"id": {"type": "string"}, "text": {"type": "string"}},
            },
        },
        "uncertain": {"type": "array", "items": {"type": "string"}},
    },
}


def translation(segments, *, target="ar", source="so"):
    """A chat request to translate [(id, text)]."""
    asked = {
        "source_language": source,
        "target_language": target,
        "segments": [{"id": name, "text": text} for name, text in segments],
    }
    return {
        "model": "gpt-4o-mini",
        "messages": [
            {"role": "system", "content": "Translate."},
            {"role": "user", "content": json.dumps(asked)},
        ],
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "t", "strict": True, "schema": RESULT},
        },
    }


@pytest.mark.parametrize(
    ("language", "letters"),
    [
        ("ar", r"[\u0621-\u064a]"),
        ("ar-EG", r"[\u0621-\u064a]"),
        ("Arabic", r"[\u0621-\u064a]"),
        ("ru", r"[а-я]"),
        ("am", r"[\u1200-\u137f]"),
        ("en", r"[áéíóúýçñšžđğłřť]"),
        ("so", r"[áéíóúýçñšžđğłřť]"),
    ],
)
def test_pseudo_text_is_in_the_script_of_its_language(language, letters):
    text = pseudo_text("Dhegaysiga ilmahaaga", language)

    assert text.startswith(MARK)
    assert re.search(letters, text.removeprefix(MARK))
    if language not in ("en", "so"):
        assert not re.search("[A-Za-z]", text.removeprefix(MARK))


def test_an_arabic_source_becomes_latin():
    text = pseudo_text("السلام عليكم", "en").removeprefix(MARK)

    assert not re.search(r"[\u0600-\u06ff]", text)
    assert re.search("[a-zá-ž]", text)


@pytest.mark.parametrize(
    "kept",
    [
        "{{ name }}",
        "{count}",
        "${total}",
        "%(user)s",
        "%s",
        "%1$s",
        "{% if x %}",
        "⟦12⟧",
        '<a href="https://example.com/a?b=c">',
        "</a>",
        "<br/>",
        "<!-- note -->",
        "https://example.com/path?q=1",
        "help@example.com",
        "&nbsp;",
        "&#39;",
        "`code here`",
        "12:30",
        "1–2",
        "3.14",
    ],
)
def test_what_is_not_prose_stays_as_it_is(kept):
    for language in ("ar", "en"):
        assert kept in pseudo_text(f"Before {kept} after", language)


def test_the_mark_stands_inside_the_first_element():
    assert pseudo_text("<p>Aqoon</p>", "en").startswith(f"<p>{MARK}")
    assert pseudo_text("  ", "ar") == "  "
    assert pseudo_text("", "ar") == ""


def test_every_segment_is_answered_and_nothing_is_uncertain():
    segments = [("title", "Dhegaysiga"), ("body#1", "<p>Baro {name}</p>")]
    answer = PseudoResponder().answer(translation(segments))

    result = orjson.loads(answer.text)

    jsonschema.validate(result, RESULT)
    assert [segment["id"] for segment in result["segments"]] == ["title", "body#1"]
    assert result["uncertain"] == []
    assert "{name}" in result["segments"][1]["text"]
    assert answer.fingerprint == "sandbox_pseudo"


def test_a_request_in_the_responses_dialect_is_understood_too():
    chat = translation([("a", "Hooyo")])
    body = {
        "model": "gpt-5-mini",
        "input": [
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": chat["messages"][1]["content"]}
                ],
            }
        ],
        "text": {"format": {"type": "json_schema", "name": "t", "schema": RESULT}},
    }

    assert PseudoResponder().answer(body).text == PseudoResponder().answer(chat).text


SCHEMAS = [
    {"type": "object", "properties": {}, "required": []},
    {
        "type": "object",
        "required": ["a", "b", "c", "d", "e"],
        "properties": {
            "a": {"type": "number", "minimum": 0.5, "multipleOf": 0.25},
            "b": {"type": "integer", "exclusiveMaximum": -3},
            "c": {"type": "array", "minItems": 2, "items": {"type": "boolean"}},
            "d": {"type": "array", "maxItems": 0},
            "e": {"const": 7},
        },
    },
    {
        "type": "object",
        "required": ["n", "t", "u", "x"],
        "properties": {
            "n": {"anyOf": [{"type": "null"}, {"type": "string"}]},
            "t": {"type": "string", "minLength": 40},
            "u": {"type": "string", "maxLength": 4},
            "x": {"type": "string", "pattern": "^[A-C]\\d{3}-(red|blue)+$"},
        },
    },
    {
        "$defs": {
            "node": {
                "type": "object",
                "required": ["name", "children"],
                "properties": {
                    "name": {"type": "string"},
                    "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
                    "parent": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
                },
            }
        },
        "$ref": "#/$defs/node",
    },
    {
        "allOf": [
            {
                "type": "object",
                "required": ["a"],
                "properties": {"a": {"type": "null"}},
            },
            {"required": ["b"], "properties": {"b": {"enum": ["x"]}}},
        ]
    },
    {
        "type": "array",
        "minItems": 3,
        "uniqueItems": True,
        "items": {"type": "string"},
    },
]


@pytest.mark.parametrize("schema", SCHEMAS)
def test_an_instance_is_valid(schema):
    jsonschema.validate(instance_of(schema), schema)


def test_a_sample_answers_only_where_every_segment_is_known(tmp_path):
    row = {
        "source_language": "so",
        "target_language": "ar",
        "source": "Hooyo",
        "target": "أم",
    }
    (tmp_path / "a.jsonl").write_bytes(orjson.dumps(row) + b'\n{"other": 1}\n\n')
    responder = SampleResponder([tmp_path])

    known = responder.answer(translation([("1", "Hooyo")]))
    mixed = responder.answer(translation([("1", "Hooyo"), ("2", "Aabbe")]))
    other = responder.answer(translation([("1", "Hooyo")], target="en"))

    assert known.fingerprint == "sandbox_sample"
    assert orjson.loads(known.text)["segments"] == [{"id": "1", "text": "أم"}]
    assert mixed.fingerprint == other.fingerprint == "sandbox_pseudo"
    assert "أم" not in mixed.text


def test_a_sample_answers_a_request_that_says_all_of_it(tmp_path):
    row = {"schema": "verdict", "says": ["one", "two"], "answer": {"ok": True}}
    (tmp_path / "a.jsonl").write_bytes(orjson.dumps(row))
    responder = SampleResponder([tmp_path])
    schema = {"type": "object", "properties": {"ok": {"const": False}}}

    def asked(text, name="verdict"):
        format = {"name": name, "schema": schema}
        return {
            "messages": [{"role": "user", "content": text}],
            "response_format": {"type": "json_schema", "json_schema": format},
        }

    known = responder.answer(asked("two and one"))
    others = [responder.answer(asked("one")), responder.answer(asked("one two", "x"))]
    responses = {
        "input": "one two",
        "text": {"format": {"type": "json_schema", "name": "verdict"}},
    }

    assert (known.text, known.fingerprint) == ('{"ok":true}', "sandbox_sample")
    assert {other.fingerprint for other in others} == {"sandbox_pseudo"}
    assert responder.answer(responses).fingerprint == "sandbox_sample"


def test_shipped_samples_are_found_beside_the_apps(tmp_path, monkeypatch):
    app = tmp_path / "some_app"
    (app / "samples").mkdir(parents=True)
    (app / "__init__.py").write_text("raise RuntimeError('was run')")
    monkeypatch.syspath_prepend(tmp_path)

    found = shipped_directories(["some_app", "no_such_app", "some_app.apps.Config"])

    assert found == [app / "samples"]
