"""The lists: what they show, in how many queries, and that they count no hot table."""

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from batches.admin.display import list_url
from batches.models import (
    AuditEntry,
    BatchItem,
    BatchJob,
    Event,
    ItemAttempt,
    OpenItem,
    Run,
)
from batches.states import EventKind, ItemStatus
from translations.lessons.models import Lesson
from translations.models import Translation

pytestmark = pytest.mark.django_db

HOT_TABLES = {
    "batches_batchitem",
    "batches_openitem",
    "batches_itemattempt",
    "batches_itemrequest",
    "batches_event",
    "batches_auditentry",
    "batches_strayline",
    "batches_hourlyusage",
}


@pytest.fixture
def many(make_run, make_job, make_item, make_failure, make_lesson, make_translation):
    """A few runs, each with a job, items of every status, and translations."""
    for _ in range(5):
        run = make_run(items_collected=4)
        job = make_job(runs=[run], items_total=4)
        for lesson in [make_lesson(), make_lesson()]:
            make_item(run=run, job=job, subject=lesson)
            make_translation(lesson)
        make_failure(run=run, job=job)
        make_item(ItemStatus.IN_JOB, run=run, job=job)
        make_item(ItemStatus.PENDING, run=run)
        Event.objects.create(run=run, kind=EventKind.RUN_CREATED)


# session, user, the rows; and what the name says
@pytest.mark.parametrize(
    ("model", "queries"),
    [
        (Run, 7),  # two counts, holds, alerts
        (BatchJob, 7),  # two counts, holds, alerts
        (BatchItem, 4),  # names of subjects
        (OpenItem, 4),  # names of subjects
        (ItemAttempt, 3),
        (Event, 3),
        (AuditEntry, 3),
        (Translation, 5),  # names of subjects, the languages set
        (Lesson, 6),  # two counts, languages of the filter
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_list_takes_few_queries_whatever_it_shows(
    admin_client, many, django_assert_num_queries, model, queries
):
    admin_client.get(list_url(model))  # content types and learned names are kept

    with django_assert_num_queries(queries):
        response = admin_client.get(list_url(model))

    assert response.status_code == 200


@pytest.mark.parametrize(
    "url",
    [
        "run/",
        "batchjob/",
        "batchitem/",
        "batchitem/?status=processing_failed&run=1&job=1&q=1&error=x",
        "batchitem/?p=older-3",
        "batchitem/?_facets=True",
        "openitem/",
        "itemattempt/?outcome=failed",
        "itemrequest/",
        "event/",
        "auditentry/?q=a",
        "strayline/",
        "hourlyusage/",
    ],
)
def test_no_list_counts_a_hot_table(admin_client, many, url):
    with CaptureQueriesContext(connection) as captured:
        response = admin_client.get(f"/admin/batches/{url}")

    assert response.status_code == 200
    counts = [q["sql"] for q in captured if re.search(r"\bCOUNT\(", q["sql"])]
    assert not [sql for sql in counts if any(f'"{t}"' in sql for t in HOT_TABLES)]
