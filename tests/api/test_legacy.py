"""/api/admin/legacy, S3.42-S3.51: for platform admins, and for nobody else."""

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext

from batches.models import AuditEntry, BatchItem, BatchJob
from batches.services.bundling import bundle
from batches.services.collection import collect_run
from batches.services.steering import cancel_run
from batches.states import ItemStatus
from tests.api.conftest import Caller
from tests.driving import work_off
from tests.factories import make_collected_run, make_job, make_paintings, make_run

pytestmark = pytest.mark.django_db

LEGACY = "/api/admin/legacy"
ADDRESSES = ("summary", "requests?status=processing_failed")


@pytest.fixture
def failed(sandbox) -> list[BatchItem]:
    """Three requests that failed at the provider, in a job that ended."""
    sandbox.faults(failed_lines={"rate": 1.0, "status": 400})
    make_collected_run(items=3)
    work_off()
    sandbox.clear_faults()
    return list(BatchItem.objects.order_by("pk"))


# --- who ------------------------------------------------------------------------------


def test_the_permission_opens_it_and_being_staff_does_not(document, make_user, client):
    user = make_user("hodan")
    client.force_login(user)
    caller = Caller(document, client)
    for path in ADDRESSES:
        answer = caller.get(f"{LEGACY}/{path}")
        assert (answer.status_code, answer.json()["ok"]) == (403, False)
        assert answer.json()["code"] == "forbidden"

    user.user_permissions.add(Permission.objects.get(codename="platform_admin"))

    for path in ADDRESSES:
        assert caller.get(f"{LEGACY}/{path}").status_code == 200


def test_without_a_name_or_with_less_than_an_admin_key_nothing_opens(
    anonymous, with_key, make_user, failed
):
    strangers = {
        401: [anonymous],
        403: [with_key("operate", "submit"), with_key("admin", owner=make_user("ali"))],
    }
    body = {"requestIds": [str(failed[0].pk)]}

    for status, callers in strangers.items():
        for caller in callers:
            for path in ADDRESSES:
                assert caller.get(f"{LEGACY}/{path}").status_code == status
            answer = caller.post(f"{LEGACY}/requests/requeue", body)
            assert (answer.status_code, answer.json()["ok"]) == (status, False)
    failed[0].refresh_from_db()
    assert failed[0].status == ItemStatus.FAILED


# --- how many -------------------------------------------------------------------------


def counted() -> dict[str, int]:
    """Cancelled requests are in no count of the document's."""
    statuses = list(BatchItem.objects.values_list("status", flat=True))
    told = [status for status in ItemStatus if status != ItemStatus.CANCELLED]
    return {status.value: statuses.count(status) for status in told}


def test_the_summary_is_what_the_items_are(program, sandbox, failed):
    make_collected_run(items=2)
    work_off()
    make_job(4)
    cancel_run(make_collected_run(items=1), by="test")
    make_paintings("TOO LARGE")
    collect_run(make_run())

    summary = program.get(f"{LEGACY}/summary").json()["summary"]

    assert BatchItem.objects.filter(status=ItemStatus.CANCELLED).exists()
    assert summary == counted()
    assert min(summary.values()) > 0


def test_the_summary_counts_no_items(program, failed):
    with CaptureQueriesContext(connection) as captured:
        program.get(f"{LEGACY}/summary")

    table = f'"{BatchItem._meta.db_table}"'
    assert not [one["sql"] for one in captured if table in one["sql"]]


# --- which ----------------------------------------------------------------------------


def test_a_request_has_the_names_of_the_example(program, failed):
    told = program.get(f"{LEGACY}/requests?status=processing_failed").json()

    assert told["ok"] is True
    assert told["nextCursor"] is None
    first, item = told["requests"][0], failed[0]
    assert (first["id"], first["sessionId"]) == (str(item.pk), item.object_id)
    assert first["status"] == "processing_failed"
    assert first["batchId"] == str(BatchJob.objects.get().public_id)
    assert first["errorCode"] == item.error_code


def test_pages_follow_each_other_without_gap_or_repetition(program, failed):
    make_collected_run(items=3)
    work_off()
    make_job(3)
    cancel_run(make_collected_run(items=3), by="test")
    make_collected_run(items=3)

    for status in ItemStatus:
        seen = seen_page_by_page(program, status, limit=2)

        there = BatchItem.objects.filter(status=status).order_by("pk")
        assert seen == list(there.values_list("pk", flat=True))
        assert len(seen) > 2, status


def seen_page_by_page(caller, status: ItemStatus, *, limit: int) -> list[int]:
    seen, cursor = [], ""
    while cursor is not None:
        page = caller.get(
            f"{LEGACY}/requests?status={status}&limit={limit}"
            + (f"&cursor={cursor}" if cursor else "")
        ).json()
        assert len(page["requests"]) <= limit
        seen += [int(one["id"]) for one in page["requests"]]
        cursor = page["nextCursor"]
    return seen


@pytest.mark.parametrize(
    ("query", "part"),
    [
        ("", "status is missing"),
        ("status=lost", "status is 'lost'"),
        ("status=processing_failed&limit=0", "limit is '0'"),
        ("status=processing_failed&limit=201", "limit is '201'"),
        ("status=processing_failed&cursor=next", "cursor is 'next'"),
        ("status=processing_failed&cursor=-1", "cursor is '-1'"),
    ],
)
def test_what_is_wrong_is_said(program, query, part):
    answer = program.get(f"{LEGACY}/requests?{query}")

    assert (answer.status_code, answer.json()["ok"]) == (400, False)
    assert part in answer.json()["error"]


# --- again ----------------------------------------------------------------------------


def test_failed_requests_go_into_a_new_batch(program, failed):
    before = BatchJob.objects.get()
    ids = [str(item.pk) for item in failed[:2]]

    answer = program.post(f"{LEGACY}/requests/requeue", {"requestIds": ids})

    assert answer.json() == {
        "ok": True,
        "requeuedCount": 2,
        "notFoundCount": 0,
        "skippedCount": 0,
    }
    statuses = BatchItem.objects.filter(pk__in=ids).values_list("status", flat=True)
    assert set(statuses) == {ItemStatus.PENDING}
    (job,) = bundle()
    assert job.pk != before.pk
    assert BatchItem.objects.filter(job=job).count() == 2
    entry = AuditEntry.objects.get(action="legacy.requeue")
    assert entry.after == {"named": 2, "found": 2, "requeued": 2}
    assert program.get(f"{LEGACY}/summary").json()["summary"] == counted()


def test_the_three_counts_add_up_to_the_distinct_ids(program, failed):
    waits = str(failed[1].pk)
    program.post(f"{LEGACY}/requests/requeue", {"requestIds": [waits]})
    ids = [
        str(failed[0].pk),
        str(failed[0].pk),
        waits,
        "999999999",
        "session-17",
        "9" * 64,
    ]

    answer = program.post(f"{LEGACY}/requests/requeue", {"requestIds": ids}).json()

    assert answer == {
        "ok": True,
        "requeuedCount": 1,
        "notFoundCount": 3,
        "skippedCount": 1,
    }


@pytest.mark.parametrize(
    ("body", "part"),
    [
        ({}, "requestIds is missing"),
        ({"requestIds": []}, "requestIds is []"),
        ({"requestIds": ["1"] * 1001}, "at most 1000"),
        ({"requestIds": [17]}, "requestIds.0 is 17"),
        ({"requestIds": ["1"], "status": "x"}, "status is no field"),
        ("[", "not JSON"),
    ],
)
def test_what_cannot_be_read_changes_nothing(program, body, part):
    answer = program.post(f"{LEGACY}/requests/requeue", body)

    assert (answer.status_code, answer.json()["ok"]) == (400, False)
    assert part in answer.json()["error"]
    assert not AuditEntry.objects.filter(action="legacy.requeue").exists()
