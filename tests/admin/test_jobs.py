import pytest

from batches.admin.display import list_url, row_url
from batches.models import BatchItem, BatchJob, Event, JobTally, Run, StrayLine
from batches.states import EventKind, JobStatus, StrayKind

pytestmark = pytest.mark.django_db


def test_the_list_shows_the_providers_progress_while_it_works(page, make_job):
    make_job(provider_total=200, provider_completed=90, provider_failed=10)

    assert '<progress value="100" max="200">50 %</progress>' in page(list_url(BatchJob))


def test_the_list_shows_what_was_read_once_the_provider_is_done(page, make_job):
    make_job(JobStatus.EXPIRED, items_total=4, items_complete=1, items_returned=2)

    html = page(list_url(BatchJob))

    assert '<progress value="3" max="4">75 %</progress>' in html
    assert "Partly done (expired)" in html


def test_the_page_shows_both_counts_and_the_runs_in_it(page, make_run, make_job):
    run = make_run()
    job = make_job(
        runs=[run],
        share={"sent": 20, "complete": 12},
        items_total=20,
        items_complete=12,
        provider_total=20,
        provider_completed=15,
        provider_status="in_progress",
        cost_nanos=1_500_000,
    )

    html = page(row_url(BatchJob, job.pk))

    assert "15 of 20" in html
    assert "12 of 20" in html
    assert "in_progress" in html
    assert "$0.00150" in html
    assert row_url(Run, run.pk) in html
    assert list_url(BatchItem, job=job.pk) in html


def test_moves_are_told_in_labels(page, make_job):
    job = make_job()
    Event.objects.create(
        job=job,
        kind=EventKind.BATCH_MOVED,
        message="claimed",
        data={"start": "pending", "to": "uploading"},
    )

    assert "Waiting → Sending. claimed" in page(row_url(BatchJob, job.pk))


def test_the_providers_answer_is_shown_as_it_came_but_harmless(page, make_job):
    job = make_job(provider_answer='{"errors": ["<script>x</script>"], "id": "b_1"}')

    html = page(row_url(BatchJob, job.pk))

    assert "&quot;&lt;script&gt;x&lt;/script&gt;&quot;" in html
    assert "<script>x" not in html


def test_an_answer_that_is_no_json_is_shown_too(page, make_job):
    job = make_job(provider_answer="<html>502 Bad Gateway")

    assert "&lt;html&gt;502 Bad Gateway" in page(row_url(BatchJob, job.pk))


def test_errors_lead_to_their_items_and_strays_to_their_list(page, make_run, make_job):
    first, second = make_run(), make_run()
    job = make_job(runs=[first, second])
    JobTally.objects.create(
        job=job, run=first, outcome="failed", error_code="refused", attempts=2
    )
    JobTally.objects.create(
        job=job, run=second, outcome="failed", error_code="refused", attempts=3
    )
    StrayLine.objects.create(
        job=job, file_id="f", line=1, kind=StrayKind.LATE, raw_line="{}"
    )

    html = page(row_url(BatchJob, job.pk))

    assert f"?job={job.pk}&amp;error=refused" in html
    assert "<bdi>5</bdi></td>" in html
    assert "1 line of its files was recorded" in html
    assert list_url(StrayLine, job=job.pk) in html


def test_the_page_takes_as_many_queries_for_one_run_as_for_many(
    admin_client, make_run, make_job, django_assert_num_queries
):
    job = make_job(runs=[make_run() for _ in range(8)])
    admin_client.get(row_url(BatchJob, job.pk))

    # session, user, job, shares, errors, strays, events
    with django_assert_num_queries(7):
        admin_client.get(row_url(BatchJob, job.pk))


def test_the_list_leaves_the_providers_answers_where_they_are(
    admin_client, make_job, django_assert_num_queries
):
    make_job(provider_answer="x")

    with django_assert_num_queries(7) as captured:
        admin_client.get(list_url(BatchJob))

    assert not [q for q in captured if "provider_answer" in q["sql"]]


@pytest.mark.parametrize("term", ["key", "public_id", "batch"])
def test_a_job_is_found(page, make_job, term):
    job, other = make_job(provider_batch_id="batch_68a"), make_job()
    terms = {
        "key": str(job.pk),
        "public_id": str(job.public_id)[:8],
        "batch": "batch_68",
    }

    html = page(list_url(BatchJob, q=terms[term]))

    assert row_url(BatchJob, job.pk) in html
    assert row_url(BatchJob, other.pk) not in html


def test_the_list_is_filtered_by_run(page, make_run, make_job):
    run = make_run()
    job, other = make_job(runs=[run]), make_job()

    for asked in (run.pk, run.public_id):
        html = page(list_url(BatchJob, run=asked))
        assert row_url(BatchJob, job.pk) in html
        assert row_url(BatchJob, other.pk) not in html
