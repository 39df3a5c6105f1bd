"""Prompts side by side: what the arms of runs come to, beside the runs' own figures."""

import csv
from io import StringIO

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from batches.benchmark.pages import counts_items
from batches.monitoring.arms import as_csv, compare_runs, compare_workload
from batches.services.arms import weigh
from batches.services.collection import collect_run
from batches.services.prompts import write_version
from batches.states import ItemStatus
from batches.workloads import get_workload, registered
from tests.batches.reusing import CheckedCaptions
from tests.driving import work_off
from tests.factories import make_paintings, make_run

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def workload():
    with registered(CheckedCaptions) as found:
        yield found


@pytest.fixture
def compared(sandbox):
    """A finished run of 200 subjects in two arms; some fail, some are flagged."""
    make_paintings(*[f"{n} {mark(n)} {'x' * (n % 7)}" for n in range(200)])
    candidate = write_version(
        get_workload("checked_captions"), "Write a rhyme.", note="", by="amina"
    )
    weigh(candidate, 50, by="amina")
    run = make_run("checked_captions")
    collect_run(run)
    work_off(seconds=60)
    run.refresh_from_db()
    return run


def mark(number):
    return "ODD" if number % 10 == 0 else "BAD" if number % 10 == 1 else ""


def test_two_arms_add_up_to_their_run(compared):
    found = compare_runs("checked_captions", [compared])

    assert [arm.version.number for arm in found.arms] == [1, 2]
    assert found.differences == []
    for name in ("items", "complete", "failed", "cancelled", "open", "cost_nanos"):
        assert sum(getattr(arm, name) for arm in found.arms) == getattr(
            found.total, name
        )
    assert (found.total.items, found.total.failed, found.total.open) == (200, 20, 0)
    assert found.total.cost_nanos > 0


def test_an_arm_tells_what_failed_and_what_was_flagged(compared):
    found = compare_runs("checked_captions", [compared])

    assert sum(arm.flagged for arm in found.arms) == 20
    for arm in found.arms:
        assert 0 < arm.flagged < 20
        assert arm.error_rate == arm.failed / (arm.complete + arm.failed)
        assert arm.nanos_per_result == arm.cost_nanos // arm.complete
        assert arm.sandbox_nanos == arm.cost_nanos


def test_a_workload_is_compared_over_its_latest_runs(compared):
    second = make_run("checked_captions")
    collect_run(second)
    work_off(seconds=60)

    found = compare_workload("checked_captions", days=30, now=timezone.now())

    assert {run.pk for run in found.runs} == {compared.pk, second.pk}
    assert sum(arm.items for arm in found.arms) == found.total.items == 400
    assert found.differences == []
    assert compare_workload("captions", days=30, now=timezone.now()).arms == []


def test_the_table_has_a_row_an_arm_and_one_of_the_runs(compared):
    text = as_csv(compare_runs("checked_captions", [compared]))

    rows = list(csv.DictReader(StringIO(text)))
    assert [row["prompt"] for row in rows] == [
        "checked_captions prompt 1",
        "checked_captions prompt 2",
        "the runs themselves",
    ]
    *arms, total = rows
    for column in ("items", "complete", "failed", "cancelled", "open"):
        assert sum(int(row[column]) for row in arms) == int(total[column])
    assert [row["label"] for row in arms] == ["production", "trial"]


def test_the_number_of_queries_does_not_grow_with_the_arms(
    compared, django_assert_max_num_queries
):
    with django_assert_max_num_queries(4):
        compare_runs("checked_captions", [compared])


def test_a_part_of_a_run_is_its_first_items_and_says_so(compared):
    found = compare_runs("checked_captions", [compared], most=50)

    assert (found.is_part, found.differences) == (True, [])
    assert sum(arm.items for arm in found.arms) == 50
    keys = list(compared.items.order_by("pk").values_list("pk", flat=True)[:50])
    failed = compared.items.filter(pk__in=keys, status=ItemStatus.FAILED)
    assert sum(arm.failed for arm in found.arms) == failed.count() > 0
    assert found.total.items == 200


@pytest.mark.parametrize("most", [200, 1_000])
def test_a_bound_that_is_not_reached_changes_nothing(compared, most):
    whole = compare_runs("checked_captions", [compared])

    assert compare_runs("checked_captions", [compared], most=most) == whole


@pytest.mark.parametrize(("most", "runs"), [(100, 1), (399, 1), (400, 2)])
def test_as_many_of_the_newest_runs_are_compared_as_fit(compared, most, runs):
    second = make_run("checked_captions")
    collect_run(second)
    work_off(seconds=60)
    now = timezone.now()

    found = compare_workload("checked_captions", days=30, now=now, most=most)

    assert list(found.runs) == [second, compared][:runs]
    assert sum(arm.items for arm in found.arms) == min(most, 200 * runs)
    assert found.is_part == (most < 200)


def test_the_page_counts_no_items_without_a_bound_and_the_file_has_all(
    compared, admin_client, monkeypatch
):
    monkeypatch.setattr("batches.admin.prompt_pages.MOST_ITEMS", 50)
    url = f"{reverse('admin:batches_promptversion_compare')}?run={compared.pk}"

    with CaptureQueriesContext(connection) as asked:
        page = admin_client.get(url).content.decode()
    rows = csv.DictReader(
        StringIO(admin_client.get(f"{url}&format=csv").content.decode())
    )

    assert not [one["sql"] for one in asked if counts_items(one["sql"])]
    assert "The first 50 requests are compared" in page
    assert [int(row["items"]) for row in rows][-1] == 200
