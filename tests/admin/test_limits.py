"""The page of provider limits: slots, sizes, queues, and whether a provider answers."""

from datetime import timedelta

import pytest
from django.utils import timezone

from batches.admin.display import list_url, row_url
from batches.models import JobSize, ProviderState, TokenQueue
from batches.monitoring.limits import BY_HAND, LEARNED, TOLD, UNKNOWN, limits_now
from batches.states import JobStatus

pytestmark = pytest.mark.django_db


def test_the_page_shows_slots_sizes_and_queues_before_any_answer(page):
    html = page(list_url(ProviderState))

    assert "Slots" in html
    assert "translation" in html
    assert "Nothing was queued at a provider yet." in html


def test_the_page_shows_what_is_queued_beside_the_limit(page, make_job):
    make_job(JobStatus.IN_PROGRESS, queued_tokens=1_234_567)
    TokenQueue.objects.create(
        provider="openai",
        model="gpt-4o-mini",
        allowance=2_000_000,
        told_limit=2_000_000,
        refusals=3,
        refused_at=timezone.now(),
    )

    html = page(list_url(ProviderState))

    assert "1,234,567" in html
    assert "2,000,000" in html
    assert "told by the provider" in html


def test_a_provider_s_page_shows_its_rate_limits_and_what_is_waited_for(page):
    state = ProviderState.objects.create(
        provider="openai",
        failures=5,
        open_until=timezone.now() + timedelta(minutes=1),
        last_error="<b>gateway</b>",
        rate_limits={"remaining-requests": "4987"},
        rate_limits_at=timezone.now(),
    )

    html = page(row_url(ProviderState, state.pk))

    assert "remaining-requests" in html.lower()
    assert "4987" in html
    assert "openai to answer again" in html
    assert "<b>gateway</b>" not in html


@pytest.mark.parametrize(
    ("learned", "by_hand", "limit", "source"),
    [
        ({}, "", None, UNKNOWN),
        ({}, "gpt-4o-mini=50", 50, BY_HAND),
        ({"allowance": 90, "told_limit": 90}, "", 90, TOLD),
        ({"allowance": 80, "told_limit": 90}, "", 80, LEARNED),
        ({"allowance": 80}, "gpt-4o-mini=50", 50, BY_HAND),
        ({"allowance": 40}, "gpt-4o-mini=50", 40, LEARNED),
        ({"allowance": 40}, "gpt-4.1=5", 40, LEARNED),
    ],
)
def test_a_limit_says_where_it_comes_from(settings, learned, by_hand, limit, source):
    settings.TOKEN_QUEUE_LIMITS = by_hand
    TokenQueue.objects.create(provider="openai", model="gpt-4o-mini", **learned)

    (queue,) = limits_now(timezone.now()).queues

    assert (queue.limit, queue.source) == (limit, source)


def test_figures_count_what_is_unfinished_by_kind_of_work(make_job):
    make_job(JobStatus.IN_PROGRESS)
    make_job(JobStatus.COMPLETED)
    make_job(JobStatus.PROCESSED)
    JobSize.objects.create(workload="translation", size=700, items_failed=2)

    limits = limits_now(timezone.now())

    assert (limits.slots[0].taken, limits.slots[0].most) == (2, 10)
    by_key = {slots.workload: slots for slots in limits.slots}
    assert (by_key["translation"].taken, by_key["translation"].most) == (2, 3)
    sizes = {size.workload: size for size in limits.sizes}
    assert (sizes["captions"].planned, sizes["captions"].bounds) == (1000, None)


def test_the_page_takes_as_many_queries_however_many_rows(
    admin_client, make_job, django_assert_max_num_queries
):
    for number in range(20):
        make_job(JobStatus.IN_PROGRESS, model=f"model-{number}")
        TokenQueue.objects.create(provider="openai", model=f"model-{number}")

    with django_assert_max_num_queries(40):
        admin_client.get(list_url(ProviderState))
