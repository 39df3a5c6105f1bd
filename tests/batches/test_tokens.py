"""Tokens are counted offline, with the model's own encoding, for every endpoint."""

import pytest

from batches.errors import BatchError
from batches.providers.tokens import (
    PER_MESSAGE,
    PER_REQUEST,
    count_request,
    count_tokens,
)
from batches.services.rendering import render
from batches.workloads import CHAT, Request

RESPONSES = "/v1/responses"
EMBEDDINGS = "/v1/embeddings"
SOMALI = "Ilmuhu wuxuu dareemaa jacayl marka waalidku si fiican u dhegaysto."
MODEL = "gpt-4o-mini"


def test_tokens_are_counted_with_the_models_own_encoding():
    assert count_tokens("gpt-4o-mini", SOMALI) == 21
    assert count_tokens("ft:gpt-4o-mini-2024-07-18:us::1", SOMALI) == 21
    assert count_tokens("gpt-6-luna", SOMALI) == 21
    assert count_tokens("gpt-4", SOMALI) > 21  # an older encoding
    assert count_tokens("ft:gpt-4-0613:us::1", SOMALI) > 21
    assert count_tokens("text-embedding-3-small", SOMALI) > 21


def test_text_that_looks_like_a_special_token_is_counted_as_text():
    assert count_tokens("gpt-4o-mini", "<|endoftext|>") > 1


def test_a_very_long_text_is_counted_in_pieces():
    assert count_tokens("gpt-4o-mini", "word " * 100_000) >= 100_000


def test_a_chat_is_counted_with_its_format_whether_in_one_text_or_in_parts():
    plain = {"messages": [{"role": "user", "content": SOMALI}]}
    parts = {
        "messages": [{"role": "user", "content": [{"type": "text", "text": SOMALI}]}]
    }

    counted = count_request(CHAT, MODEL, plain)

    assert counted == PER_REQUEST + PER_MESSAGE + 21
    assert count_request(CHAT, MODEL, parts) == counted


@pytest.mark.parametrize(
    "given",
    [
        SOMALI,
        [{"role": "user", "content": SOMALI}],
        [{"role": "user", "content": [{"type": "input_text", "text": SOMALI}]}],
    ],
)
def test_a_responses_body_is_counted_like_a_chat(given):
    body = {"input": given, "instructions": "Translate.", "max_output_tokens": 9}

    counted = count_request(RESPONSES, MODEL, body)

    instructions = PER_MESSAGE + count_tokens(MODEL, "Translate.")
    assert counted == PER_REQUEST + PER_MESSAGE + 21 + instructions


def test_a_schema_and_tools_are_part_of_the_input():
    body = {"input": SOMALI, "max_output_tokens": 9}
    schema = {"type": "json_schema", "schema": {"type": "object"}}

    with_schema = count_request(RESPONSES, MODEL, {**body, "text": {"format": schema}})
    with_tools = count_request(RESPONSES, MODEL, {**body, "tools": [schema]})

    assert min(with_schema, with_tools) > count_request(RESPONSES, MODEL, body) + 10


@pytest.mark.parametrize(
    ("given", "tokens"),
    [("one two", 2), (["one two", "three"], 3), ([1, 2, 3], 3), ([[1, 2], [3]], 3)],
)
def test_embeddings_are_counted_without_any_format(given, tokens):
    assert count_request(EMBEDDINGS, "text-embedding-3-small", {"input": given}) == (
        tokens
    )


def test_what_cannot_be_counted_is_refused_as_it_could_not_be_reserved():
    image = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    body = {"messages": [{"role": "user", "content": [image]}]}

    with pytest.raises(BatchError, match="'image_url' part cannot be counted"):
        count_request(CHAT, MODEL, body)


@pytest.mark.parametrize("endpoint", [CHAT, RESPONSES])
@pytest.mark.parametrize(
    "limits",
    [
        {},
        {"max_output_tokens": 0},
        {"max_completion_tokens": -1},
        {"max_tokens": "100"},
        {"max_tokens": True},
        {"max_tokens": None},
        {"max_tokens": 5, "max_completion_tokens": 5},
    ],
)
def test_a_request_that_does_not_bound_its_output_is_refused(endpoint, limits):
    request = Request({"messages": [], **limits})

    with pytest.raises(BatchError, match="must bound its output"):
        render(request, provider="sandbox", endpoint=endpoint, model=MODEL)


def test_several_answers_to_one_request_are_refused_as_each_is_paid_for():
    request = Request({"messages": [], "max_tokens": 5, "n": 2})

    with pytest.raises(BatchError, match="n is 2"):
        render(request, provider="sandbox", endpoint=CHAT, model=MODEL)


def test_an_embedding_has_no_output_to_bound():
    rendered = render(
        Request({"input": "one two"}),
        provider="sandbox",
        endpoint=EMBEDDINGS,
        model="text-embedding-3-small",
    )

    assert (rendered.input_tokens, rendered.output_limit) == (2, 0)
