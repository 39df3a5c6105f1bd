"""Account trouble raises a hold and, once a probe passes, ends it by itself."""

from datetime import timedelta

import pytest
from django.utils import timezone

from batches.errors import UnknownPrice
from batches.models import (
    Alert,
    AuditEntry,
    BatchJob,
    Hold,
    OpenItem,
)
from batches.providers.errors import ProviderError
from batches.services.bundling import bundle
from batches.services.holds import (
    ACCOUNT_TROUBLE,
    ENGINE,
    WRONG_KEY,
    lift_hold,
    probe_delay,
    probe_keys,
    report_account_trouble,
)
from batches.services.pipeline import process_once
from batches.services.polling import poll_jobs
from batches.states import HoldScope, JobStatus, Severity
from tests.batches.holding import ends_well, later, probe_is_due, submit
from tests.driving import work_off
from tests.factories import make_collected_run, make_job
from tests.gallery.models import Caption
from tests.sandbox.fixtures import wait_for

pytestmark = pytest.mark.django_db


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
