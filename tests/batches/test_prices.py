"""What a token costs: the traps of the package, our own rows, and what is refused."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from batches.errors import BadPrice, UnknownPrice
from batches.models import Alert, AuditEntry, BatchJob, ItemAttempt, Price
from batches.models.money import to_usd
from batches.providers.pricing import Rate, rate_of
from batches.services.bundling import bundle
from batches.services.ingestion import ingest_jobs
from batches.services.prices import (
    current_rate,
    delete_price,
    real_time_nanos,
    save_price,
    settling_rate,
)
from batches.services.rendering import worst_case_nanos
from batches.services.submission import submit_jobs
from batches.states import JobStatus
from tests.driving import later, poll_until, work_off
from tests.factories import make_collected_run, make_job, make_price

NOVEMBER = datetime(2026, 11, 22, tzinfo=UTC)


def shipped(model, at=NOVEMBER):
    """The package's rate, with no row of ours."""
    return rate_of([], provider="openai", model=model, at=at)


def dollars(*amounts):
    return tuple(Decimal(amount) for amount in amounts)


@pytest.mark.parametrize(
    ("model", "batch", "real_time"),
    [
        ("gpt-4o-mini", ("0.075", "0.075", "0.30"), ("0.15", "0.075", "0.60")),
        ("gpt-4.1", ("1", "0.50", "4"), ("2", "0.50", "8")),
        ("gpt-4.1-mini", ("0.20", "0.10", "0.80"), ("0.40", "0.10", "1.60")),
        ("gpt-4.1-nano", ("0.05", "0.025", "0.20"), ("0.10", "0.025", "0.40")),
        ("gpt-5", ("0.625", "0.0625", "5"), ("1.25", "0.125", "10")),
        ("gpt-5-mini", ("0.125", "0.0125", "1"), ("0.25", "0.025", "2")),
        ("gpt-5-nano", ("0.025", "0.0025", "0.20"), ("0.05", "0.005", "0.40")),
        ("gpt-5.4-mini", ("0.375", "0.0375", "2.25"), ("0.75", "0.075", "4.50")),
        ("gpt-5.4-nano", ("0.10", "0.01", "0.625"), ("0.20", "0.02", "1.25")),
        ("gpt-5.6-luna", ("0.10", "0.01", "0.60"), ("0.20", "0.02", "1.20")),
        ("gpt-6-luna", ("0.05", "0.005", "0.25"), ("0.10", "0.01", "0.50")),
    ],
)
def test_rates_are_those_of_the_published_tables(model, batch, real_time):
    rate = shipped(model)
    full = rate.real_time

    assert (rate.input_usd, rate.cached_usd, rate.output_usd) == dollars(*batch)
    assert (full.input_usd, full.cached_usd, full.output_usd) == dollars(*real_time)


def test_a_time_before_the_rates_began_does_not_give_the_full_price():
    rate = shipped("gpt-4o-mini", datetime(2024, 1, 1, tzinfo=UTC))

    assert rate.input_usd == Decimal("0.075")


@pytest.mark.parametrize(
    "model",
    ["gpt-nonsense", "gpt-4o-realtime-preview", "gpt-3.5-turbo-1106", "moderation"],
)
def test_a_model_without_a_batch_price_is_an_error_that_says_how_to_add_it(model):
    with pytest.raises(UnknownPrice, match=f"{model}.*add its price in the admin"):
        shipped(model)


def test_embeddings_cost_half_in_a_batch_though_the_package_does_not_know():
    rate = shipped("text-embedding-3-small")

    assert rate.input_usd == Decimal("0.01")
    assert rate.real_time.input_usd == Decimal("0.02")
    assert rate.nanos(1_000_000, 0, 0) == 10_000_000


@pytest.mark.parametrize(
    ("snapshot", "same_as", "version"),
    [
        ("gpt-4o-mini-2024-07-18", "gpt-4o-mini", ""),
        # One that the package has never heard of.
        ("gpt-4o-mini-2027-03-01", "gpt-4o-mini", " as gpt-4o-mini"),
        ("text-embedding-3-small-2027-03-01", "text-embedding-3-small", " as text"),
    ],
)
def test_a_snapshot_has_the_price_of_its_family(snapshot, same_as, version):
    rate = shipped(snapshot)

    assert rate.nanos(1_000, 10, 100) == shipped(same_as).nanos(1_000, 10, 100)
    assert rate.version.startswith("genai-prices ")
    assert version in rate.version


def test_a_snapshot_with_a_price_of_its_own_keeps_it():
    assert shipped("gpt-4o-2024-05-13").input_usd > shipped("gpt-4o").input_usd


def test_cached_tokens_are_part_of_the_input():
    rate = shipped("gpt-5-nano")

    assert rate.nanos(1000, 400, 10) == 15_000 + 1_000 + 2_000


def test_a_long_prompt_is_dear_from_its_first_token_on():
    rate = shipped("gpt-5.4")

    assert rate.nanos(272_000, 0, 1_000) == 272_000 * 1_250 + 1_000 * 7_500
    assert rate.nanos(272_001, 0, 1_000) == 272_001 * 2_500 + 1_000 * 11_250
    assert rate.nanos(272_001, 1, 0) == 272_000 * 2_500 + 250


def test_a_reservation_is_at_the_tier_that_the_worst_case_may_reach():
    rate = shipped("gpt-5.4")

    # 250,000 counted tokens are below the threshold; a tenth more is above it.
    reserved = worst_case_nanos(rate, input_tokens=250_000, output_limit=100)

    assert reserved >= rate.nanos(275_000, 0, 100) > rate.nanos(250_000, 0, 100)


def test_what_is_written_to_the_cache_costs_more_and_is_reserved_so():
    rate = shipped("gpt-6-luna")

    assert rate.nanos(1_000, 0, 0, 400) == 600 * 50 + 400 * 62.5
    assert rate.nanos_up(1_000, 0) == 62_500


def test_models_that_do_not_bill_cache_writes_do_not_price_them():
    rate = shipped("gpt-4o-mini")

    assert rate.nanos(1_000, 0, 0, 400) == rate.nanos(1_000, 0, 0)


def test_a_batch_of_the_academy_costs_two_cents():
    """120 requests of 500 tokens in and out: 0.0045 $ and 0.018 $."""
    rate = shipped("gpt-4o-mini")

    cost = to_usd(rate.nanos(60_000, 0, 60_000))

    assert cost == Decimal("0.0225")
    assert f"{cost:.2f}" == "0.02"


def test_a_price_between_two_nanos_is_rounded_half_up_and_a_reservation_up():
    rate = Rate(Decimal("0.0005"), Decimal("0.0004"), Decimal("0.0001"), "made up")

    assert [rate.nanos(tokens, 0, 0) for tokens in (0, 1, 2, 3)] == [0, 1, 1, 2]
    assert rate.nanos(2, 1, 0) == 1  # 0.5 and 0.4
    assert [rate.nanos_up(0, tokens) for tokens in (0, 1, 10, 11)] == [0, 1, 1, 2]


def test_a_reservation_is_at_least_what_the_limits_allow():
    rate = shipped("gpt-4o-mini")

    reserved = worst_case_nanos(rate, input_tokens=1001, output_limit=100)

    assert reserved >= rate.nanos(1101, 0, 100)


def test_the_real_time_price_of_summed_tokens_keeps_the_cached_rate():
    rate = shipped("gpt-4o-mini")
    sums = {"input_tokens": 10_000, "cached_tokens": 4_000, "output_tokens": 2_000}
    cost = rate.nanos(*sums.values())

    full = real_time_nanos(rate, **sums, cost_nanos=cost)

    # Cached input costs the same either way, so not all of it is halved.
    assert full == 6_000 * 150 + 4_000 * 75 + 2_000 * 600
    assert full < 2 * cost


def test_the_real_time_price_of_summed_long_prompts_follows_what_they_cost():
    rate = shipped("gpt-5.4")
    lines = [(300_000, 0, 1_000), (1_000, 0, 100)]
    cost = sum(rate.nanos(*line) for line in lines)
    sums = dict(
        zip(
            ("input_tokens", "cached_tokens", "output_tokens"),
            map(sum, zip(*lines, strict=True)),
            strict=True,
        )
    )

    full = real_time_nanos(rate, **sums, cost_nanos=cost)

    exact = sum(rate.real_time.nanos(*line) for line in lines)
    assert full == pytest.approx(exact, rel=1e-6)


def save(model="house-model", **given):
    price = make_price(model, **given)
    return price, save_price(price, by="ayaan")


def rate_on(day, model="house-model", provider="openai"):
    return current_rate(provider, model, datetime(*day, 12, tzinfo=UTC))


@pytest.mark.django_db
def test_a_price_of_ours_makes_an_unknown_model_known_and_an_attempt_can_name_it():
    price, notes = save()

    rate = rate_on((2026, 11, 22))

    assert notes == []
    assert (rate.input_usd, rate.cached_usd, rate.output_usd) == dollars("1", "1", "4")
    assert rate.real_time.nanos(1_000, 0, 10) == 2_000_000 + 80_000
    assert rate.version == f"price {price.pk}.1"


@pytest.mark.django_db
def test_a_changed_price_has_another_version_and_the_log_keeps_the_old_one():
    price, _ = save()
    price.batch_input = Decimal("1.5")

    save_price(price, by="cabdi")

    assert rate_on((2026, 11, 22)).version == f"price {price.pk}.2"
    entry = AuditEntry.objects.get(action="price.change")
    assert entry.actor == "cabdi"
    assert (entry.before["batch_input"], entry.after["batch_input"]) == (
        "1.000000",
        "1.5",
    )


@pytest.mark.django_db
def test_a_deleted_price_is_in_the_log():
    price, _ = save()

    delete_price(price, by="ayaan")

    assert AuditEntry.objects.get(action="price.delete").before["model"] == (
        "house-model"
    )
    with pytest.raises(UnknownPrice, match="house-model"):
        rate_on((2026, 11, 22))


@pytest.mark.django_db
def test_the_closest_price_of_ours_wins_over_the_shipped_one():
    save("gpt-4o*", batch_input="0.9")
    save("gpt-4o-mini", batch_input="0.8")
    save("gpt-4o-mini", provider="sandbox", batch_input="0.7")
    save("gpt-4o-mini-2024-07-18", batch_input="0.6")

    def input_usd(model, provider="openai"):
        return rate_on((2026, 11, 22), model, provider).input_usd

    assert input_usd("gpt-4o-mini") == Decimal("0.8")
    assert input_usd("GPT-4o-mini") == Decimal("0.8")
    assert input_usd("gpt-4o-mini", "sandbox") == Decimal("0.7")
    assert input_usd("gpt-4o-mini-2024-07-18") == Decimal("0.6")
    assert input_usd("gpt-4o-mini-2027-01-01") == Decimal("0.8")  # of its family
    assert input_usd("gpt-4o-2024-08-06") == Decimal("0.9")
    assert input_usd("gpt-4.1") == Decimal("1")


@pytest.mark.django_db
def test_prices_change_with_the_day():
    save(valid_until=date(2026, 10, 31))
    save(valid_from=date(2026, 11, 1), batch_input="0.5")

    assert rate_on((2026, 10, 31)).input_usd == 1
    assert rate_on((2026, 11, 1)).input_usd == Decimal("0.5")


@pytest.mark.django_db
def test_a_gap_between_two_prices_is_named_with_its_days_and_rows():
    first, _ = save("gpt-4o-mini", valid_until=date(2026, 10, 31))
    second, notes = save("gpt-4o-mini", valid_from=date(2026, 11, 5))

    (note,) = notes
    assert "From 2026-11-01 to 2026-11-04" in note
    assert f"price {first.pk} ends" in note and f"price {second.pk} begins" in note
    # Nor does the shipped price slip into the gap.
    with pytest.raises(UnknownPrice, match="from 2026-11-01 to 2026-11-04") as found:
        rate_on((2026, 11, 2), "gpt-4o-mini")
    assert f"price {first.pk} ends" in str(found.value)


@pytest.mark.django_db
def test_after_the_last_price_of_ours_the_shipped_one_holds_again():
    save("gpt-4o-mini", valid_until=date(2026, 10, 31))

    assert rate_on((2026, 11, 2), "gpt-4o-mini").version.startswith("genai-prices")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("days", "words"),
    [
        ({"valid_until": date(2026, 10, 31)}, "ended on 2026-10-31"),
        ({"valid_from": date(2026, 12, 1)}, "begins on 2026-12-01"),
    ],
)
def test_an_unknown_model_names_the_price_that_does_not_hold_today(days, words):
    price, _ = save(**days)

    with pytest.raises(UnknownPrice, match=f"Price {price.pk}, .*{words}"):
        rate_on((2026, 11, 22))


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"batch_input": "-1"}, "more than 0"),
        ({"batch_input": "0"}, "free by mistake"),
        ({"real_time_output": "0"}, "free by mistake"),
        ({"batch_output": "999999"}, "another currency"),
        ({"batch_input": "2", "real_time_input": "1"}, "wrong way round"),
        ({"batch_cached": "1.5"}, "would cost more than input"),
        ({"batch_output": None}, "answers would be free"),
        ({"provider": "opnai"}, "there are openai, sandbox"),
        ({"long_from": 10}, "no long prompt"),
        ({"long_from": 9_000, "long_input_factor": "0.5"}, "give 1 to 10"),
        ({"written_factor": "125"}, "give 1 to 10"),
        ({"valid_until": date(2025, 12, 31)}, "before it begins on 2026-01-01"),
    ],
)
def test_a_price_that_cannot_be_is_refused_with_a_reason(given, words):
    with pytest.raises(BadPrice, match=words):
        save(**given)

    assert not Price.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("model", ["*", "gpt *", "gpt-*-mini"])
def test_a_price_that_names_no_model_is_refused(model):
    with pytest.raises(BadPrice, match="names no model"):
        save(model)


@pytest.mark.django_db
def test_two_prices_for_one_day_are_refused_and_the_other_is_named():
    first, _ = save()

    with pytest.raises(
        BadPrice, match=rf"price {first.pk} for house-model.*2026-06-01"
    ):
        save("House-Model", valid_from=date(2026, 6, 1))
    save("house-model", provider="sandbox")  # is for another


@pytest.mark.django_db
def test_embeddings_have_no_output_to_price():
    save("text-embedding-9", batch_output=None, real_time_output=None)

    assert rate_on((2026, 11, 22), "text-embedding-9").nanos(1_000, 0, 0) == 1_000_000


@pytest.mark.django_db
def test_long_prompts_and_cache_writes_of_ours_are_priced_by_factors():
    save(
        long_from=100_000,
        long_input_factor="2",
        long_output_factor="1.5",
        written_factor="1.25",
        batch_cached="0.1",
    )

    rate = rate_on((2026, 11, 22))

    assert rate.nanos(100_000, 0, 10) == 100_000_000 + 40_000
    assert rate.nanos(100_001, 1, 10) == 200_000_000 + 200 + 60_000
    assert rate.nanos_up(100_001, 10) == 100_001 * 2_500 + 60_000


@pytest.mark.django_db
def test_answers_are_priced_as_reserved_where_their_price_is_gone():
    job = make_job(created_at=datetime(2026, 10, 31, 22, tzinfo=UTC))
    price, _ = save("gpt-4o-mini", valid_until=date(2026, 10, 31))
    save("gpt-4o-mini", valid_from=date(2026, 12, 1))

    rate = settling_rate(job, job.created_at + timedelta(hours=5))

    assert rate.version == f"price {price.pk}.1"
    alert = Alert.objects.get()
    assert alert.code == "price_gone"
    assert "from 2026-11-01 to 2026-11-30" in alert.message


@pytest.mark.django_db
def test_results_wait_for_a_price_that_was_taken_away_and_nothing_is_lost(sandbox):
    price, _ = save("gpt-9-nano")
    make_collected_run(items=2, model="gpt-9-nano")
    bundle()
    submit_jobs(now=later())
    poll_until(BatchJob.objects.filter(status=JobStatus.COMPLETED).exists)
    delete_price(price, by="ayaan")

    with pytest.raises(UnknownPrice):
        ingest_jobs(now=later())
    waiting = BatchJob.objects.get()
    again, _ = save("gpt-9-nano")
    work_off()

    assert waiting.status == JobStatus.COMPLETED
    assert "add its price in the admin" in waiting.waiting_reason
    versions = ItemAttempt.objects.values_list("price_version", flat=True)
    assert list(versions) == [f"price {again.pk}.1"] * 2
