"""When figures become alerts: S4.64-S4.68."""

from datetime import timedelta

import pytest
from django.core import mail
from django.utils import timezone

from batches.models import Alert, BatchJob, ConfigOverride
from batches.monitoring.thresholds import RULES, breaches
from batches.services.alerts import acknowledge
from batches.states import JobStatus, Severity
from batches.tasks import tick

pytestmark = pytest.mark.django_db


def ended(
    status=JobStatus.PROCESSED, *, took=timedelta(minutes=5), **given
) -> BatchJob:
    now = timezone.now()
    return BatchJob.objects.create(
        workload="translation",
        provider="openai",
        status=status,
        create_sent_at=now - took,
        finished_at=now,
        items_total=100,
        **given,
    )


def codes() -> list[str]:
    return [breach.code for breach in breaches(timezone.now())]


def test_each_alert_is_as_severe_as_the_document_says():
    assert {code: severity for code, (severity, _) in RULES.items()} == {
        "high_error_rate": Severity.HIGH,
        "long_processing_time": Severity.MEDIUM,
        "low_throughput": Severity.MEDIUM,
        "batch_failure": Severity.CRITICAL,
    }


def test_where_nothing_happens_nothing_is_told():
    assert breaches(timezone.now()) == []


@pytest.mark.parametrize(("failed", "told"), [(10, []), (11, ["high_error_rate"])])
def test_more_than_a_tenth_of_failed_requests(failed, told):
    ended(items_complete=100 - failed, items_failed=failed)

    assert codes() == told


@pytest.mark.parametrize(
    ("seconds", "told"), [(3_590, []), (3_610, ["long_processing_time"])]
)
def test_a_job_of_more_than_an_hour(seconds, told):
    ended(took=timedelta(seconds=seconds), items_complete=100)

    assert codes() == told


def test_a_job_that_runs_for_more_than_an_hour():
    now = timezone.now()
    BatchJob.objects.create(
        workload="translation",
        status=JobStatus.IN_PROGRESS,
        provider_batch_id="batch_1",
        create_sent_at=now - timedelta(seconds=3_700),
    )

    assert codes() == ["long_processing_time"]


@pytest.mark.parametrize(("hours", "told"), [(1, []), (3, ["low_throughput"])])
def test_little_ends_while_work_waits(hours, told):
    job = BatchJob.objects.create(workload="translation")
    before = timezone.now() - timedelta(hours=hours)
    BatchJob.objects.filter(pk=job.pk).update(created_at=before)

    assert codes() == told


def test_a_job_of_which_nothing_came_back_is_critical():
    job = ended(JobStatus.FAILED, items_failed=0)

    (breach,) = breaches(timezone.now())

    assert (breach.code, breach.severity) == ("batch_failure", Severity.CRITICAL)
    assert f"job {job.pk}." in breach.message


def test_a_job_that_failed_is_told_once_and_the_next_one_again():
    ended(JobStatus.FAILED)
    tick("watch")
    acknowledge(Alert.objects.get(), by="amina")
    assert codes() == []

    ended(JobStatus.FAILED)

    assert codes() == ["batch_failure"]


def test_what_was_acknowledged_is_left_alone_for_a_while(settings):
    settings.ALERT_SUPPRESSION_MINUTES = "long_processing_time=60"
    ended(took=timedelta(hours=2), items_complete=100)
    tick("watch")
    tick("watch")
    alert = Alert.objects.get()
    assert (alert.code, alert.times) == ("long_processing_time", 2)

    acknowledge(alert, by="amina")

    now = timezone.now()
    assert breaches(now) == []
    assert [one.code for one in breaches(now + timedelta(minutes=61))] == [
        "long_processing_time"
    ]


@pytest.mark.parametrize(("channels", "mails"), [(["email"], 1), (["log"], 0)])
def test_the_channels_are_those_that_were_chosen(
    settings, caplog, channels, mails, django_capture_on_commit_callbacks
):
    settings.ALERT_EMAILS = ["amina@example.org"]
    ConfigOverride.objects.create(name="ALERT_CHANNELS", value=channels)
    ended(JobStatus.FAILED)

    with django_capture_on_commit_callbacks(execute=True):
        tick("watch")

    assert len(mail.outbox) == mails
    assert ("Alert batch_failure" in caplog.text) == ("log" in channels)
