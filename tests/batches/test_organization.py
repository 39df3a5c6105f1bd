"""The provider's own usage and costs, through the real client."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from batches.errors import ConfigError
from batches.providers.errors import ProviderError, ProviderUnreachable
from batches.providers.openai_organization import OrganizationUsage
from batches.providers.registry import get_organization
from tests.processes import free_port
from tests.sandbox.fixtures import chat_line, run, running_sandbox

ADMIN_KEY = "sk-admin-very-secret"


@pytest.fixture(scope="module")
def process():
    with running_sandbox() as process, process.client() as client:
        run(client, [chat_line("a")])
        run(client, [chat_line("b", model="gpt-5-mini")])
        yield process


def organization(url, key=ADMIN_KEY):
    return OrganizationUsage(
        "openai", base_url=url, admin_key=key, timeout_seconds=20, is_sandbox=True
    )


def days_ago(days):
    return datetime.now(UTC) - timedelta(days=days)


def later():
    return datetime.now(UTC) + timedelta(hours=1)


def test_usage_is_read_over_all_pages(process):
    found = list(organization(process.url).usage(days_ago(90), later()))

    assert [(u.model, u.project, u.requests) for u in found] == [
        ("gpt-4o-mini", "proj_sandbox", 1),
        ("gpt-5-mini", "proj_sandbox", 1),
    ]
    ledger = process.ledger()["by_model"]["gpt-5-mini"]
    assert found[1].input_tokens == ledger["input_tokens"]
    assert found[1].output_tokens == ledger["output_tokens"]
    assert found[1].start.hour == 0


def test_usage_comes_by_the_hour_and_the_minute_too(process):
    asked = organization(process.url)

    hours = list(asked.usage(days_ago(10), later(), bucket="1h"))
    minutes = list(asked.usage(days_ago(1), later(), bucket="1m"))

    assert sum(u.requests for u in hours) == sum(u.requests for u in minutes) == 2
    assert {u.start.minute for u in hours} == {0}
    assert {u.start.second for u in minutes} == {0}


def test_costs_are_dollars_by_line_item(process):
    found = list(organization(process.url).costs(days_ago(200), later()))

    usage = process.ledger()["by_model"]["gpt-4o-mini"]
    (cost,) = [c for c in found if c.line_item == "gpt-4o-mini, batch, output_tokens"]
    expected = usage["output_tokens"] * Decimal("0.30") / 1_000_000
    assert cost.usd == pytest.approx(expected)


def test_a_key_that_may_not_is_answered_with_what_to_do(process):
    with pytest.raises(ProviderError, match="OPENAI_ADMIN_KEY") as refused:
        list(organization(process.url, "sk-proj-1").usage(days_ago(1), later()))

    assert refused.value.status == 403


def test_the_key_is_in_no_message_and_no_text_of_the_object(process):
    asked = organization(process.url)
    asked._usage._client.max_retries = 0
    process.faults(wrong_key={"on": "organization"})
    try:
        with pytest.raises(ProviderError) as refused:
            list(asked.costs(days_ago(1), later()))
    finally:
        process.clear_faults()

    assert ADMIN_KEY not in f"{refused.value} {asked!r} {vars(refused.value)}"
    assert asked._masked(f"Incorrect API key: {ADMIN_KEY}.") == "Incorrect API key: …."


def test_a_bad_hour_is_an_error_of_ours(process):
    process.faults(http_502={"on": "organization"})
    try:
        with pytest.raises(ProviderError, match="502"):
            list(organization(process.url).usage(days_ago(1), later()))
    finally:
        process.clear_faults()


def test_an_address_where_nobody_is_is_unreachable():
    asked = organization(f"http://127.0.0.1:{free_port()}/v1")

    with pytest.raises(ProviderUnreachable, match="cannot be reached"):
        list(asked.usage(days_ago(1), later()))


@pytest.mark.django_db
def test_without_an_admin_key_nothing_is_asked(settings):
    settings.OPENAI_ADMIN_KEY = ""

    with pytest.raises(ConfigError, match="OPENAI_ADMIN_KEY is not set"):
        get_organization("openai")
