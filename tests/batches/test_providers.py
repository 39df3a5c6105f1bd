"""The client's side of the provider: words, counts, prices, lines."""

import json
from decimal import Decimal

import pytest
from pydantic import BaseModel

from batches.errors import UnknownProvider
from batches.models.money import to_nanos, to_usd
from batches.providers.errors import ProviderError
from batches.providers.registry import active_provider, get_provider
from batches.providers.result_lines import read_line
from batches.services.rendering import render
from batches.wire_schema import strict_schema
from batches.workloads import Request


def test_money_is_rounded_half_up():
    assert to_nanos(Decimal("0.0000000005")) == 1
    assert to_nanos(Decimal("0.0000000004")) == 0
    assert to_usd(1) == Decimal("0.000000001")


def test_rendering_is_canonical():
    one = Request({"messages": [], "max_tokens": 5, "temperature": 0})
    other = Request({"temperature": 0, "max_tokens": 5, "messages": []})

    rendered = [
        render(request, provider="sandbox", endpoint="/x", model="gpt-4o")
        for request in (one, other)
    ]

    assert rendered[0] == rendered[1]
    assert json.loads(rendered[0].body)["model"] == "gpt-4o"


def test_another_provider_makes_another_fingerprint():
    request = Request({"messages": [], "max_tokens": 5})

    prints = {
        render(request, provider=provider, endpoint="/x", model="gpt-4o").fingerprint
        for provider in ("sandbox", "openai")
    }

    assert len(prints) == 2


def test_a_schema_keeps_only_what_every_provider_takes():
    class Inner(BaseModel):
        note: str | None = None

    class Outer(BaseModel):
        title: str
        parts: list[Inner]

    assert strict_schema(Outer) == {
        "type": "object",
        "properties": {
            "title": {"type": "string"},
            "parts": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {"note": {"type": ["string", "null"]}},
                    "required": ["note"],
                    "additionalProperties": False,
                },
            },
        },
        "required": ["title", "parts"],
        "additionalProperties": False,
    }


def test_a_schema_with_a_choice_of_types_is_refused():
    class Model(BaseModel):
        value: str | int

    with pytest.raises(TypeError, match="one type or null"):
        strict_schema(Model)


@pytest.mark.parametrize(
    "raw", [b"", b"nonsense", b"[]", b'{"id": "x"}', b'{"custom_id": 5}']
)
def test_a_line_without_a_custom_id_is_none(raw):
    assert read_line(raw) is None


def test_a_line_that_says_nothing_is_an_error():
    read = read_line(b'{"custom_id": "5", "response": null, "error": null}')

    assert (read.custom_id, read.error_code) == ("5", "no_response")


def test_the_provider_is_the_environments_choice(settings):
    settings.BATCH_PROVIDER = "openai"
    settings.OPENAI_API_KEY = "sk-x"
    assert active_provider() == "openai"

    settings.BATCH_PROVIDER = "nobody"
    with pytest.raises(UnknownProvider, match="nobody"):
        active_provider()


@pytest.mark.django_db
def test_a_refusal_by_http_is_definite_only_with_the_providers_own_words(sandbox):
    provider = get_provider("sandbox")

    with pytest.raises(ProviderError) as refused:
        provider.retrieve("batch_nowhere")
    assert refused.value.is_definite
    assert refused.value.is_not_found

    sandbox.faults(http_502={"times": 9})
    with pytest.raises(ProviderError) as broken:
        provider.create(file_id="file-x", endpoint="/v1/chat/completions", metadata={})
    assert not broken.value.is_definite


@pytest.mark.django_db
@pytest.mark.parametrize("fault", ["reset", "http_500", "http_429"])
def test_a_create_is_one_request_whatever_the_answer(sandbox, fault):
    provider = get_provider("sandbox")
    sandbox.faults(**{fault: {"on": ["batches.create"], "times": 2}})

    with pytest.raises(ProviderError):
        provider.create(file_id="file-x", endpoint="/v1/chat/completions", metadata={})

    assert sandbox.faults()[fault]["times"] == 1
