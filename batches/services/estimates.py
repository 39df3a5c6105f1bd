"""Estimates: what work will probably cost, from how long answers turned out before.

What is reserved is the worst case, and no estimate: see `worst_case_nanos`.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property, reduce
from itertools import accumulate
from math import ceil, log2
from operator import or_
from typing import NamedTuple, Protocol

from django.db.models import F, Max, Min, Q

from batches.models import AnswerLength, BatchItem, BatchJob, ItemAttempt
from batches.providers.pricing import Rate
from batches.services.bulk import add_to_rows
from batches.services.rendering import worst_case_nanos
from batches.states import AttemptOutcome
from batches.workloads import Workload, get_workload

# Before so many answers of a kind a workload's own guess is used.
ENOUGH = 5
# A job teaches by so many of its answers, spread over it: more would tell no more.
MOST_SAMPLES = 1_000
# Where a job's items lie further apart, all of them are looked through instead.
MOST_KEYS = 5 * MOST_SAMPLES
# What was learned counts for so much less with each further job that teaches the same
# kind: half after about 14 of them. So a new prompt or a model that changed its ways is
# believed within days, and one odd job does not undo what many told.
FADING = 0.95
STEPS_PER_DOUBLING = 8
LONGEST_STEP = 80  # an answer 1,024 times as long as its request
LENGTH_KEY = ("provider", "workload", "model", "trait", "size", "step")


@dataclass
class Costs:
    """What requests come to; money in nano-dollars, at batch price but for the last.

    `expected` and `output_tokens` are with answers of median length, `high` with those
    that nine of ten stay below; `worst` is what is reserved. `guessed` counts requests
    for whose like there are not enough answers yet.
    """

    items: int = 0
    guessed: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    expected: int = 0
    high: int = 0
    worst: int = 0
    real_time: int = 0

    def __add__(self, other: "Costs") -> "Costs":
        return Costs(
            *(getattr(self, f.name) + getattr(other, f.name) for f in fields(self))
        )

    def scaled(self, to: int, of: int) -> "Costs":
        """The same for `to` subjects where these are of `of`."""
        of = max(of, 1)
        return Costs(*(getattr(self, f.name) * to // of for f in fields(self)))


# {step: how many answers were so long, older ones counting for less}.
Weights = dict[int, float]


class Guess(NamedTuple):
    """How long an answer will be, in tokens: in the middle, and nine times of ten."""

    median: int
    high: int
    is_learned: bool


class Lengths:
    """How long answers of one workload and model at one provider turned out to be."""

    def __init__(self, workload: Workload, *, provider: str, model: str) -> None:
        self.workload = workload
        self._about = {
            "provider": provider,
            "workload": workload.key,
            "model": model,
        }
        self._quantiles: dict[tuple[str, int], tuple[float, float] | None] = {}

    @cached_property
    def _counts(self) -> dict[tuple[str, int], Weights]:
        """{(trait, size): {step: weight of answers}}."""
        counts: defaultdict[tuple[str, int], Weights] = defaultdict(
            lambda: defaultdict(float)
        )
        rows = AnswerLength.objects.filter(**self._about)
        for trait, size, step, n in rows.values_list(
            "trait", "size", "step", "answers"
        ):
            counts[trait, size][step] += n
        return counts

    def guess(self, trait: str, input_tokens: int, output_limit: int) -> Guess:
        """By answers with the trait to requests of the size, else to any of that size,
        else by the workload's own word. Never above the limit.
        """
        size = size_of(input_tokens)
        key = trait, size
        if key not in self._quantiles:
            self._quantiles[key] = self._read(trait, size)
        found = self._quantiles[key]
        if found is None:
            median, high = self.workload.usual_output(input_tokens, output_limit)
        else:
            median, high = ceil(input_tokens * found[0]), ceil(input_tokens * found[1])
        high = min(high, output_limit)
        return Guess(min(median, high), high, found is not None)

    def _read(self, trait: str, size: int) -> tuple[float, float] | None:
        alike = self._counts.get((trait, size), {})
        if sum(alike.values()) < ENOUGH:
            alike = defaultdict(float)
            for (_, at), weights in self._counts.items():
                if at == size:
                    for step, weight in weights.items():
                        alike[step] += weight
        if sum(alike.values()) < ENOUGH:
            return None
        return _quantile(alike, 0.5), _quantile(alike, 0.9)


class Sized(Protocol):
    """A request, by what bounds its cost."""

    @property
    def input_tokens(self) -> int: ...

    @property
    def output_limit(self) -> int: ...


class Estimator:
    """Adds up what requests of one workload come to."""

    def __init__(
        self, workload: Workload, rate: Rate, *, provider: str, model: str
    ) -> None:
        self.workload, self.rate = workload, rate
        self.lengths = Lengths(workload, provider=provider, model=model)

    def cost(self, requests: Iterable[tuple[str, Sized]]) -> Costs:
        """What requests, each with its target, come to."""
        rate, full = self.rate, self.rate.real_time or self.rate
        guess_of, trait_of = self.lengths.guess, self.workload.trait
        requested = guessed = read = written = expected = high = worst = real_time = 0
        for target, request in requests:
            tokens, limit = request.input_tokens, request.output_limit
            median, most, is_learned = guess_of(trait_of(target), tokens, limit)
            requested += 1
            guessed += not is_learned
            read += tokens
            written += median
            expected += rate.nanos(tokens, 0, median)
            high += rate.nanos(tokens, 0, most)
            worst += worst_case_nanos(rate, input_tokens=tokens, output_limit=limit)
            real_time += full.nanos(tokens, 0, median)
        return Costs(
            items=requested,
            guessed=guessed,
            input_tokens=read,
            output_tokens=written,
            expected=expected,
            high=high,
            worst=worst,
            real_time=real_time,
        )


def learn_lengths(job: BatchJob) -> None:
    """Note how long a job's answers were; once, in the transaction that ends it."""
    answers = _some_answers(job)
    if not answers:
        return
    workload = get_workload(job.workload)
    counted = Counter(
        (workload.trait(target)[:100], size_of(tokens), _step(tokens, output))
        for target, tokens, output in answers
    )
    about = (job.provider, job.workload, job.model)
    _fade(about, {(trait, size) for trait, size, _ in counted})
    rows = [(*about, *key, n) for key, n in sorted(counted.items())]
    add_to_rows(AnswerLength, LENGTH_KEY, ("answers",), rows)


def _some_answers(job: BatchJob) -> list[tuple[str, int, int]]:
    """Target, input and output tokens of answers that were applied, spread over a job.

    Where its items are neighbours, as nearly always, these are found by their keys.
    """
    stride = max(1, job.items_total // MOST_SAMPLES)
    items = BatchItem.objects.filter(job=job)
    ends = items.aggregate(first=Min("pk"), last=Max("pk"))
    first, last = ends["first"] or 0, ends["last"] or 0
    keys: Sequence[int] = range(first + -first % stride, last + 1, stride)
    if len(keys) > MOST_KEYS:
        some = items.annotate(nth=F("pk") % stride).filter(nth=0)
        keys = list(some.values_list("pk", flat=True))
    # Not in one query: PostgreSQL takes a table that has just grown for an empty one,
    # and goes through all of it for each key.
    answers = ItemAttempt.objects.filter(
        job=job, outcome=AttemptOutcome.APPLIED, input_tokens__gt=0, item__in=keys
    )
    targets = dict(items.filter(pk__in=keys).values_list("pk", "target"))
    return [
        (targets[item_id], tokens, output)
        for item_id, tokens, output in answers.values_list(
            "item_id", "input_tokens", "output_tokens"
        )
        if item_id in targets
    ]


def _fade(about: tuple[str, str, str], kinds: set[tuple[str, int]]) -> None:
    """Let what is known of these kinds, each a trait and a size, count for less.

    The rows are locked in the order of keys first: jobs that end together would wait
    for each other if each took them in an order of its own.
    """
    provider, workload, model = about
    rows = AnswerLength.objects.filter(
        reduce(or_, (Q(trait=trait, size=size) for trait, size in sorted(kinds))),
        provider=provider,
        workload=workload,
        model=model,
    )
    locked = rows.order_by(*LENGTH_KEY).select_for_update().values_list("pk", flat=True)
    AnswerLength.objects.filter(pk__in=list(locked)).update(
        answers=F("answers") * FADING
    )


def size_of(input_tokens: int) -> int:
    """Requests of one size have input tokens between 2ⁿ and twice that."""
    return max(input_tokens, 1).bit_length() - 1


def _step(input_tokens: int, output_tokens: int) -> int:
    ratio = max(output_tokens, 1) / input_tokens
    step = round(STEPS_PER_DOUBLING * log2(ratio))
    return max(-LONGEST_STEP, min(step, LONGEST_STEP))


def _quantile(counts: Weights, share: float) -> float:
    """The ratio of output to input that this share of answers stays at or below."""
    steps = sorted(counts)
    below = list(accumulate(counts[step] for step in steps))
    place = bisect_left(below, share * below[-1])
    return float(2 ** (steps[place] / STEPS_PER_DOUBLING))
