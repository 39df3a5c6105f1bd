"""Nothing goes out under a hold; account trouble raises one and ends it by itself."""

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from batches.errors import NotPossible, UnknownPrice
from batches.models import (
    Alert,
    AuditEntry,
    BatchItem,
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
    ACCOUNT_TROUBLE,
    ENGINE,
    WRONG_KEY,
    BadHold,
    lift_hold,
    probe_delay,
    probe_keys,
    raise_hold,
    report_account_trouble,
    take_probe,
)
from batches.services.ingestion import ingest_jobs
from batches.services.pipeline import only_held_work_is_left, process_once
from batches.services.polling import poll_jobs
from batches.services.recount import recount
from batches.services.scopes import hold_work, lift
from batches.services.steering import (
    pause_run,
)
from batches.services.submission import submit_jobs
from batches.states import HoldScope, JobStatus, Severity
from tests.driving import work_off
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


def later():
    return timezone.now() + timedelta(hours=1)


def submit() -> None:
    """One pass of the stage, an hour later; trouble is on the rows."""
    try:
        submit_jobs(now=later())
    except ProviderError as err:
        assert err.is_account_trouble


def probe_is_due() -> None:
    Hold.objects.active().update(probe_at=timezone.now() - timedelta(seconds=1))


def ends_well() -> None:
    work_off()
    assert not OpenItem.objects.exists()
    assert Caption.objects.count() == BatchItem.objects.count()
    assert set(BatchItem.objects.values_list("attempts", flat=True)) == {1}
    assert recount(repair=False) == []


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


# --- account trouble ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "code", "words"),
    [
        ({"wrong_key": True}, WRONG_KEY, "OPENAI_API_KEY"),
        ({"no_quota": True}, ACCOUNT_TROUBLE, "billing"),
    ],
)
def test_account_trouble_at_submission_holds_the_provider(sandbox, fault, code, words):
    sandbox.faults(**fault)
    first, second = make_job(1), make_job(1)

    submit()
    submit()

    hold = Hold.objects.get()
    assert (hold.scope, hold.key, hold.code) == (HoldScope.PROVIDER, "sandbox", code)
    assert words in hold.message
    alert = Alert.objects.get()
    assert (alert.severity, alert.message) == (Severity.CRITICAL, hold.message)
    for job in (first, second):
        job.refresh_from_db()
        assert job.status == JobStatus.PENDING
        assert hold.message[:200] in job.waiting_reason
    sandbox.clear_faults()
    probe_is_due()
    ends_well()
    hold.refresh_from_db()
    alert.refresh_from_db()
    assert hold.lifted_by == alert.acknowledged_by == ENGINE


def test_a_file_refused_for_billing_holds_the_provider_and_the_job_waits(sandbox):
    sandbox.faults(billing_limit=True)
    job = make_job(2)
    submit()

    def look() -> bool:
        poll_jobs(now=later())
        return Hold.objects.exists()

    wait_for(look)
    job.refresh_from_db()
    assert (job.status, job.submission_number) == (JobStatus.PENDING, 2)
    assert "Billing hard limit has been reached" in Hold.objects.get().message
    assert "billing" in Hold.objects.get().message.split("reached.")[1]
    sandbox.clear_faults()
    probe_is_due()
    ends_well()


def test_a_wrong_key_found_while_polling_holds_the_provider(sandbox):
    job = make_job(2)
    submit()
    sandbox.faults(wrong_key=True)

    with pytest.raises(ProviderError, match="401"):
        poll_jobs(now=later())

    job.refresh_from_db()
    assert job.status == JobStatus.VALIDATING
    assert Hold.objects.get().code == WRONG_KEY
    sandbox.clear_faults()
    work_off()
    assert Caption.objects.count() == 2


@pytest.mark.parametrize("fault", ["http_429", "http_500", "http_503"])
def test_a_bad_hour_is_no_account_trouble(sandbox, fault):
    sandbox.faults(**{fault: {"on": ["batches.create"], "times": 1}})
    job = make_job(2)

    said = process_once().trouble

    assert not Hold.objects.exists()
    job.refresh_from_db()
    assert job.not_before > timezone.now()
    assert all("answered 5" in words for words in said)


# --- probes ---------------------------------------------------------------------------


def test_probes_come_further_and_further_apart_up_to_an_hour():
    minutes = [probe_delay("openai", n).total_seconds() / 60 for n in range(6)]

    assert minutes == [5, 10, 20, 40, 60, 60]
    assert probe_delay("sandbox", 50) <= timedelta(seconds=30)


def test_a_key_that_is_still_wrong_keeps_the_hold_and_waits_longer(sandbox):
    sandbox.faults(wrong_key=True)
    make_job(1)
    submit()

    assert probe_keys(now=timezone.now()) == 0  # its time has not come
    assert Hold.objects.get().probes == 0
    assert probe_keys(now=later()) == 0

    hold = Hold.objects.get()
    assert (hold.probes, hold.lifted_at) == (1, None)
    assert hold.probe_at > later() - timedelta(minutes=1)


def test_an_empty_account_is_probed_by_one_job_alone(sandbox):
    sandbox.faults(no_quota=True)
    jobs = [make_job(1), make_job(1), make_job(1)]
    submit()
    probe_is_due()
    before = sandbox.ledger()

    submit()

    hold = Hold.objects.active().get()
    assert hold.probes == 1
    assert hold.probe_at > timezone.now()
    assert sandbox.ledger() == before
    uploads = [bool(job.input_file_id) for job in refreshed(jobs)]
    assert uploads == [True, False, False]


def test_the_hold_ends_when_the_probe_passes_validation_and_not_before(sandbox):
    sandbox.faults(no_quota=True)
    first, second = make_job(1), make_job(1)
    submit()
    sandbox.clear_faults()
    probe_is_due()

    submit()

    assert [job.status for job in refreshed([first, second])] == [
        JobStatus.VALIDATING,
        JobStatus.PENDING,
    ]
    assert Hold.objects.active().exists()
    ends_well()
    assert not Hold.objects.active().exists()


def test_a_job_sent_before_the_trouble_does_not_end_the_hold(sandbox):
    make_job(1)
    submit()
    report_account_trouble("sandbox", "The account is closed.")

    def look() -> bool:
        poll_jobs(now=later())
        return BatchJob.objects.get().status == JobStatus.COMPLETED

    wait_for(look)
    assert Hold.objects.active().exists()


def test_where_no_job_waits_one_is_made_to_probe_with(sandbox, settings):
    report_account_trouble("sandbox", "The account is closed.")
    make_collected_run(items=4)
    settings.BATCH_MAX_REQUESTS = 1
    assert bundle() == []
    probe_is_due()

    assert len(bundle()) == 1
    assert bundle() == []

    ends_well()


def test_trouble_that_comes_back_goes_on_with_its_back_off():
    report_account_trouble("openai", "The account is empty.")
    Hold.objects.update(probes=3)
    lift_hold(Hold.objects.get(), by=ENGINE)

    report_account_trouble("openai", "The account is empty.")

    hold = Hold.objects.active().get()
    assert hold.probes == 3
    assert hold.probe_at > timezone.now() + timedelta(minutes=39)


def test_trouble_after_a_person_lifted_the_hold_begins_anew():
    report_account_trouble("openai", "The account is empty.")
    Hold.objects.update(probes=3)
    lift_hold(Hold.objects.get(), by="amina")

    report_account_trouble("openai", "The account is empty.")

    assert Hold.objects.active().get().probes == 0


def test_trouble_that_many_jobs_meet_is_one_hold_and_one_alert():
    for _ in range(3):
        report_account_trouble("openai", "The account is empty.")

    assert Hold.objects.count() == Alert.objects.count() == 1
    assert AuditEntry.objects.filter(action="hold.raise").count() == 1


def refreshed(jobs):
    for job in jobs:
        job.refresh_from_db()
    return jobs


# --- one does not keep the others -----------------------------------------------------


def test_a_group_that_lost_its_price_does_not_keep_the_others(sandbox):
    bad, good = make_collected_run(items=1), make_collected_run(items=1)
    OpenItem.objects.filter(run=bad).update(model="gpt-gone")

    with pytest.raises(UnknownPrice, match="gpt-gone"):
        bundle()

    assert list(BatchJob.objects.values_list("shares__run", flat=True)) == [good.pk]
    bad.refresh_from_db()
    assert "No price is known" in bad.waiting_reason
    report = process_once()
    assert any("gpt-gone" in said for said in report.trouble)
    assert report.submitted == 1


def test_a_job_of_a_provider_that_is_gone_does_not_keep_the_others(sandbox):
    bad, good = make_job(1), make_job(1)
    submit()
    BatchJob.objects.filter(pk=bad.pk).update(provider="elsewhere")

    def look() -> bool:
        with pytest.raises(Exception, match="elsewhere"):
            poll_jobs(now=later())
        good.refresh_from_db()
        return good.status == JobStatus.COMPLETED

    wait_for(look)
    bad.refresh_from_db()
    assert "elsewhere" in bad.waiting_reason


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
