"""Nothing goes out under a hold, and what is held says so."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from batches.errors import NotPossible
from batches.models import (
    AuditEntry,
    BatchJob,
    Hold,
    OpenItem,
    Run,
)
from batches.monitoring.explain import explain_job, explain_run
from batches.providers.errors import ProviderError
from batches.services.bundling import bundle
from batches.services.by_hand import submit_now
from batches.services.effects import lift_effect
from batches.services.holds import (
    BadHold,
    raise_hold,
    take_probe,
)
from batches.services.ingestion import ingest_jobs
from batches.services.pipeline import only_held_work_is_left
from batches.services.polling import poll_jobs
from batches.services.scopes import hold_work, lift
from batches.services.steering import (
    pause_run,
)
from batches.services.submission import submit_jobs
from batches.states import HoldScope, JobStatus
from tests.batches.holding import ends_well, later, probe_is_due, submit
from tests.factories import make_collected_run, make_job
from tests.gallery.models import Caption
from tests.sandbox.fixtures import wait_for

pytestmark = pytest.mark.django_db

SCOPES = [
    (HoldScope.ALL, ""),
    (HoldScope.PROVIDER, "sandbox"),
    (HoldScope.WORKLOAD, "captions"),
    (HoldScope.ACCOUNT, "school"),
]


# --- what a hold covers ---------------------------------------------------------------


@pytest.mark.parametrize(("scope", "key"), SCOPES)
def test_what_is_held_is_not_bundled_and_its_run_says_why(scope, key):
    hold_work(scope, key=key, reason="The glossary is wrong.", by="amina")
    run = make_collected_run(items=2, account="school")

    assert bundle() == []

    run.refresh_from_db()
    assert "2 items wait for amina to lift the hold on" in run.waiting_reason
    assert "The glossary is wrong." in run.waiting_reason
    assert run.waiting_reason in explain_run(run).facts["waits for"]
    assert "The glossary is wrong." in explain_run(run).facts["on hold"]


@pytest.mark.parametrize(
    ("scope", "key"),
    [
        (HoldScope.PROVIDER, "openai"),
        (HoldScope.WORKLOAD, "translation"),
        (HoldScope.ACCOUNT, "other"),
    ],
)
def test_what_is_not_held_goes_out(sandbox, scope, key):
    hold_work(scope, key=key, reason="not about us", by="amina")
    make_collected_run(items=2, account="school")

    ends_well()


@pytest.mark.parametrize(("scope", "key"), SCOPES)
def test_a_job_that_is_held_is_not_sent_and_says_why(sandbox, scope, key):
    run = make_collected_run(items=2, account="school")
    (job,) = bundle()
    hold_work(scope, key=key, reason="A mistake in the prompt.", by="amina")

    submit()

    job.refresh_from_db()
    assert (job.status, job.create_sent_at, job.input_file_id) == (
        JobStatus.PENDING,
        None,
        "",
    )
    assert "A mistake in the prompt." in job.waiting_reason
    assert "A mistake in the prompt." in explain_job(job).facts["on hold"]
    assert job.events.count() == 1  # it was made, and nothing since
    lift(Hold.objects.get(), by="amina")
    ends_well()
    run.refresh_from_db()
    assert run.waiting_reason == ""


def test_a_hold_raised_while_the_file_goes_up_is_seen_before_the_create():
    job = make_job(2)
    raise_hold(HoldScope.ALL, "by_hand", "stop", by="amina")

    hold = take_probe(job)

    assert hold == Hold.objects.get()


def test_what_is_at_the_provider_is_read_under_a_hold(sandbox):
    job = make_job(2)
    submit()
    hold_work(HoldScope.ALL, reason="stop", by="amina")

    def look() -> bool:
        poll_jobs(now=later())
        ingest_jobs(now=later())
        job.refresh_from_db()
        return job.status == JobStatus.PROCESSED

    wait_for(look)
    assert Caption.objects.count() == 2


def test_a_lost_create_is_found_again_under_a_hold(sandbox, settings):
    settings.PROVIDER_TIMEOUT_SECONDS = 1
    settings.PROVIDER_VISIBILITY_SECONDS = 0
    sandbox.faults(lost_create_answer=1)
    job = make_job(2)
    with pytest.raises(ProviderError):
        submit_jobs(now=later())
    hold_work(HoldScope.ALL, reason="stop", by="amina")

    def look() -> bool:
        submit_jobs(now=later())
        job.refresh_from_db()
        return job.status == JobStatus.VALIDATING

    wait_for(look)


def test_a_held_job_can_be_cancelled(sandbox):
    job = make_job(2)
    hold_work(HoldScope.ALL, reason="stop", by="amina")
    BatchJob.objects.filter(pk=job.pk).update(intent="cancel")

    submit()

    job.refresh_from_db()
    assert job.status == JobStatus.CANCELLED


def test_sending_a_held_job_by_hand_is_refused_with_the_reason():
    job = make_job(2)
    hold_work(HoldScope.ALL, reason="The glossary is wrong.", by="amina")

    with pytest.raises(NotPossible, match="The glossary is wrong"):
        submit_now(job, by="sahra")


# --- by hand --------------------------------------------------------------------------


def test_holds_by_hand_are_audited_and_lifting_names_who_did_it():
    hold_work(HoldScope.WORKLOAD, key="captions", reason="why", by="amina")
    hold = lift(Hold.objects.get(), by="sahra")

    assert (hold.raised_by, hold.lifted_by) == ("amina", "sahra")
    entries = AuditEntry.objects.order_by("pk").values_list("action", "actor")
    assert list(entries) == [("hold.raise", "amina"), ("hold.lift", "sahra")]


def test_one_hold_by_hand_stands_for_one_thing():
    hold_work(HoldScope.ALL, reason="first", by="amina")

    with pytest.raises(NotPossible, match="on hold by hand already"):
        hold_work(HoldScope.ALL, reason="second", by="amina")
    lift(Hold.objects.get(), by="amina")
    with pytest.raises(NotPossible, match="lifted before"):
        lift(Hold.objects.get(), by="amina")
    hold_work(HoldScope.ALL, reason="third", by="amina")


@pytest.mark.parametrize(
    ("scope", "key"), [(HoldScope.ALL, "openai"), (HoldScope.PROVIDER, "")]
)
def test_a_hold_names_what_it_is_about(scope, key):
    with pytest.raises(BadHold):
        hold_work(scope, key=key, reason="why", by="amina")

    assert not Hold.objects.exists()


def test_the_effect_of_lifting_counts_each_item_once_and_prices_what_has_a_price():
    make_collected_run(items=2)
    unpriced = make_collected_run(items=3)
    OpenItem.objects.filter(run=unpriced).update(model="gone")
    hold_work(HoldScope.ALL, reason="a", by="amina")
    hold_work(HoldScope.WORKLOAD, key="captions", reason="b", by="amina")

    both = lift_effect(*Hold.objects.all())
    OpenItem.objects.filter(run=unpriced).delete()
    priced = lift_effect(*Hold.objects.all())

    assert (both.items, priced.items) == (OpenItem.objects.count() + 3, 2)
    assert both.nanos == priced.nanos > 0


# --- what is left ---------------------------------------------------------------------


def test_held_work_alone_is_told_from_work_that_goes_on(sandbox):
    assert not only_held_work_is_left()
    make_collected_run(items=1)
    assert not only_held_work_is_left()
    hold_work(HoldScope.WORKLOAD, key="captions", reason="why", by="amina")
    assert only_held_work_is_left()
    lift(Hold.objects.get(), by="amina")
    bundle()
    submit()
    hold_work(HoldScope.ALL, reason="why", by="amina")

    assert not only_held_work_is_left()  # its job is at the provider


def process_batches(*flags: str) -> tuple[str, str]:
    """What the command prints, and what it complains of."""
    out, err = StringIO(), StringIO()
    call_command("process_batches", *flags, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def test_process_batches_says_what_holds():
    make_collected_run(items=2)
    hold_work(HoldScope.WORKLOAD, key="captions", reason="No glossary.", by="amina")

    said, complained = process_batches()

    assert "Nothing to do: what is left is held." in said
    assert "On hold: the workload captions, since" in complained
    assert "by amina: No glossary." in complained


def test_process_batches_until_done_ends_when_all_that_is_left_is_held(sandbox):
    make_job(2)
    submit()
    make_collected_run(items=3)
    hold_work(HoldScope.ALL, reason="why", by="amina")

    with pytest.raises(CommandError, match="Not done: 3 items wait for a hold"):
        process_batches("--until-done")

    assert Caption.objects.count() == 2


def test_process_batches_until_done_ends_at_a_wrong_key(sandbox):
    sandbox.faults(wrong_key=True)
    make_job(2)

    with pytest.raises(CommandError, match="Not done: 2 items"):
        process_batches("--until-done")

    sandbox.clear_faults()
    probe_is_due()
    assert "ended 1" in process_batches("--until-done")[0]


def test_a_paused_run_is_held_work_too():
    pause_run(make_collected_run(items=1), by="amina")

    assert only_held_work_is_left()
    assert Run.objects.get().paused_at
