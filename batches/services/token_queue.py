"""The provider's queue of input tokens: its limit is learned, and never run into twice.

A provider bounds the input tokens of a model that are queued in all batches of an
organization, tells the bound to nobody, and refuses a batch that goes beyond it, which
costs nothing. From the first refusal on we keep to an allowance: what the refusal
names, or what lies half-way between what was in the queue and what was too much. Each
job that is taken raises it again towards what was refused; after an hour that is
forgotten and more is tried, as an account's limit grows, and others who share it end.

While what fitted and what was too much lie far apart, jobs of falling sizes go out at
once: the first of half of what may still fit, each other of a quarter of the one
before. Whatever the limit is, some of them are taken, so the search takes about as long
as two validations.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Min, Q, Sum
from django.utils import timezone

from batches import config
from batches.models import BatchJob, TokenQueue
from batches.providers.registry import is_sandbox
from batches.services.slots import is_worth_a_job, part_of
from batches.states import AT_PROVIDER, TO_SUBMIT, JobStatus

# "Enqueued token limit reached for gpt-4o-mini in organization org-…. Limit: 2,000,000
# enqueued tokens. Please try again …" (seen in 2024 and since).
TOLD = re.compile(r"limit:\s*(\d[\d,]{0,20})\s*(?:enqueued\s+)?tokens", re.IGNORECASE)

# What was refused is believed for so long; a limit that was named, for longer.
BELIEVED = timedelta(hours=1)
SANDBOX_BELIEVED = timedelta(minutes=10)
TOLD_BELIEVED = timedelta(days=1)
# Where what is kept to and what was too much are so near, no more is tried.
NEAR = 0.05
# What fitted is gone back to where it was at least this share of what was too much;
# where it was less, the limit is still searched for.
FOUND = 0.75
# The smallest job that searches, as a share of what fitted. There what fitted is about
# `FOUND`, and a smaller job would hold a slot for little.
SMALLEST_PROBE = 1 / 6
# By how much more is tried once a refusal is forgotten. What is then too much is
# within `FOUND` of what fitted, so one refusal is all that it can cost.
GROWTH = 1.25
# Only a queue that is about full tells that there may be more room.
ABOUT_FULL = 0.75
# Counts further apart than this are a mistake, not another way of counting.
MOST_APART = 2.0
VALIDATED = (JobStatus.IN_PROGRESS, JobStatus.FINALIZING, JobStatus.CANCELLING)
# Where others fill the queue, no allowance falls below this share of a limit told.
LEAST_SHARE = 8


@dataclass(frozen=True)
class Queued:
    """Input tokens of a model that jobs other than one have at the provider."""

    all: int
    staying: int  # without batches that end before another could be validated
    surely: int  # of these, without batches that are being validated themselves
    # What it may have found there: of all, what was validated or sent before it, and
    # what ended since it was sent.
    before: int
    smallest_unsure: int | None  # the least of one that is being validated


@dataclass(frozen=True)
class Limit:
    """What is kept to of a queue, in tokens as we count them; and where the limit is
    still searched for what was too much, and what fitted."""

    kept_to: int
    too_much: int | None = None
    held: int = 0

    def probe(self, taken: int, smallest_unsure: int | None) -> int:
        """The tokens of a job that searches, with so many taken; 0 where none is to.

        Half of what may fit, or a quarter of the smallest of the jobs that it is not
        known of whether they fit; never less than is known to fit.
        """
        if self.too_much is None:
            return 0
        tokens = (self.too_much - taken) // 2
        if smallest_unsure is not None:
            tokens = min(tokens, smallest_unsure // 4)
        least = max(self.held * SMALLEST_PROBE, self.kept_to - taken, 1)
        return tokens if tokens >= least else 0


def billed_share(queue: TokenQueue) -> float:
    """How many tokens the provider counts for one of ours."""
    if not queue.counted_tokens or not queue.billed_tokens:
        return 1.0
    share = queue.billed_tokens / queue.counted_tokens
    return min(max(share, 1 / MOST_APART), MOST_APART)


def limit_of(queue: TokenQueue, by_hand: int | None) -> int | None:
    """What is kept to, in tokens as we count them; None where nothing is known."""
    known = [tokens for tokens in (by_hand, queue.allowance) if tokens is not None]
    return max(int(min(known) / billed_share(queue)), 1) if known else None


def searched_limit(queue: TokenQueue, by_hand: int | None) -> Limit | None:
    """What is known of a limit; None where that is nothing."""
    kept_to = limit_of(queue, by_hand)
    if kept_to is None:
        return None
    is_searched = by_hand is None and queue.told_limit is None
    if not is_searched or queue.refused_tokens is None:
        return Limit(kept_to)
    if not _is_believed(queue, timezone.now()):
        return Limit(kept_to)
    share = billed_share(queue)
    held = int((queue.held_tokens or 0) / share)
    return Limit(kept_to, int(queue.refused_tokens / share), held)


def limits() -> dict[tuple[str, str], Limit]:
    """{(provider, model): its limit}, where one is known of a queue that was used
    before."""
    by_hand = config.get("TOKEN_QUEUE_LIMITS")
    found = {
        (queue.provider, queue.model): searched_limit(queue, by_hand.get(queue.model))
        for queue in TokenQueue.objects.all()
    }
    return {key: limit for key, limit in found.items() if limit is not None}


def queued_beside(job: BatchJob, queue: TokenQueue | None) -> Queued:
    """What other jobs have in the queue that this one goes to.

    A batch that is finishing is as good as gone: it ends before another is validated.
    What is sent into its room too early is refused, which costs nothing; after that it
    counts until it has really ended.
    """
    here = BatchJob.objects.filter(provider=job.provider, model=job.model)
    may_be_there = Q(status__in=AT_PROVIDER) | Q(
        status__in=TO_SUBMIT, create_sent_at__isnull=False
    )
    is_leaving = Q(status=JobStatus.FINALIZING)
    if queue and queue.came_early_at:
        is_leaving &= Q(finalizing_at__gt=queue.came_early_at)
    is_before = Q(status__in=VALIDATED)
    left_since = 0
    if job.create_sent_at is not None:
        is_before |= Q(create_sent_at__lt=job.create_sent_at)
        ended = here.filter(completed_at__gt=job.create_sent_at).exclude(pk=job.pk)
        left_since = ended.aggregate(n=Sum("queued_tokens", default=0))["n"]
    sums = (
        here.filter(may_be_there)
        .exclude(pk=job.pk)
        .aggregate(
            all=Sum("queued_tokens", default=0),
            staying=Sum("queued_tokens", filter=~is_leaving, default=0),
            surely=Sum(
                "queued_tokens",
                filter=Q(status__in=VALIDATED) & ~is_leaving,
                default=0,
            ),
            before=Sum("queued_tokens", filter=is_before, default=0),
            smallest_unsure=Min("queued_tokens", filter=~Q(status__in=VALIDATED)),
        )
    )
    sums["before"] += left_since
    return Queued(**sums)


@dataclass(frozen=True)
class Room:
    """What the queue has for a job: "" where it may go, else what it waits for; and to
    how many tokens it may be cut, so that it need not wait or is not refused."""

    reason: str = ""
    cut_to: int | None = None


def room_for(job: BatchJob) -> Room:
    """What a job that was not sent finds in the queue.

    Where nothing of ours is queued a job goes out, be it only with one item: nothing
    else would ever tell whether it is taken.
    """
    by_hand = config.get("TOKEN_QUEUE_LIMITS").get(job.model)
    queue = TokenQueue.objects.filter(provider=job.provider, model=job.model).first()
    known = searched_limit(queue, by_hand) if queue else None
    known = known or (Limit(by_hand) if by_hand else None)
    if known is None:
        return Room()
    limit = known.kept_to
    beside = queued_beside(job, queue)
    taken = beside.staying
    probe = known.probe(taken, beside.smallest_unsure)
    room = max(limit - taken, probe)
    if job.queued_tokens <= room:
        return Room()
    if not taken:
        return Room(cut_to=room if job.items_total > 1 else None)
    is_worth_it = probe or is_worth_a_job(room, part_of(limit, job.workload))
    return Room(
        f"room in the queue of {job.provider} for {job.model}: {taken:,} of {limit:,} "
        "input tokens are taken",
        cut_to=room if is_worth_it else None,
    )


# --- learning -------------------------------------------------------------------------


def told_limit(message: str) -> int | None:
    """The limit that a refusal names."""
    found = TOLD.search(message)
    return int(found[1].replace(",", "")) or None if found else None


def learn_refusal(job: BatchJob, message: str) -> bool:
    """A job was refused for want of room: keep to less from now on.

    Returns whether it pays to try at once: there is work of ours whose end makes room,
    or the job goes out smaller, as the limit is known.
    """
    now = timezone.now()
    told = told_limit(message)
    with transaction.atomic():
        TokenQueue.objects.get_or_create(provider=job.provider, model=job.model)
        queue = TokenQueue.objects.select_for_update().get(
            provider=job.provider, model=job.model
        )
        beside = queued_beside(job, queue)
        share = billed_share(queue)
        refused = int((beside.before + job.queued_tokens) * share)
        kept_to = limit_of(queue, None) or 0
        came_early = beside.staying + job.queued_tokens <= kept_to
        if came_early:
            queue.came_early_at = now
        if told is not None:
            queue.told_limit, queue.told_at = told, now
        if told is not None and refused > told:
            queue.allowance = min(told, queue.allowance or told)
        else:
            surely = int(beside.surely * share)
            least = told // LEAST_SHARE if told else 1
            _note_too_much(queue, refused, surely, least, now, came_early=came_early)
        queue.refused_at = queue.changed_at = now
        queue.refusals += 1
        queue.save()
    if beside.all:
        return True
    return told is not None and refused > told and job.items_total > 1


def _note_too_much(
    queue: TokenQueue,
    refused: int,
    surely: int,
    least: int,
    now: datetime,
    *,
    came_early: bool,
) -> None:
    """Keep to less than was refused, with so much that surely was in the queue.

    A job that `came_early`, while a batch was finishing, would fit once that has ended:
    it tells nothing of what is kept to.
    """
    if queue.held_tokens is not None and queue.held_tokens >= refused:
        queue.held_tokens = None  # the limit fell, or others are in the queue
    known = queue.refused_tokens if _is_believed(queue, now) else None
    queue.refused_tokens = min(refused, known or refused)
    if came_early and queue.allowance is not None and queue.allowance < refused:
        return
    held = max(surely, queue.held_tokens or 0)
    if held < FOUND * queue.refused_tokens:
        held = (surely + queue.refused_tokens) // 2
    less = max(min(held, refused - 1), least, 1)
    queue.allowance = min(less, queue.allowance or less)


def learn_accepted(job: BatchJob) -> None:
    """A job passed validation: where the queue is about full, more may be tried."""
    queue = TokenQueue.objects.filter(
        provider=job.provider, model=job.model, allowance__isnull=False
    ).first()
    if queue is None or queue.allowance is None:
        return
    now = timezone.now()
    queued = queued_beside(job, queue).surely + job.queued_tokens
    total = int(queued * billed_share(queue))
    told = queue.told_limit
    if told is not None and total > told:
        told = None  # more was taken than was told: the limit has grown
    allowance = max(queue.allowance, total)
    if total >= ABOUT_FULL * queue.allowance:
        allowance = _raised(queue, allowance, told, now)
    held = max(total, queue.held_tokens or 0)
    learned = {"allowance": allowance, "told_limit": told, "held_tokens": held}
    if any(getattr(queue, name) != value for name, value in learned.items()):
        TokenQueue.objects.filter(pk=queue.pk, allowance=queue.allowance).update(
            **learned, changed_at=now
        )


def learn_count(job: BatchJob) -> None:
    """Compare what we counted for a job that ended with what it was billed for."""
    if job.items_complete != job.items_total or not job.input_tokens:
        return
    queue, _ = TokenQueue.objects.get_or_create(provider=job.provider, model=job.model)
    with transaction.atomic():
        queue = TokenQueue.objects.select_for_update().get(pk=queue.pk)
        before = billed_share(queue)
        queue.counted_tokens += job.queued_tokens
        queue.billed_tokens += job.input_tokens
        if queue.told_limit is None:
            _convert(queue, billed_share(queue) / before)
        queue.save()


def _convert(queue: TokenQueue, ratio: float) -> None:
    """Keep what was learned by our own count where it was, now that a token of ours is
    known to be another share of the provider's."""
    for name in ("allowance", "refused_tokens", "held_tokens"):
        tokens = getattr(queue, name)
        if tokens is not None:
            setattr(queue, name, max(int(tokens * ratio), 1))


def _is_believed(queue: TokenQueue, now: datetime) -> bool:
    """Whether what was too much is likely to be too much still."""
    believed = SANDBOX_BELIEVED if is_sandbox(queue.provider) else BELIEVED
    return queue.refused_at is not None and queue.refused_at > now - believed


def _raised(queue: TokenQueue, allowance: int, told: int | None, now: datetime) -> int:
    """The next allowance after one that held."""
    refused = queue.refused_tokens
    if refused is not None and _is_believed(queue, now) and refused > allowance:
        is_near = refused - allowance <= NEAR * refused
        higher = allowance if is_near else (allowance + refused) // 2
    else:
        higher = int(GROWTH * allowance)
    if told is None:
        return higher
    is_old = queue.told_at is not None and queue.told_at < now - TOLD_BELIEVED
    return max(allowance, min(higher, told * 11 // 10 if is_old else told))
