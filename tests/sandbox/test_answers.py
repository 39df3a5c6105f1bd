"""OpenAI endpoints that answer at once, and the same bodies inside batch lines."""

import json

import jsonschema
import openai
import pytest
from openai.types import CreateEmbeddingResponse
from openai.types.chat import ChatCompletion
from openai.types.responses import Response

from tests.sandbox.fixtures import chat_line, results, run
from tests.sandbox.wire_schema import check

SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["level", "score", "tags", "when"],
    "properties": {
        "level": {"type": "string", "enum": ["A1", "B2"]},
        "score": {"type": "integer", "minimum": 3},
        "tags": {"type": "array", "items": {"type": "string"}},
        "when": {"type": ["string", "null"], "format": "date"},
    },
}


def response_format(schema=SCHEMA, name="result", strict=True):
    return {
        "type": "json_schema",
        "json_schema": {"name": name, "strict": strict, "schema": schema},
    }


def test_models_are_listed_and_retrieved(client):
    """Provider facts 12: /v1/models, and 404 for an unknown one."""
    listed = client.models.list()

    assert "gpt-4o-mini" in [model.id for model in listed]
    assert client.models.retrieve("gpt-4o-mini").object == "model"
    with pytest.raises(openai.NotFoundError) as unknown:
        client.models.retrieve("no-such-model")
    assert unknown.value.code == "model_not_found"


def test_a_chat_completion_says_where_its_text_comes_from(client):
    """Provider facts 7: finish_reason, refusal, usage with its details."""
    answer = client.chat.completions.create(
        model="gpt-4o-mini", messages=[{"role": "user", "content": "Hello {name}"}]
    )

    choice = answer.choices[0]
    assert choice.finish_reason == "stop"
    assert "{name}" in choice.message.content
    assert choice.message.refusal is None
    assert answer.system_fingerprint == "sandbox_pseudo"
    assert answer.usage.total_tokens == (
        answer.usage.prompt_tokens + answer.usage.completion_tokens
    )
    assert answer.usage.prompt_tokens_details.cached_tokens == 0


def test_the_same_question_has_the_same_answer(client):
    ask = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}]}

    first, second = (client.chat.completions.create(**ask) for _ in range(2))

    assert first.choices[0].message.content == second.choices[0].message.content
    assert first.id != second.id


@pytest.mark.parametrize("endpoint", ["chat", "responses"])
def test_structured_output_follows_the_schema(client, endpoint):
    """Provider facts 7: a format is nested in chat completions, flat in responses."""
    if endpoint == "chat":
        answer = client.chat.completions.create(
            model="gpt-4o-mini",
            messages=[{"role": "user", "content": "Go"}],
            response_format=response_format(),
        )
        text = answer.choices[0].message.content
    else:
        wanted = {
            "type": "json_schema",
            "name": "result",
            "strict": True,
            "schema": SCHEMA,
        }
        answer = client.responses.create(
            model="gpt-4o-mini", input="Go", text={"format": wanted}
        )
        text = answer.output_text

    jsonschema.validate(json.loads(text), SCHEMA)


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        (response_format({**SCHEMA, "additionalProperties": True}), "additional"),
        (response_format({**SCHEMA, "required": ["level"]}), "'required' is required"),
        (response_format(name="has space"), "name"),
        (response_format({"type": "string"}), "type"),
    ],
)
def test_a_schema_that_is_not_strict_enough_is_refused(client, wanted, says):
    """Provider facts 7: strict needs additionalProperties false and every
    property required; names have 64 characters of `[A-Za-z0-9_-]`."""
    ask = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Go"}]}

    with pytest.raises(openai.BadRequestError, match=says):
        client.chat.completions.create(**ask, response_format=wanted)


def test_such_a_schema_in_a_batch_is_that_lines_error(client):
    """Provider facts 4: HTTP 4xx of a line stands in the error file, error null."""
    bad = chat_line("bad", response_format=response_format({"type": "string"}))
    batch = run(client, [chat_line("good"), bad])

    assert batch.status == "completed"
    assert batch.request_counts.to_dict() == {"total": 2, "completed": 1, "failed": 1}
    [error] = results(client, batch.error_file_id)
    check("BatchErrorLine", error)
    assert error["custom_id"] == "bad"
    assert error["response"]["status_code"] == 400
    assert error["error"] is None
    assert error["response"]["body"]["error"]["type"] == "invalid_request_error"


def test_an_answer_longer_than_its_limit_is_cut(client):
    """Provider facts 7: finish_reason `length`; `incomplete`, max_output_tokens."""
    text = "A long text about nothing in particular. " * 20
    chat = client.chat.completions.create(
        model="gpt-4o-mini",
        messages=[{"role": "user", "content": text}],
        max_completion_tokens=16,
    )
    response = client.responses.create(
        model="gpt-4o-mini", input=text, max_output_tokens=16
    )

    assert chat.choices[0].finish_reason == "length"
    assert chat.usage.completion_tokens == 16
    assert response.status == "incomplete"
    assert response.incomplete_details.reason == "max_output_tokens"
    assert response.usage.output_tokens == 16


def test_a_response_of_a_reasoning_model_begins_with_reasoning(client):
    """Provider facts 7: never index `output[0]`."""
    response = client.responses.create(model="gpt-5-mini", input="Hello")

    assert [item.type for item in response.output] == ["reasoning", "message"]
    assert response.output_text.startswith("‹pseudo›")


def test_a_parameter_that_a_model_does_not_take_is_refused(client):
    """Provider facts 7: max_tokens is for older models."""
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(
            model="gpt-5-mini",
            messages=[{"role": "user", "content": "Hi"}],
            max_tokens=5,
        )

    assert refused.value.code == "unsupported_parameter"


def test_too_long_an_input_is_refused(client):
    """Provider facts 4: 400 `context_length_exceeded`, at once as in a line."""
    ask = {
        "model": "gpt-3.5-turbo",
        "messages": [{"role": "user", "content": "no " * 17_000}],
    }

    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(**ask)

    assert refused.value.code == "context_length_exceeded"


def test_embeddings_are_unit_vectors_that_depend_on_the_text(client):
    """Provider facts 12: floats or the client's base64, `dimensions` honoured."""
    first = client.embeddings.create(model="text-embedding-3-small", input=["a", "b"])
    again = client.embeddings.create(
        model="text-embedding-3-small", input="a", encoding_format="float"
    )
    short = client.embeddings.create(
        model="text-embedding-3-large", input="a", dimensions=256
    )

    vectors = [item.embedding for item in first.data]
    assert [len(vector) for vector in vectors] == [1536, 1536]
    assert vectors[0] != vectors[1]
    assert sum(number * number for number in vectors[0]) == pytest.approx(1, abs=1e-4)
    assert again.data[0].embedding == pytest.approx(vectors[0])
    assert len(short.data[0].embedding) == 256
    assert first.usage.prompt_tokens == first.usage.total_tokens == 2


@pytest.mark.parametrize(
    ("url", "body", "model"),
    [
        (
            "/v1/chat/completions",
            {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}]},
            ChatCompletion,
        ),
        ("/v1/responses", {"model": "gpt-5-mini", "input": "Hi"}, Response),
        (
            "/v1/embeddings",
            {"model": "text-embedding-3-small", "input": "Hi"},
            CreateEmbeddingResponse,
        ),
    ],
)
def test_the_body_of_a_line_is_the_endpoints_object(client, url, body, model):
    """Provider facts 4: lines parse with `ChatCompletion.model_validate(body)`."""
    line = {"custom_id": "1", "method": "POST", "url": url, "body": body}
    batch = run(client, [line], endpoint=url)

    [answered] = results(client, batch.output_file_id)

    check("BatchOutputLine", answered)
    assert model.model_validate(answered["response"]["body"]).model == body["model"]
    assert batch.usage.input_tokens > 0


def test_what_is_missing_from_a_request_is_named(client):
    """Provider facts 12: 400 `missing_required_parameter`."""
    for path, body, param in (
        ("/chat/completions", {"model": "gpt-4o-mini"}, "messages"),
        ("/responses", {"input": "x"}, "model"),
        ("/embeddings", {"model": "text-embedding-3-small"}, "input"),
    ):
        with pytest.raises(openai.BadRequestError) as refused:
            client.post(path, body=body, cast_to=object)
        assert refused.value.param == param


def test_a_long_shared_opening_is_billed_as_cached_from_the_second_line_on(client):
    """Provider facts 7: cached from 1,024 tokens on, in steps of 128."""
    system = {"role": "system", "content": "You are careful. " * 400}
    lines = [
        chat_line(str(n), messages=[system, {"role": "user", "content": f"Say {n}"}])
        for n in range(3)
    ]
    batch = run(client, lines)

    cached = sorted(
        line["response"]["body"]["usage"]["prompt_tokens_details"]["cached_tokens"]
        for line in results(client, batch.output_file_id)
    )

    assert cached[0] == 0
    assert cached[1] == cached[2] >= 1024
    assert cached[1] % 128 == 0
    assert batch.usage.input_tokens_details.cached_tokens == 2 * cached[1]
