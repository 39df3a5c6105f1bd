"""Prices: what a model costs now, and our own price rows, written by people."""

from dataclasses import fields
from datetime import date, datetime
from decimal import Decimal
from functools import cached_property
from typing import Any

from django.db import transaction
from django.utils import timezone

from batches.errors import BadPrice, UnknownPrice
from batches.models import BatchJob, Price
from batches.providers.pricing import (
    PriceRow,
    Rate,
    gap_between,
    rate_of,
)
from batches.providers.registry import KEYS
from batches.services.alerts import raise_alert
from batches.services.events import audit

# Dollars for a million tokens; the dearest of any model so far is 600.
ABSURD_USD = Decimal(10_000)
ABSURD_FACTOR = Decimal(10)
RATES = (
    "batch_input",
    "batch_cached",
    "batch_output",
    "real_time_input",
    "real_time_cached",
    "real_time_output",
)
FACTORS = ("written_factor", "long_input_factor", "long_output_factor")
WRITTEN = (  # by people; the rest is kept by us
    "provider",
    "model",
    "valid_from",
    "valid_until",
    *RATES,
    *FACTORS,
    "long_from",
    "note",
)


class Rates:
    """The rates of one moment; our rows are read once."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self._known: dict[tuple[str, str, datetime], Rate] = {}

    @cached_property
    def _rows(self) -> list[PriceRow]:
        return [price_row(price) for price in Price.objects.all()]

    def of(self, provider: str, model: str, *, at: datetime | None = None) -> Rate:
        """The rate now, or at a time. Raises UnknownPrice, which says how to add it."""
        key = provider, model, at or self.now
        if key not in self._known:
            self._known[key] = rate_of(
                self._rows, provider=provider, model=model, at=key[2]
            )
        return self._known[key]

    def has(self, provider: str, model: str) -> bool:
        try:
            self.of(provider, model)
        except UnknownPrice:
            return False
        return True


def current_rate(provider: str, model: str, now: datetime) -> Rate:
    """What a model costs now; raises UnknownPrice, which says how to add its price."""
    return Rates(now).of(provider, model)


def settling_rate(job: BatchJob, now: datetime) -> Rate:
    """What a job's answers cost: today's price or, where that is gone since, the price
    that was reserved for it. What was paid for is accounted for in any case.
    """
    try:
        return current_rate(job.provider, job.model, now)
    except UnknownPrice as err:
        rate = current_rate(job.provider, job.model, job.created_at)
        raise_alert(
            "price_gone",
            f"{err} What comes back of work already sent is priced as it was on "
            f"{job.created_at:%Y-%m-%d} ({rate.version}).",
            key=f"{job.provider} {job.model}"[:200],
        )
        return rate


def real_time_nanos(
    rate: Rate,
    *,
    input_tokens: int,
    cached_tokens: int,
    output_tokens: int,
    cost_nanos: int,
) -> int:
    """What requests would have cost without a batch, from the sums of their tokens.

    Where sums do not tell the price (long prompts cost more), what they did cost is
    taken, and raised as the plain prices of the two stand to each other.
    """
    full = rate.real_time
    if full is None:
        return cost_nanos
    flat = full.nanos_of_sums(input_tokens, cached_tokens, output_tokens)
    if not rate.is_uneven:
        return flat
    plain = rate.nanos_of_sums(input_tokens, cached_tokens, output_tokens)
    return max(flat, flat * cost_nanos // plain) if plain else flat


def price_row(price: Price) -> PriceRow:
    """A row in the words of `pricing`, which knows no database; blanks filled in."""
    same = {field.name for field in fields(PriceRow)} - {"key", *RATES}
    return PriceRow(
        key=price.pk or 0,
        batch_input=price.batch_input,
        batch_cached=_or(price.batch_cached, price.batch_input),
        batch_output=_or(price.batch_output, Decimal(0)),
        real_time_input=price.real_time_input,
        real_time_cached=_or(price.real_time_cached, price.real_time_input),
        real_time_output=_or(price.real_time_output, Decimal(0)),
        **{name: getattr(price, name) for name in same},
    )


def _or(value: Decimal | None, default: Decimal) -> Decimal:
    return default if value is None else value


def save_price(price: Price, *, by: str) -> list[str]:
    """Write a new or a changed price; returns what somebody should know of it.

    Raises BadPrice for one that cannot be used.
    """
    with transaction.atomic():
        if problems := price_problems(price):
            raise BadPrice(" ".join(problems.values()))
        before = None
        if price.pk:
            stored = Price.objects.select_for_update().get(pk=price.pk)
            before = _as_text(stored)
            price.revision = stored.revision + 1
        price.changed_by, price.changed_at = by[:150], timezone.now()
        price.save()
        audit(
            "price.change" if before else "price.add",
            actor=by,
            target=str(price),
            before=before,
            after=_as_text(price),
        )
        return price_notes(price)


def delete_price(price: Price, *, by: str) -> None:
    """Take a price away; attempts keep what they cost, the audit log what it was."""
    with transaction.atomic():
        audit(
            "price.delete",
            actor=by,
            target=str(price),
            before=_as_text(price),
        )
        price.delete()


def _as_text(price: Price) -> dict[str, Any]:
    said = {name: str(_or_empty(getattr(price, name))) for name in WRITTEN}
    return {**said, "revision": price.revision}


def _or_empty(value: Any) -> Any:
    return "" if value is None else value


def price_problems(price: Price) -> dict[str, str]:
    """Why a price cannot be used, {field: a sentence}; empty for a good one.

    Fields that are missing altogether are left out: whoever asked for them says so.
    """
    found: dict[str, str] = {}
    if price.provider and price.provider not in KEYS:
        found["provider"] = (
            f"No provider is called {price.provider!r}; there are {', '.join(KEYS)}, "
            "or leave it empty for any."
        )
    name = price.model.removesuffix("*")
    if not name or "*" in name or name != name.strip():
        found["model"] = (
            f"{price.model!r} names no model; write a name such as gpt-4o-mini, or the "
            "beginning of names with one * after it."
        )
    for rate in RATES:
        if trouble := _bad_rate(getattr(price, rate)):
            found[rate] = trouble
    for factor in FACTORS:
        value = getattr(price, factor)
        if value is not None and not 1 <= value <= ABSURD_FACTOR:
            found[factor] = f"{value} is no such factor; give 1 to {ABSURD_FACTOR}."
    for way in ("batch", "real_time"):
        found |= _bad_together(price, way, found)
    for part in ("input", "output"):
        batch = getattr(price, f"batch_{part}")
        full = getattr(price, f"real_time_{part}")
        if batch is not None and full is not None and batch > full:
            found.setdefault(
                f"batch_{part}",
                f"A batch would cost more ({batch}) than real time ({full}); are the "
                "two the wrong way round?",
            )
    if price.long_from is not None and price.long_from < 1_000:
        found["long_from"] = (
            f"{price.long_from} input tokens are no long prompt; give 1000 or more."
        )
    return found | _bad_days(price)


def _bad_rate(value: Decimal | None) -> str:
    if value is None:
        return ""
    if value <= 0:
        return (
            f"{value} dollars for a million tokens would make work free by mistake; it "
            "must be more than 0. For a model of your own give a very small price."
        )
    if value > ABSURD_USD:
        return (
            f"{value} dollars for a million tokens cannot be; at most {ABSURD_USD} is "
            "taken. Is it in another currency?"
        )
    return ""


def _bad_together(price: Price, way: str, found: dict[str, str]) -> dict[str, str]:
    input_usd = getattr(price, f"{way}_input")
    cached_usd = getattr(price, f"{way}_cached")
    output_usd = getattr(price, f"{way}_output")
    bad: dict[str, str] = {}
    if output_usd is None and "embed" not in price.model.lower():
        bad[f"{way}_output"] = (
            "Only embeddings have no output; without a price answers would be free."
        )
    if None not in (input_usd, cached_usd) and cached_usd > input_usd:
        bad[f"{way}_cached"] = (
            f"Cached input ({cached_usd}) would cost more than input ({input_usd})."
        )
    return {name: text for name, text in bad.items() if name not in found}


def _bad_days(price: Price) -> dict[str, str]:
    begins, ends = price.valid_from, price.valid_until
    if begins is None:
        return {}
    if ends is not None and ends < begins:
        return {"valid_until": f"It would end on {ends}, before it begins on {begins}."}
    for other in _alike(price):
        first = max(begins, other.valid_from)
        last = min(ends or date.max, other.valid_until or date.max)
        if first <= last:
            until = "on" if last == date.max else f"to {last}"
            return {
                "valid_from": f"It would hold at the same time as {other}: from "
                f"{first} {until}. End one before the other begins."
            }
    return {}


def _alike(price: Price) -> list[Price]:
    """The other prices for the same, by day."""
    others = Price.objects.filter(
        provider=price.provider, model__iexact=price.model
    ).exclude(pk=price.pk)
    return list(others.order_by("valid_from"))


def price_notes(price: Price) -> list[str]:
    """The days around a price on which no price would be known, a sentence for each."""
    alike = sorted([price, *_alike(price)], key=lambda one: one.valid_from)
    rows = [price_row(one) for one in alike]
    place = alike.index(price)
    notes = []
    for before, after in zip(rows[:-1], rows[1:], strict=True):
        gap = gap_between(before, after)
        if gap and rows[place] in (before, after):
            notes.append(
                f"From {gap[0]} to {gap[1]} there is no price for {price.model}: "
                f"price {before.key} ends before these days, and price {after.key} "
                "begins after them. Nothing is sent to it then."
            )
    return notes
