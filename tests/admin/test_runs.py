import pytest

from batches.admin.display import list_url, row_url
from batches.models import BatchItem, BatchJob, ConfigOverride, Event, JobShare, Run
from batches.states import EventKind, ItemStatus, JobStatus, RunStatus

pytestmark = pytest.mark.django_db


def test_the_list_sums_shares_and_keeps_pretended_money_apart(page, make_run, make_job):
    run = make_run(items_collected=3, unsent_failed=1)
    share = {"sent": 2, "complete": 2, "cost_nanos": 1_250_000_000, "follow_ups": 1}
    make_job(runs=[run], share=share)
    make_job(runs=[run], provider="sandbox", share={"sent": 1, "cost_nanos": 30_000})

    html = page(list_url(Run))

    assert "$1.25, and $0.0000300 (sandbox)" in html
    assert '<progress value="3" max="4">75 %</progress>' in html
    assert "Running" in html
    assert f"{list_url(BatchItem, run=run.pk)}" in html


def test_the_page_tells_where_a_run_stands(page, make_run, make_job):
    run = make_run(items_collected=72, subjects_collected=12, skipped={"a quiz": 4})
    job = make_job(
        runs=[run],
        share={"sent": 70, "complete": 60, "failed": 5, "cost_nanos": 20_000_000},
    )

    html = page(row_url(Run, run.pk))

    assert "65 of 72" in html
    assert "65 of 70" in html
    assert row_url(BatchJob, job.pk) in html
    assert "$0.0200" in html
    assert "a quiz" in html
    assert "2 items wait for the next job to be made." in html
    assert f"Job {job.pk} (Running): the provider works on it" in html


def test_the_page_is_found_under_the_public_id(page, make_run):
    run = make_run()

    assert f"run {run.pk} (translation)" in page(row_url(Run, run.public_id))


def test_events_are_shown_oldest_first(page, make_run, make_job):
    run = make_run()
    for kind in (EventKind.RUN_CREATED, EventKind.RUN_COLLECTED):
        Event.objects.create(run=run, kind=kind, data={"items": 72})

    html = page(row_url(Run, run.pk))

    created, collected = EventKind.RUN_CREATED.label, EventKind.RUN_COLLECTED.label
    assert html.index(f"<bdi>{created}</bdi>") < html.index(f"<bdi>{collected}</bdi>")
    assert "items: 72" in html


def test_of_many_events_the_latest_are_shown(page, make_run, monkeypatch):
    monkeypatch.setattr("batches.admin.history.EVENTS_SHOWN", 2)
    run = make_run()
    for number in range(3):
        Event.objects.create(
            run=run, kind=EventKind.RUN_PROGRESS, message=f"step {number}"
        )

    html = page(row_url(Run, run.pk))

    assert "step 0" not in html
    assert html.index("step 1") < html.index("step 2")
    assert list_url(Event, run=run.pk) in html


def test_failed_items_are_listed_with_their_last_error(
    page, make_run, make_job, make_failure, make_attempt
):
    run, other = make_run(), make_run()
    job = make_job(runs=[run, other], share={"sent": 2, "failed": 1})
    first_job = make_job(runs=[run], share={"sent": 1, "failed": 1})
    failed = make_failure(run=run, job=job, message="No JSON at line 1.")
    make_attempt(failed, "failed", job=first_job, error_message="An older error.")
    make_failure(run=other, job=job, message="Of another run.")
    run.unsent_failed = 1
    run.save()
    make_failure(run=run, message="Too large to send.")

    html = page(row_url(Run, run.pk))

    assert "No JSON at line 1." in html
    assert "Too large to send." in html
    assert "An older error." not in html
    assert "Of another run." not in html
    assert (
        list_url(BatchItem, status=ItemStatus.FAILED.value, run=run.pk).replace(
            "&", "&amp;"
        )
        in html
    )


def test_only_the_first_failed_items_are_shown(
    page, make_run, make_failure, monkeypatch
):
    monkeypatch.setattr("batches.admin.items.FAILURES_SHOWN", 2)
    run = make_run(unsent_failed=3)
    failures = [make_failure(run=run, message=f"failure {n}") for n in range(3)]

    html = page(row_url(Run, run.pk))

    assert row_url(BatchItem, failures[1].pk) in html
    assert "failure 2" not in html
    assert "The first 2 are shown." in html


def test_the_page_takes_as_many_queries_for_one_job_as_for_many(
    admin_client, make_run, make_job, make_failure, django_assert_max_num_queries
):
    run = make_run()
    for _ in range(8):
        job = make_job(runs=[run], share={"sent": 3, "failed": 1})
        make_failure(run=run, job=job)
    admin_client.get(row_url(Run, run.pk))

    # session, user, run, figures, shares, in flight, failures, subjects, events, and
    # four settings that say what the pool waits for
    with django_assert_max_num_queries(13):
        admin_client.get(row_url(Run, run.pk))


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"status": RunStatus.COLLECTING, "collected_at": None}, "is being collected"),
        ({"may_wait": True, "items_collected": 2}, "for a fuller job: until 10 are"),
        ({"items_collected": 1}, "1 item waits for the next job"),
    ],
)
def test_a_run_says_what_it_waits_for(page, make_run, given, sentence):
    run = make_run(**given)

    assert sentence in page(row_url(Run, run.pk))


def test_a_paused_run_says_so(page, make_run):
    run = make_run(items_collected=1)
    run.paused_at = run.created_at
    run.save()

    html = page(row_url(Run, run.pk))

    assert "It is paused since" in html
    assert "for the next job" not in html


def test_a_run_says_that_jobs_are_switched_off(page, make_run):
    ConfigOverride.objects.create(name="BATCH_CREATION_ENABLED", value=False)
    run = make_run(items_collected=2)

    assert "new jobs are switched off" in page(row_url(Run, run.pk))


def test_a_finished_run_waits_for_nothing(page, make_run):
    run = make_run(RunStatus.COMPLETED)

    assert "What it waits for" not in page(row_url(Run, run.pk))


@pytest.mark.parametrize("term", ["key", "public_id", "owner"])
def test_a_run_is_found(page, make_run, django_user_model, term):
    owner = django_user_model.objects.create_user("Hodan")
    run, other = make_run(owner=owner), make_run()
    terms = {
        "key": str(run.pk),
        "public_id": str(run.public_id)[:10],
        "owner": "hodan",
    }

    html = page(list_url(Run, q=terms[term]))

    assert row_url(Run, run.pk) in html
    assert row_url(Run, other.pk) not in html


def test_the_share_of_a_returned_item_counts_as_ended_in_its_job(
    page, make_run, make_job
):
    run = make_run(items_collected=1)
    job = make_job(JobStatus.EXPIRED, runs=[run], share={"sent": 1, "returned": 1})

    html = page(row_url(Run, run.pk))

    assert JobShare.objects.get(job=job).in_flight == 0
    assert "1 item waits for the next job" in html


@pytest.mark.parametrize("term", ["nobody", "%", "9" * 25, "²", "'"])
def test_what_no_run_has_finds_none(page, make_run, term):
    run = make_run()

    assert row_url(Run, run.pk) not in page(list_url(Run, q=term))


def test_a_short_number_is_a_runs_own(page, make_run):
    run = make_run()
    other = make_run(public_id=f"{run.pk:x}".ljust(32, "a"))

    html = page(list_url(Run, q=run.pk))

    assert row_url(Run, run.pk) in html
    assert row_url(Run, other.pk) not in html
