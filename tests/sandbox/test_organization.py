"""Usage and costs of the organisation, asked for by the client (Provider facts 9)."""

import time
from decimal import Decimal

import openai
import pytest
from openai.types.admin.organization import (
    UsageCompletionsResponse,
    UsageCostsResponse,
)

from tests.sandbox.fixtures import chat_line, run, running_sandbox

DAY = 86_400


@pytest.fixture(scope="module")
def used():
    """A sandbox in which two batches ran, both batches, and an admin's client."""
    with running_sandbox() as process, process.client() as client:
        small = run(client, [chat_line("a", "Hello"), chat_line("b", "Hello there")])
        other = run(client, [chat_line("c", model="gpt-5-mini")])
        with process.client(admin_api_key="sk-admin-1") as admin:
            yield process, admin.admin.organization.usage, (small, other)


@pytest.fixture
def usage(used):
    return used[1]


def start_of_day():
    now = int(time.time())
    return now - now % DAY


def results(answer):
    return [result for bucket in answer.data for result in bucket.results]


def test_usage_has_the_published_shape_and_the_tokens_of_the_batches(used):
    _, usage, batches = used

    answer = usage.completions(start_time=start_of_day())

    UsageCompletionsResponse.model_validate(answer.to_dict(), strict=True)
    assert (answer.object, answer.has_more, answer.next_page) == ("page", False, None)
    (result,) = results(answer)
    assert result.object == "organization.usage.completions.result"
    assert result.num_model_requests == 3
    assert result.input_tokens == sum(b.usage.input_tokens for b in batches)
    assert result.output_tokens == sum(b.usage.output_tokens for b in batches)
    assert result.input_cached_tokens == 0
    assert (result.model, result.batch, result.project_id) == (None, None, None)


def test_it_is_grouped_by_what_is_asked_for(used):
    _, usage, (small, other) = used

    answer = usage.completions(
        start_time=start_of_day(), group_by=["model", "batch", "project_id"]
    )

    assert [
        (r.model, r.batch, r.project_id, r.input_tokens) for r in results(answer)
    ] == [
        ("gpt-4o-mini", True, "proj_sandbox", small.usage.input_tokens),
        ("gpt-5-mini", True, "proj_sandbox", other.usage.input_tokens),
    ]


def test_it_is_narrowed_to_models_projects_and_batches(usage):
    start = start_of_day()

    one = usage.completions(start_time=start, models=["gpt-5-mini"])
    nobody = usage.completions(start_time=start, project_ids=["proj_other"])
    batches = usage.completions(start_time=start, batch=True)
    others = usage.completions(start_time=start, batch=False)

    assert [r.num_model_requests for r in results(one)] == [1]
    assert results(nobody) == []
    assert [r.num_model_requests for r in results(batches)] == [3]
    assert results(others) == []


@pytest.mark.parametrize(
    ("width", "seconds", "default", "most"),
    [("1m", 60, 60, 1_440), ("1h", 3_600, 24, 168), ("1d", DAY, 7, 31)],
)
def test_buckets_come_in_pages_of_their_width(usage, width, seconds, default, most):
    start = start_of_day() - 40 * DAY

    page = usage.completions(start_time=start, bucket_width=width)
    largest = usage.completions(start_time=start, bucket_width=width, limit=most)

    assert (len(page.data), page.has_more) == (default, True)
    assert len(largest.data) == most
    assert {b.end_time - b.start_time for b in page.data} == {seconds}
    following = usage.completions(
        start_time=start, bucket_width=width, page=page.next_page
    )
    assert following.data[0].start_time == page.data[-1].end_time
    with pytest.raises(openai.BadRequestError, match="above maximum value"):
        usage.completions(start_time=start, bucket_width=width, limit=most + 1)


def test_all_pages_together_hold_everything_once(usage):
    start, found, page = start_of_day() - 40 * DAY, [], {}
    while True:
        answer = usage.completions(start_time=start, **page)
        found += results(answer)
        if not answer.next_page:
            break
        page = {"page": answer.next_page}

    assert [r.num_model_requests for r in found] == [3]


def test_the_start_is_part_of_the_range_and_the_end_is_not(usage):
    now = int(time.time())

    before = usage.completions(start_time=now - 3 * DAY, end_time=now - 2 * DAY)
    after = usage.completions(start_time=now + 60, end_time=now + 120)

    assert (results(before), results(after)) == ([], [])


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"bucket_width": "1w"}, "bucket_width"),
        ({"group_by": ["colour"]}, "group_by"),
        ({"limit": 0}, "limit"),
        ({"page": "page_x"}, "page"),
        ({"end_time": 1}, "end_time"),
    ],
)
def test_what_it_does_not_know_is_refused(usage, given, param):
    with pytest.raises(openai.BadRequestError) as refused:
        usage.completions(**{"start_time": start_of_day(), **given})

    assert refused.value.param == param


def test_costs_add_up_to_the_price_of_the_tokens(used):
    _, usage, (small, other) = used

    answer = usage.costs(start_time=start_of_day())

    UsageCostsResponse.model_validate(answer.to_dict(), strict=True)
    (result,) = results(answer)
    # batch prices of gpt-4o-mini and gpt-5-mini for a million tokens
    expected = (
        small.usage.input_tokens * Decimal("0.075")
        + small.usage.output_tokens * Decimal("0.30")
        + other.usage.input_tokens * Decimal("0.125")
        + other.usage.output_tokens * Decimal("1.00")
    ) / 1_000_000
    assert result.amount.currency == "usd"
    assert result.amount.value == pytest.approx(float(expected))
    assert (result.line_item, result.quantity) == (None, None)


def test_costs_by_line_item_name_their_quantity(used):
    _, usage, (_, other) = used

    answer = usage.costs(start_time=start_of_day(), group_by=["line_item"])

    by_item = {r.line_item: r.quantity for r in results(answer)}
    assert by_item["gpt-5-mini, batch, output_tokens"] == other.usage.output_tokens
    assert {r.quantity_unit for r in results(answer)} == {"tokens"}


@pytest.mark.parametrize(
    "given", [{"bucket_width": "1h"}, {"limit": 181}, {"group_by": ["batch"]}]
)
def test_costs_come_by_the_day_and_not_by_batch(usage, given):
    with pytest.raises(openai.BadRequestError):
        usage.costs(**{"start_time": start_of_day(), **given})


def test_a_project_s_key_reads_neither(used):
    process, _, _ = used
    with process.client(admin_api_key="sk-proj-1") as client:
        asked = client.admin.organization.usage

        for call in (asked.completions, asked.costs):
            with pytest.raises(openai.PermissionDeniedError, match="api.usage.read"):
                call(start_time=start_of_day())
