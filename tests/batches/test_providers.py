"""The client's side of the provider: words, counts, prices, lines."""

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from pydantic import BaseModel

from batches.errors import UnknownPrice, UnknownProvider
from batches.models.money import to_nanos, to_usd
from batches.providers.errors import ProviderError
from batches.providers.pricing import Rate, batch_rate
from batches.providers.registry import active_provider, get_provider
from batches.providers.result_lines import read_line
from batches.providers.tokens import count_tokens
from batches.services.rendering import render, worst_case_nanos
from batches.wire_schema import strict_schema
from batches.workloads import Request

NOVEMBER = datetime(2026, 11, 22, tzinfo=UTC)


@pytest.mark.parametrize(
    ("model", "input_usd", "output_usd"),
    [
        ("gpt-4o-mini", "0.075", "0.30"),
        ("gpt-4o-mini-2024-07-18", "0.075", "0.30"),
        ("gpt-4.1", "1", "4"),
        ("gpt-5-nano", "0.025", "0.20"),
    ],
)
def test_rates_are_those_of_the_batch_table(model, input_usd, output_usd):
    rate = batch_rate(model, NOVEMBER)

    assert rate.input_usd == Decimal(input_usd)
    assert rate.output_usd == Decimal(output_usd)


def test_a_time_before_the_rates_began_does_not_give_the_full_price():
    assert batch_rate("gpt-4o-mini", datetime(2024, 1, 1, tzinfo=UTC)).input_usd == (
        Decimal("0.075")
    )


@pytest.mark.parametrize("model", ["gpt-nonsense", "text-embedding-3-small"])
def test_a_model_without_a_batch_price_is_an_error_and_never_free(model):
    with pytest.raises(UnknownPrice, match=model):
        batch_rate(model, NOVEMBER)


def test_cached_tokens_are_part_of_the_input():
    rate = batch_rate("gpt-5-nano", NOVEMBER)

    assert rate.nanos(1000, 400, 10) == 15_000 + 1_000 + 2_000


def test_a_batch_of_the_academy_costs_two_cents():
    """120 requests of 500 tokens in and out: 0.0045 $ and 0.018 $."""
    rate = batch_rate("gpt-4o-mini", NOVEMBER)

    cost = to_usd(rate.nanos(60_000, 0, 60_000))

    assert cost == Decimal("0.0225")
    assert f"{cost:.2f}" == "0.02"


def test_money_is_rounded_half_up():
    assert to_nanos(Decimal("0.0000000005")) == 1
    assert to_nanos(Decimal("0.0000000004")) == 0
    assert to_usd(1) == Decimal("0.000000001")


def test_a_price_between_two_nanos_is_rounded_half_up_and_a_reservation_up():
    rate = Rate(Decimal("0.0005"), Decimal("0.0004"), Decimal("0.0001"), "made up")

    assert [rate.nanos(tokens, 0, 0) for tokens in (0, 1, 2, 3)] == [0, 1, 1, 2]
    assert rate.nanos(2, 1, 0) == 1  # 0.5 and 0.4
    assert [rate.nanos_up(0, tokens) for tokens in (0, 1, 10, 11)] == [0, 1, 1, 2]


def test_a_reservation_is_at_least_what_the_limits_allow():
    rate = batch_rate("gpt-4o-mini", NOVEMBER)

    reserved = worst_case_nanos(rate, input_tokens=1001, output_limit=100)

    assert reserved >= rate.nanos(1101, 0, 100)


def test_tokens_are_counted_with_the_models_own_encoding():
    somali = "Ilmuhu wuxuu dareemaa jacayl marka waalidku si fiican u dhegaysto."

    assert count_tokens("gpt-4o-mini", somali) == 21
    assert count_tokens("gpt-4", somali) > 21  # an older encoding


def test_text_that_looks_like_a_special_token_is_counted_as_text():
    assert count_tokens("gpt-4o-mini", "<|endoftext|>") > 1


def test_a_very_long_text_is_counted_in_pieces():
    assert count_tokens("gpt-4o-mini", "word " * 100_000) >= 100_000


def test_a_request_that_does_not_bound_its_output_is_refused():
    with pytest.raises(Exception, match="bound its output"):
        render(
            Request({"messages": []}), provider="sandbox", endpoint="/x", model="gpt-4o"
        )


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
