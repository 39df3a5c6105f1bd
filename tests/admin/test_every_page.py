"""Every list of the admin and every address of the API, with few rows and with many."""

import pytest
from django.contrib import admin
from django.utils import timezone

from batches.benchmark import pages
from batches.benchmark.report import TARGETS
from batches.benchmark.seeding import Load, seed
from batches.models import BatchItem, BatchJob, Run
from batches.services.recount import recount
from batchsite.load import arguments, load_contents
from translations.models import Translation

pytestmark = pytest.mark.django_db

FEW, MORE = 60, 2_000
MOST_QUERIES = TARGETS["P8-queries"].bound


def load(items, **given):
    seed(Load(items, timezone.now(), **given), load_contents(), lambda count: None)


@pytest.fixture(autouse=True)
def static_root(settings, tmp_path):
    """Whitenoise warns of a directory for static files that is not there."""
    settings.STATIC_ROOT = tmp_path


def look(found, times):
    """{address: visit} of the admin's lists and of the API."""
    with pages.visitor() as client:
        visits = [pages.visit(client, address, times=times) for address in found]
    assert [one.address for one in visits if one.status >= 500] == []
    return {one.address: one for one in visits if one.is_page}


def api_addresses():
    return [
        address
        for address in pages.addresses(arguments())
        if address.startswith("/api/") and address != "/api/docs"
    ]


@pytest.mark.slow
def test_no_list_asks_more_or_counts_items_the_more_rows_there_are():
    load(FEW)
    lists = pages.list_addresses()
    before = look([*lists, *api_addresses()], times=1)
    load(MORE, seed=2)

    after = look([*lists, *api_addresses()], times=0)

    assert len(before) > len(lists)
    assert len(after) >= len(lists)
    queries = {one: len(visit.queries) for one, visit in after.items()}
    assert {one: n for one, n in queries.items() if n > MOST_QUERIES} == {}
    assert {
        one: (len(visit.queries), queries[one])
        for one, visit in before.items()
        if one in after and queries[one] > len(visit.queries)
    } == {}
    assert {one: visit.counts for one, visit in after.items() if visit.counts} == {}


def test_every_list_of_the_admin_is_looked_at():
    found = pages.addresses({})

    assert set(pages.list_addresses()) <= set(found)
    assert len(pages.list_addresses()) == len(admin.site._registry)
    assert "/admin/translations/translation/review/" in found
    assert "/api/v1/ai/batch" in found


@pytest.mark.parametrize(
    ("sql", "counts"),
    [
        ('SELECT COUNT(*) FROM "batches_batchitem"', True),
        ('SELECT COUNT("batches_openitem"."item_id") FROM "batches_openitem"', True),
        ('SELECT COUNT(*) FROM (SELECT 1 FROM "batches_batchitem" LIMIT 9)', False),
        ('SELECT COUNT(*) FROM "batches_batchjob"', False),
        ('SELECT "id" FROM "batches_batchitem"', False),
    ],
)
def test_a_count_of_items_is_told_from_a_bounded_one(sql, counts):
    assert pages.counts_items(sql) is counts


def test_every_figure_of_a_load_is_what_its_rows_add_up_to():
    load(2_000, jobs=60)
    load(500, seed=2)

    assert recount(repair=False) == []
    assert BatchItem.objects.count() == 2_500
    assert Translation.objects.exists()
    statuses = BatchJob.objects.values_list("status", flat=True).distinct()
    assert len(statuses) >= 8


def test_figures_alone_are_those_of_as_many_items():
    load(100_000, with_items=False)

    assert not BatchItem.objects.exists()
    assert sum(Run.objects.values_list("items_collected", flat=True)) == 100_000
    in_jobs = sum(BatchJob.objects.values_list("items_total", flat=True))
    assert 99_000 <= in_jobs <= 100_000
