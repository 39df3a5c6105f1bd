"""What comes of a line that failed: again, in parts, or the end; by one table."""

import json

import pytest

from batches.models import Alert, BatchItem, BatchJob, Hold, ItemAttempt, OpenItem
from batches.services.bundling import bundle
from batches.services.failures import BY_CODE, BY_STATUS, Failure, classify
from batches.services.ingestion import ingest_jobs
from batches.services.recount import recount
from batches.services.submission import submit_jobs
from batches.states import AttemptOutcome, HoldScope, Intent, ItemStatus
from tests.driving import later, poll_until, work_off
from tests.factories import make_collected_run, make_job
from tests.gallery.models import Caption

APPLIED, FAILED, RETRIED, RETURNED, SPLIT = (
    AttemptOutcome.APPLIED,
    AttemptOutcome.FAILED,
    AttemptOutcome.RETRIED,
    AttemptOutcome.RETURNED,
    AttemptOutcome.SPLIT,
)


def outcomes(item=None):
    """What each attempt came to, oldest first."""
    tries = ItemAttempt.objects.order_by("pk")
    if item is not None:
        tries = tries.filter(item=item)
    return list(tries.values_list("outcome", flat=True))


def one_round():
    """Bundle, send and read what came of it: each stage once."""
    bundle(now=later())
    submit_jobs(now=later())
    poll_until(lambda: not BatchJob.objects.at_provider().exists())
    ingest_jobs(now=later())


@pytest.mark.parametrize(
    ("code", "status", "finish", "kind"),
    [
        ("server_error", 500, "", Failure.RETRYABLE),
        ("never_heard_of", 502, "", Failure.RETRYABLE),
        ("never_heard_of", 429, "", Failure.RETRYABLE),
        ("insufficient_quota", 429, "", Failure.ACCOUNT),
        ("rate_limit_exceeded", 429, "", Failure.RETRYABLE),
        ("request_timeout", None, "", Failure.RETRYABLE),
        ("http_0", 0, "", Failure.RETRYABLE),
        ("invalid_api_key", 401, "", Failure.ACCOUNT),
        ("never_heard_of", 403, "", Failure.ACCOUNT),
        ("context_length_exceeded", 400, "", Failure.PERMANENT),
        ("model_not_found", 404, "", Failure.PERMANENT),
        ("never_heard_of", 418, "", Failure.PERMANENT),
        ("never_heard_of", None, "", Failure.PERMANENT),
        ("missing_output", None, "", Failure.PERMANENT),
        ("apply_error", 200, "stop", Failure.PERMANENT),
        ("batch_expired", None, "", Failure.NOT_EXECUTED),
        ("batch_cancelled", None, "", Failure.NOT_EXECUTED),
        ("truncated", 200, "length", Failure.TRUNCATED),
        ("invalid_json", 200, "length", Failure.TRUNCATED),
        ("invalid_json", 200, "stop", Failure.INVALID_ANSWER),
        ("schema_mismatch", 200, "stop", Failure.INVALID_ANSWER),
        ("refused", 200, "content_filter", Failure.INVALID_ANSWER),
        ("too_few_senses", 200, "stop", Failure.PERMANENT),
    ],
)
def test_a_failure_is_classified_by_code_status_and_finish(code, status, finish, kind):
    assert classify(code, http_status=status, finish_reason=finish) is kind


def test_every_kind_of_failure_is_in_the_table_but_the_one_for_all_else():
    named = {*BY_CODE.values(), *BY_STATUS.values()}
    assert named == set(Failure) - {Failure.PERMANENT}


@pytest.mark.django_db
def test_what_may_pass_goes_out_again_in_later_jobs_and_then_fails(sandbox):
    sandbox.faults(failed_lines={"rate": 1.0, "status": 500})
    run = make_collected_run(items=1)

    work_off()

    item = BatchItem.objects.get()
    assert (item.status, item.error_code) == (ItemStatus.FAILED, "server_error")
    assert outcomes() == [RETRIED, RETRIED, FAILED]
    jobs = list(ItemAttempt.objects.order_by("pk").values_list("job", flat=True))
    assert len(set(jobs)) == 3
    assert list(
        BatchJob.objects.order_by("pk").values_list("items_returned", flat=True)
    )
    run.refresh_from_db()
    assert run.status == "failed"
    assert recount(repair=False) == []


@pytest.mark.django_db
def test_one_that_is_answered_at_last_is_done_and_costs_all_its_attempts(sandbox):
    sandbox.faults(non_json_answers={"rate": 1.0})
    make_collected_run(items=1)
    one_round()
    assert outcomes() == [RETRIED]
    item = BatchItem.objects.get()
    assert (item.status, item.job) == (ItemStatus.PENDING, None)
    assert item.error_code == "invalid_json"  # why it waits again

    sandbox.faults(non_json_answers=False)
    work_off()

    item.refresh_from_db()
    assert (item.status, item.error_code) == (ItemStatus.COMPLETE, "")
    first, second = ItemAttempt.objects.order_by("pk")
    assert first.cost_nanos > 0
    assert item.cost_nanos == first.cost_nanos + second.cost_nanos
    assert Caption.objects.count() == 1
    assert recount(repair=False) == []


@pytest.mark.django_db
@pytest.mark.parametrize("most", [1, 2])
def test_the_number_of_attempts_is_a_setting(sandbox, settings, most):
    settings.BATCH_MAX_ATTEMPTS = most
    sandbox.faults(refused_answers={"rate": 1.0})
    make_collected_run(items=1)

    work_off()

    assert outcomes() == [RETRIED] * (most - 1) + [FAILED]


@pytest.mark.django_db
def test_what_would_fail_again_is_not_sent_again(sandbox):
    sandbox.faults(failed_lines={"rate": 1.0, "status": 400})
    make_collected_run(items=2)

    work_off()

    assert outcomes() == [FAILED, FAILED]
    assert BatchJob.objects.count() == 1


@pytest.mark.django_db
def test_an_answer_that_was_cut_off_goes_out_again_with_a_doubled_limit(sandbox):
    sandbox.faults(truncated_answers={"rate": 1.0})
    make_collected_run(items=1)
    one_round()
    waiting = OpenItem.objects.get()
    assert (waiting.raised_limit, waiting.output_limit, waiting.tries) == (200, 200, 1)
    first = BatchJob.objects.get()

    sandbox.faults(truncated_answers=False)
    work_off()

    assert outcomes() == [RETRIED, APPLIED]
    assert list(
        ItemAttempt.objects.order_by("pk").values_list("raised_limit", flat=True)
    ) == [None, 200]
    second = BatchJob.objects.exclude(pk=first.pk).get()
    shares = [job.shares.get().reserved_nanos for job in (first, second)]
    assert shares[1] > shares[0]  # a higher limit reserves more
    assert recount(repair=False) == []


@pytest.mark.django_db
def test_cut_off_twice_it_ends_split_and_its_parts_go_out(sandbox):
    sandbox.faults(truncated_answers={"times": 2})
    make_collected_run(items=1)

    work_off()

    whole, *parts = BatchItem.objects.order_by("pk")
    assert (whole.status, whole.error_code) == (ItemStatus.COMPLETE, "")
    assert outcomes(whole) == [RETRIED, SPLIT]
    assert whole.cost_nanos > 0
    assert [(part.parent_id, part.status) for part in parts] == [
        (whole.pk, ItemStatus.COMPLETE)
    ] * 2
    stored = Caption.objects.values_list("item_id", flat=True)
    assert set(stored) == {part.pk for part in parts}  # the whole stores nothing
    assert recount(repair=False) == []


@pytest.mark.django_db
def test_what_cannot_be_split_fails_as_cut_off(sandbox):
    sandbox.faults(truncated_answers={"rate": 1.0})
    make_collected_run(items=1)

    work_off()

    ends = BatchItem.objects.filter(status=ItemStatus.FAILED)
    assert set(ends.values_list("error_code", flat=True)) == {"truncated"}
    assert set(outcomes()) == {RETRIED, SPLIT, FAILED}
    assert recount(repair=False) == []


@pytest.mark.django_db
def test_what_never_runs_uses_no_attempt_up_but_does_not_go_round_for_ever(sandbox):
    sandbox.faults(expire_partial={"share": 0.0})
    job = make_job(1)

    work_off()

    item = BatchItem.objects.get()
    assert outcomes() == [RETURNED] * 4 + [FAILED]
    assert item.error_code == "returned_too_often"
    assert "Retry it by hand" in ItemAttempt.objects.last().error_message
    alert = Alert.objects.get(code="returned_too_often")
    assert alert.job.pk > job.pk
    assert recount(repair=False) == []


@pytest.mark.django_db
def test_an_empty_account_holds_the_provider_and_uses_no_attempt_up(sandbox):
    sandbox.faults(quota_gone={"share": 0.5})
    make_collected_run(items=4)
    one_round()

    waiting = OpenItem.objects.all()
    assert waiting.count() == 2
    assert set(waiting.values_list("tries", "returns")) == {(0, 1)}
    hold = Hold.objects.get()
    assert (hold.scope, hold.key) == (HoldScope.PROVIDER, "sandbox")
    assert "insufficient_quota" in hold.message
    assert Caption.objects.count() == 2
    assert recount(repair=False) == []


@pytest.mark.django_db
def test_what_failed_is_kept_whole_also_when_it_goes_out_again(sandbox):
    sandbox.faults(failed_lines={"rate": 1.0, "status": 503})
    make_collected_run(items=1)
    one_round()

    attempt = ItemAttempt.objects.get()
    assert attempt.outcome == RETRIED
    assert json.loads(attempt.raw_line)["response"]["status_code"] == 503


@pytest.mark.django_db
def test_what_fails_in_a_cancelled_job_does_not_go_out_again(sandbox):
    sandbox.faults(failed_lines={"rate": 1.0, "status": 503})
    job = make_job(2)
    submit_jobs(now=later())
    poll_until(lambda: not BatchJob.objects.at_provider().exists())
    BatchJob.objects.filter(pk=job.pk).update(intent=Intent.CANCEL)
    ingest_jobs(now=later())

    assert outcomes() == [FAILED, FAILED]
    assert not OpenItem.objects.exists()
    assert recount(repair=False) == []
