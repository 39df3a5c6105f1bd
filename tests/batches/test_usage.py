"""What was used and saved: by time, by whose it was, and in which kind of money."""

import csv
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO

import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.utils import timezone

from batches.errors import BadOptions
from batches.models import BatchJob, HourlyUsage, JobShare, JobTally
from batches.monitoring.spans import DAY, HOUR, MINUTE, last_days, last_months
from batches.monitoring.usage import usage
from batches.monitoring.usage_tables import as_csv, as_dict
from batches.states import AttemptOutcome, JobStatus
from tests.driving import work_off
from tests.factories import make_job, make_run

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 22, 11, 30, 15, tzinfo=UTC)
# gpt-4o-mini for a million tokens: $0.075, cached too, and $0.30 in batches; in real
# time $0.15, cached $0.075, and $0.60.
BATCH_NANOS = 1_000_000 * 75 + 100_000 * 300
REAL_TIME_NANOS = 800_000 * 150 + 200_000 * 75 + 100_000 * 600


@pytest.fixture(autouse=True)
def spool(settings, tmp_path):
    settings.SPOOL_DIR = tmp_path / "spool"


def used(hours_ago=0, **given):
    """A million tokens in, a fifth of them cached, and a tenth out: of 100 requests."""
    hour = NOW.replace(minute=0, second=0) - timedelta(hours=hours_ago)
    return HourlyUsage.objects.create(
        **{
            "hour": hour,
            "provider": "openai",
            "workload": "captions",
            "model": "gpt-4o-mini",
            "outcome": AttemptOutcome.APPLIED,
            "attempts": 100,
            "input_tokens": 1_000_000,
            "cached_tokens": 200_000,
            "output_tokens": 100_000,
            "cost_nanos": BATCH_NANOS,
            **given,
        }
    )


def month(**given):
    return usage(last_days(30, bucket=DAY, now=NOW), **given)


def report(**given):
    out = StringIO()
    call_command("usage_report", stdout=out, **given)
    return out.getvalue()


def test_a_range_is_whole_buckets_of_utc_and_holds_the_present():
    days = last_days(30, bucket=DAY, now=NOW)
    minutes = last_days(1, bucket=MINUTE, now=NOW)
    months = last_months(12, now=NOW)

    assert (days.start, days.end) == (
        datetime(2026, 10, 24, tzinfo=UTC),
        datetime(2026, 11, 23, tzinfo=UTC),
    )
    assert (days.days, len(days.buckets())) == (30, 30)
    assert len(minutes.buckets()) == 1_440
    assert months.buckets()[0] == datetime(2025, 12, 1, tzinfo=UTC)
    assert len(months.buckets()) == 12


@pytest.mark.parametrize(
    ("bucket", "days"), [(MINUTE, 2), (HOUR, 367), (DAY, 3_661), (DAY, 0)]
)
def test_a_range_that_is_too_long_names_the_bound(bucket, days):
    with pytest.raises(BadOptions, match=f"Buckets of {bucket} reach back 1 "):
        last_days(days, bucket=bucket, now=NOW)


def test_saving_is_the_real_time_price_of_the_same_tokens_less_the_cost():
    used()

    total = month().real.total

    assert total.cost_nanos == BATCH_NANOS
    assert total.real_time_nanos == REAL_TIME_NANOS
    assert total.saved_nanos == REAL_TIME_NANOS - BATCH_NANOS
    assert total.saved_percent == Decimal("46.2")  # of actual prices, not 50
    assert total.cached_percent == Decimal("20.0")


def test_sandbox_money_and_real_money_are_never_added():
    used()
    used(provider="sandbox")

    found = month()

    assert found.real.total.cost_nanos == BATCH_NANOS
    assert found.pretended.total.cost_nanos == BATCH_NANOS
    assert [part["is_sandbox"] for part in as_dict(found)["parts"]] == [False, True]


def test_figures_are_grouped_by_whose_they_are():
    amina = get_user_model().objects.create_user("amina")
    used(owner_key=amina.pk, account="school")
    used(owner_key=amina.pk, account="school", workload="letters")
    used(owner_key=9_999)
    used()

    found = month(group_by=["owner", "account"])

    groups = {group: f.requests for group, f in found.real.by_group()}
    assert groups == {
        ("amina", "school"): 200,
        ("user 9999 (deleted)", ""): 100,
        ("", ""): 100,
    }


def test_a_model_is_priced_as_itself_whatever_the_groups():
    used()
    used(model="gpt-4.1")

    by_workload = month(group_by=["workload"]).real

    (line,) = by_workload.lines
    gpt_41 = 800_000 * 2_000 + 200_000 * 500 + 100_000 * 8_000
    assert line.figures.real_time_nanos == REAL_TIME_NANOS + gpt_41


def test_a_model_without_a_price_is_named_and_left_out_of_the_saving():
    used()
    used(model="model-of-nobody")

    part = month().real

    assert part.without_real_time == {"model-of-nobody"}
    assert part.total.saved_nanos == REAL_TIME_NANOS - BATCH_NANOS
    assert part.total.cost_nanos == 2 * BATCH_NANOS


@pytest.mark.parametrize(
    ("only", "requests"),
    [
        ({"model": "gpt-4.1"}, 100),
        ({"workload": "captions"}, 300),
        ({"owner": "amina"}, 100),
        ({"owner": ""}, 200),
        ({"account": "", "model": "gpt-4o-mini"}, 100),
        ({"account": "nowhere"}, 0),
    ],
)
@pytest.mark.parametrize("bucket", [MINUTE, DAY])
def test_figures_are_narrowed_to_what_is_asked_for(only, requests, bucket):
    amina = get_user_model().objects.create_user("amina")
    for model, owner, account in (
        ("gpt-4o-mini", None, ""),
        ("gpt-4o-mini", amina, "school"),
        ("gpt-4.1", None, ""),
    ):
        used(model=model, owner_key=owner.pk if owner else 0, account=account)
        job = BatchJob.objects.create(
            workload="captions",
            provider="openai",
            model=model,
            account=account,
            endpoint="/v1/chat/completions",
            status=JobStatus.PROCESSED,
            finished_at=NOW,
        )
        run = make_run(owner=owner)
        JobShare.objects.create(job=job, run=run, sent=100, unpriced=100)
        JobTally.objects.create(
            job=job, run=run, outcome=AttemptOutcome.APPLIED, attempts=100
        )

    found = usage(last_days(1, bucket=bucket, now=NOW), only=only)

    assert (found.real.total.requests, found.unpriced) == (requests, requests)


def test_what_was_not_executed_is_no_request():
    used()
    nothing = dict(input_tokens=0, cached_tokens=0, output_tokens=0, cost_nanos=0)
    used(outcome=AttemptOutcome.RETURNED, error_code="batch_expired", **nothing)
    used(outcome=AttemptOutcome.FAILED, error_code="server_error", **nothing)

    assert month().real.total.requests == 200


def test_each_bucket_is_there_also_an_empty_one():
    used(hours_ago=0)
    used(hours_ago=30)

    by_bucket = month().real.by_bucket()

    assert len(by_bucket) == 30
    assert [f.requests for _, f in by_bucket][-2:] == [100, 100]
    assert sum(f.requests for _, f in by_bucket) == 200


def test_hours_and_months_hold_the_same_sums():
    used(hours_ago=3)
    used(hours_ago=24 * 20)

    hours = usage(last_days(30, bucket=HOUR, now=NOW)).real
    months = usage(last_months(12, now=NOW)).real

    assert hours.total == months.total
    assert [(line.start.month, line.figures.requests) for line in months.lines] == [
        (11, 200)
    ]


def test_a_projection_is_the_saving_by_the_length_of_the_range():
    used()

    found = usage(last_days(10, bucket=DAY, now=NOW)).real

    assert found.monthly_saving_nanos == found.total.saved_nanos * 3
    assert found.yearly_saving_nanos == found.monthly_saving_nanos * 12
    assert found.total.average_cost_nanos == BATCH_NANOS // 100
    assert found.total.average_saving_nanos == found.total.saved_nanos // 100


def test_what_was_reserved_stands_beside_what_it_came_to(sandbox):
    make_job(3)
    work_off()

    found = usage(last_days(1, bucket=HOUR, now=timezone.now()))

    total = found.pretended.total
    share = JobShare.objects.get()
    assert total.reserved_nanos == share.reserved_nanos
    assert total.cost_nanos == share.cost_nanos <= share.reserved_nanos
    assert total.used_percent == round(
        Decimal(100) * share.cost_nanos / share.reserved_nanos, 1
    )
    run = share.run  # all that it asked for went out in this share
    assert run.expected_nanos > 0
    assert total.expected_nanos == pytest.approx(run.expected_nanos, rel=0.01)


def test_work_that_was_never_sent_predicted_nothing():
    job = make_job(2)
    JobShare.objects.update(reserved_nanos=1_000)
    BatchJob.objects.filter(pk=job.pk).update(
        status=JobStatus.CANCELLED, finished_at=NOW
    )

    assert month().pretended.total.reserved_nanos == 0


def test_minutes_hold_what_the_rollup_holds(sandbox):
    make_job(3)
    work_off()
    now = timezone.now()

    minutes = usage(last_days(1, bucket=MINUTE, now=now)).pretended
    hours = usage(last_days(1, bucket=HOUR, now=now)).pretended

    assert minutes.total == hours.total
    assert minutes.total.requests == 3
    ended = BatchJob.objects.get().finished_at
    assert minutes.lines[0].start == ended.replace(second=0, microsecond=0)


def test_the_report_agrees_with_the_ledger(sandbox):
    before = sandbox.ledger()
    sandbox.faults(truncated_answers={"times": 2}, failed_lines={"times": 1})
    make_job(6)
    work_off()
    ledger = sandbox.ledger()

    total = usage(last_days(1, bucket=HOUR, now=timezone.now())).pretended.total

    billed = {
        name: ledger[name] - before[name] for name in ("input_tokens", "output_tokens")
    }
    assert (total.input_tokens, total.output_tokens) == tuple(billed.values())
    assert total.cost_nanos == sum(
        JobShare.objects.values_list("cost_nanos", flat=True)
    )
    assert total.cost_nanos == sum(
        billed[name] * nanos
        for name, nanos in (("input_tokens", 75), ("output_tokens", 300))
    )


def test_queries_do_not_grow_with_the_range(django_assert_num_queries):
    for hours in range(0, 24 * 20, 7):
        used(hours_ago=hours)

    with django_assert_num_queries(3):  # the rollup, our prices, the shares
        month()


# --- the command ----------------------------------------------------------------------


def recent(**given):
    hour = timezone.now().replace(minute=0, second=0, microsecond=0)
    return used(hour=hour, **given)


def test_the_table_tells_figures_totals_and_whether_all_is_priced():
    recent()

    said = report()

    assert "Real money" in said
    assert "Sandbox" not in said
    assert "Every request is priced." in said
    line = next(line for line in said.splitlines() if line.startswith("total"))
    assert line.split() == [
        *["total", "100", "1,000,000", "20.0", "%", "100,000"],
        *["$0.105000", "$0.195000", "$0.090000", "46.2", "%"],
        *["$0.000000", "$0.000000"],
    ]
    assert "A request cost $0.001050 and saved $0.000900 on average" in said
    assert "$0.090000 are saved in 30 days" in said


def test_the_table_says_how_many_requests_have_no_known_cost():
    recent()
    run = make_run()
    job = BatchJob.objects.create(
        workload="captions",
        provider="openai",
        model="gpt-4o-mini",
        endpoint="/v1/chat/completions",
        status=JobStatus.PROCESSED,
        finished_at=timezone.now(),
    )
    JobShare.objects.create(
        job=job, run=run, sent=3, unpriced=3, unpriced_nanos=2_000_000
    )

    said = report()
    told = json.loads(report(format="json"))

    assert "3 requests without a known cost; up to $0.002000 more" in said
    assert "Every request is priced" not in said
    assert (told["every_request_is_priced"], told["unpriced_requests"]) == (False, 3)


def test_an_empty_report_says_so_and_json_stays_json():
    assert "No job ended in this time." in report()
    assert json.loads(report(format="json"))["parts"] == []
    assert len(report(format="csv").splitlines()) == 1


def test_json_has_totals_and_rows_with_exact_money():
    recent()
    recent(model="gpt-4.1", cost_nanos=1)

    told = json.loads(report(format="json", group_by=["model", "workload"]))

    (part,) = told["parts"]
    assert part["totals"]["cost_usd"] == "0.105000001"
    assert [row["model"] for row in part["rows"]] == ["gpt-4o-mini", "gpt-4.1"]
    assert part["rows"][0]["saved_percent"] == 46.2
    assert part["rows"][0]["workload"] == "captions"


def test_csv_is_one_table_that_a_spreadsheet_cannot_run():
    recent(account="=HYPERLINK(1)")
    recent(provider="sandbox")

    rows = list(csv.DictReader(StringIO(report(format="csv", group_by=["account"]))))

    assert [(r["is_sandbox"], r["account"]) for r in rows] == [
        ("false", "'=HYPERLINK(1)"),
        ("true", ""),
    ]
    assert rows[0]["cost_usd"] == "0.105000000"


def test_a_negative_saving_stays_a_number_in_csv():
    recent(cost_nanos=2 * REAL_TIME_NANOS)

    (row,) = csv.DictReader(StringIO(as_csv(month_now())))

    assert row["saved_usd"] == "-0.195000000"


def month_now():
    return usage(last_days(30, bucket=DAY, now=timezone.now()))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["--bucket=1m", "--days=2"], "Buckets of 1m reach back 1 day, and 2 were"),
        (["--group-by=project"], "add --provider-figures"),
        (["--group-by=colour"], "'colour' is no group"),
        (["--only=colour=red"], "'colour' is no name to narrow by"),
        (["--only=model"], "as model=gpt-4o-mini"),
        (["--only=owner=nobody-here"], "There is no user 'nobody-here'"),
        (["--only=project=proj_1"], "add --provider-figures"),
        (["--days=0"], "give 1 or more"),
        (["--days=many"], "no whole number"),
        (["--bucket=1w"], "invalid choice"),
    ],
)
def test_what_cannot_be_reported_is_said(given, says):
    with pytest.raises(CommandError, match=says):
        call_command("usage_report", *given, stdout=StringIO())


def test_the_sandbox_s_own_figures_agree_with_ours(sandbox):
    before = json.loads(report(format="json", provider_figures=True))
    make_job(3)
    work_off()

    told = json.loads(
        report(format="json", provider_figures=True, group_by=["model", "project"])
    )
    said = report(provider_figures=True)

    figures = told["provider_figures"]
    earlier = before["provider_figures"]["differences"]
    for name, row in figures["differences"].items():
        assert row["ours"] > 0 or name == "cached_tokens"
        # What other tests sent, the account has, and we have not.
        assert row["difference"] == earlier[name]["difference"]
    assert figures["usage"][0]["project"] == "proj_sandbox"
    assert "Batches by sandbox's own count" in said
    assert "gpt-4o-mini, batch, output_tokens" in said


def test_theirs_are_narrowed_by_what_they_know(sandbox):
    make_job(2)
    work_off()

    def asked(*only):
        given = dict(only=list(only), provider_figures=True, format="json")
        return json.loads(report(**given))

    one = asked(("model", "gpt-4o-mini"), ("project", "proj_sandbox"))
    none = asked(("api_key", "key_other"))
    mine = asked(("workload", "captions"), ("model", "gpt-4o-mini"))

    assert {row["model"] for row in one["provider_figures"]["usage"]} == {"gpt-4o-mini"}
    assert none["provider_figures"]["usage"] == []
    # Not the same work on both sides: nothing to compare.
    assert "differences" not in one["provider_figures"]
    assert "differences" not in mine["provider_figures"]


def test_theirs_are_rows_of_the_same_csv(sandbox):
    make_job(2)
    work_off()

    rows = list(csv.DictReader(StringIO(report(format="csv", provider_figures=True))))

    assert {row["source"] for row in rows} == {"batchsite", "provider"}
    assert any(row["line_item"].endswith("output_tokens") for row in rows)


def test_without_an_admin_key_the_provider_is_not_asked(settings):
    settings.BATCH_PROVIDER, settings.OPENAI_API_KEY = "openai", "sk-x"
    settings.OPENAI_ADMIN_KEY = ""

    with pytest.raises(CommandError, match="OPENAI_ADMIN_KEY is not set"):
        report(provider_figures=True)
