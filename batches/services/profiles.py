"""Estimate profiles: what a unit of work takes in tokens, by assumption or by usage.

An estimate is tokens times price, so it changes with the model; the assumption behind
the tokens is part of the profile and is shown with it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_UP, Decimal

from django.db.models import Q, Sum

from batches.errors import BadOptions
from batches.models import HourlyUsage, Run
from batches.models.money import to_usd
from batches.providers.pricing import Rate
from batches.services.estimates import ENOUGH
from batches.services.prices import Rates, real_time_nanos
from batches.states import AttemptOutcome

CENT = Decimal("0.01")
MOST_UNITS = 1_000_000_000
MEASURED = "measured"


@dataclass(frozen=True)
class Scenario:
    """So many units; `times` of them are the rounded price of one, so many times."""

    title: str
    units: int
    times: int = 1


@dataclass(frozen=True)
class Profile:
    """Tokens that `per_units` units take, and scenarios to price with it.

    A unit is a subject (`is_subject`) or one request. With `workload` the assumption
    is held against what that workload really used.
    """

    key: str
    workload: str
    model: str
    unit: tuple[str, str]
    is_subject: bool
    per_units: int
    input_tokens: int
    output_tokens: int
    assumes: str
    scenarios: Sequence[Scenario] = ()


SHIPPED: dict[str, Profile] = {
    profile.key: profile
    for profile in (
        Profile(
            key="dictionary",
            workload="dictionary",
            model="gpt-4o-mini",
            unit=("word", "words"),
            is_subject=True,
            # 0.075 × 62,048 + 0.30 × 18,000 dollars a million, by 15: $0.00067024.
            per_units=15,
            input_tokens=62_048,
            output_tokens=18_000,
            assumes="4,136.5 tokens in and 1,200 out a word, in two requests; "
            "$0.00067024 a word on gpt-4o-mini",
            scenarios=(
                Scenario("Full corpus", 269_309),
                Scenario("Moderate (15 %)", 40_396),
                Scenario("Aggressive (10 %)", 26_931),
            ),
        ),
        Profile(
            key="nightly",
            workload="translation",
            model="gpt-4o-mini",
            unit=("request", "requests"),
            is_subject=False,
            per_units=1,
            input_tokens=500,
            output_tokens=500,
            assumes="500 tokens in and as many out a request, so 60,000 each way in a "
            "batch of 20 × 3 × 2; a month is 30 times the rounded price of one",
            scenarios=(
                Scenario("One nightly batch", 120),
                Scenario("A month of them", 120, times=30),
            ),
        ),
    )
}


@dataclass(frozen=True)
class Usage:
    """What a workload really used on one model at one provider, failures included.

    `units` are completed requests, or the subjects that they were for.
    """

    provider: str
    workload: str
    model: str
    requests: int
    units: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    cost_nanos: int


@dataclass(frozen=True)
class Amount:
    """What so many units come to; both prices in nano-dollars."""

    input_tokens: int
    output_tokens: int
    nanos: int
    real_time_nanos: int


@dataclass(frozen=True)
class Line:
    """One scenario, priced; `measured` where there is enough usage to tell."""

    scenario: Scenario
    estimate: Amount
    measured: Amount | None

    def usd(self, nanos: int) -> Decimal:
        """Dollars as shown: to the cent, half up, and the same again `times`."""
        one = to_usd(nanos)
        if one >= CENT or self.scenario.times > 1:
            one = one.quantize(CENT, ROUND_HALF_UP)
        return one * self.scenario.times


@dataclass(frozen=True)
class Table:
    """A profile's scenarios, priced for one model."""

    profile: Profile
    rate: Rate
    lines: list[Line]
    actual: Usage | None


def price_profile(
    profile: Profile, rates: Rates, *, provider: str, units: Sequence[int] = ()
) -> Table:
    """Price a profile's scenarios, or so many units; raises UnknownPrice."""
    rate = rates.of(provider, profile.model)
    actual = usage_of(
        profile.workload,
        provider=provider,
        model=profile.model,
        is_subject=profile.is_subject,
    )
    scenarios = [_of_units(profile, n) for n in units] or profile.scenarios
    return Table(
        profile,
        rate,
        [
            Line(
                scenario,
                _amount(
                    rate,
                    scenario.units,
                    profile.per_units,
                    profile.input_tokens,
                    profile.output_tokens,
                ),
                # What was measured is the estimate itself in a profile made of it.
                None
                if profile.key == MEASURED
                else _by_usage(rate, scenario.units, actual),
            )
            for scenario in scenarios
        ],
        actual,
    )


def measured_profile(
    workload: str, *, provider: str, model: str, is_subject: bool = True
) -> Profile:
    """A profile out of real usage; BadOptions where there is not enough of it yet."""
    usage = usage_of(workload, provider=provider, model=model, is_subject=is_subject)
    if usage is None or usage.requests < ENOUGH:
        found = usage.requests if usage else 0
        raise BadOptions(
            f"There are {found} finished requests of {workload} on {model} at "
            f"{provider}; from {ENOUGH} on an estimate can be made of them. Until then "
            "`run_workload --dry-run` makes one of the content itself."
        )
    return Profile(
        key=MEASURED,
        workload=workload,
        model=model,
        unit=("subject", "subjects") if is_subject else ("request", "requests"),
        is_subject=is_subject,
        per_units=usage.units,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        assumes=f"what {usage.requests:,} finished requests used, with those that "
        "failed on the way",
        scenarios=[Scenario(f"{n:,}", n) for n in (100, 1_000, 10_000)],
    )


def for_model(profile: Profile, model: str) -> Profile:
    """The same tokens on another model."""
    return replace(profile, model=model) if model else profile


def usage_of(
    workload: str, *, provider: str, model: str, is_subject: bool
) -> Usage | None:
    """What a workload used so far; None where no request of it was finished."""
    done = Q(outcome__in=(AttemptOutcome.APPLIED, AttemptOutcome.SPLIT))
    sums = HourlyUsage.objects.filter(
        workload=workload, provider=provider, model=model
    ).aggregate(
        requests=Sum("attempts", filter=done, default=0),
        input_tokens=Sum("input_tokens", default=0),
        cached_tokens=Sum("cached_tokens", default=0),
        output_tokens=Sum("output_tokens", default=0),
        cost_nanos=Sum("cost_nanos", default=0),
    )
    if not sums["requests"]:
        return None
    units = sums["requests"]
    if is_subject:
        units = max(1, units * _subjects_of_items(workload))
    return Usage(provider, workload, model, units=int(units), **sums)


def _subjects_of_items(workload: str) -> Decimal:
    """How many subjects an item is, over all that was collected."""
    sums = Run.objects.filter(workload=workload).aggregate(
        subjects=Sum("subjects_collected", default=0),
        items=Sum("items_collected", default=0),
    )
    return Decimal(sums["subjects"]) / max(1, sums["items"])


def _of_units(profile: Profile, units: int) -> Scenario:
    if not 1 <= units <= MOST_UNITS:
        raise BadOptions(
            f"{units:,} {profile.unit[1]} cannot be estimated; give 1 to "
            f"{MOST_UNITS:,}."
        )
    return Scenario(f"{units:,} {profile.unit[units != 1]}", units)


def _by_usage(rate: Rate, units: int, usage: Usage | None) -> Amount | None:
    if usage is None or usage.requests < ENOUGH:
        return None
    return _amount(rate, units, usage.units, usage.input_tokens, usage.output_tokens)


def _amount(
    rate: Rate, units: int, per: int, tokens_in: int, tokens_out: int
) -> Amount:
    read, written = _share(tokens_in, units, per), _share(tokens_out, units, per)
    nanos = rate.nanos_of_sums(read, 0, written)
    return Amount(
        read,
        written,
        nanos,
        real_time_nanos(
            rate,
            input_tokens=read,
            cached_tokens=0,
            output_tokens=written,
            cost_nanos=nanos,
        ),
    )


def _share(tokens: int, units: int, per: int) -> int:
    """Tokens of so many units, rounded half up."""
    return (2 * tokens * units + per) // (2 * per)
