"""What happened to a run, a job or an item, and what comes next, in words."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.contenttypes.models import ContentType
from django.db.models import Q
from django.utils import timezone

from batches.errors import BatchError
from batches.models import (
    Alert,
    BatchItem,
    BatchJob,
    Event,
    Hold,
    ItemAttempt,
    JobTally,
    Run,
)
from batches.models.money import to_usd
from batches.monitoring.attention import (
    alert_in_words,
    hold_in_words,
    holds_of_job,
    holds_of_run,
)
from batches.providers.registry import is_sandbox
from batches.services.canary import (
    QUESTION,
    brake_in_words,
    holds_back,
    waits_for_sample,
)
from batches.services.deadlines import is_late
from batches.services.lifecycle import RunFigures, run_figures
from batches.services.reuse import twin_under_way
from batches.states import Intent, ItemStatus, JobStatus, RunStatus
from batches.workloads import get_workload

LIFT = "It is on hold: mend what the hold names and lift it in the admin, under Holds."


class NotFound(BatchError):
    code = "not_found"


@dataclass
class Explanation:
    """`verdict` in one sentence, what is known, what happened, what to do next."""

    title: str
    verdict: str
    facts: dict[str, str] = field(default_factory=dict)
    history: list[tuple[datetime, str]] = field(default_factory=list)
    result: list[str] = field(default_factory=list)
    next_step: str = ""

    def as_dict(self) -> dict[str, Any]:
        return {
            "title": self.title,
            "verdict": self.verdict,
            "facts": self.facts,
            "history": [
                {"at": at.isoformat(), "what": what} for at, what in self.history
            ],
            "result": self.result,
            "next_step": self.next_step,
        }


def explain(kind: str, key: str) -> Explanation:
    """Explain `run`, `job` or `item` by its number (a run or job also by its UUID)."""
    if kind == "run":
        return explain_run(find_row(Run, key))
    if kind == "job":
        return explain_job(find_row(BatchJob, key))
    return explain_item(find_row(BatchItem, key))


def find_row(model: type[Any], key: str) -> Any:
    """A run, job or item by its number, or a public id; raises NotFound."""
    name = model._meta.verbose_name
    try:
        query = Q(pk=int(key))
    except ValueError:
        try:
            query = Q(public_id=UUID(key))
        except ValueError as err:
            raise NotFound(f"{key!r} is no {name} id; give its number.") from err
        if model is BatchItem:
            raise NotFound(f"{key!r} is no item id; items have numbers.") from None
    found = model.objects.filter(query).first()
    if found is None:
        raise NotFound(f"There is no {name} {key}. The admin lists those there are.")
    return found


def money(nanos: int, provider: str) -> str:
    """Dollars for people; a sandbox's are marked, for nobody pays them."""
    mark = " (pretended: the sandbox costs nothing)" if is_sandbox(provider) else ""
    return f"${to_usd(nanos):f}{mark}"


def explain_run(run: Run) -> Explanation:
    figures = run_figures(run)
    status = RunStatus(run.status)
    explanation = Explanation(
        title=f"Run {run.pk}: {run.workload}",
        verdict=f"{status.label}: {_counts(figures)}.",
        facts={
            "id": str(run.public_id),
            "asked by": run.get_trigger_display(),
            "options": ", ".join(f"{k} {v}" for k, v in run.options.items() if v),
            "limit": f"{run.limit} subjects" if run.limit else "none",
            "subjects": str(run.subjects_collected),
            "skipped": ", ".join(f"{n} × {why}" for why, n in run.skipped.items())
            or "nothing",
            "jobs": ", ".join(
                str(key)
                for key in run.shares.order_by("job_id").values_list(
                    "job_id", flat=True
                )
            )
            or "none",
            "expected": f"${run.expected_usd:f}",
            "estimate, worst case": f"${run.estimate_usd:f}",
            "cost": f"${to_usd(figures.cost_nanos):f}",
        },
        history=_history(Q(run=run)),
        next_step=_next_for_run(run, figures),
    )
    if run.reused:
        explanation.facts["reused"] = (
            f"{run.reused} items answered as equal ones were, {saved_by_run(run)} saved"
        )
    if run.force_refresh:
        explanation.facts["reused"] = "nothing: it was to ask again"
    if run.canary_sample:
        explanation.facts["sample"] = (
            f"{len(run.canary_sample)} items went first: "
            f"{run.get_canary_state_display().lower()}"
        )
    if run.brake:
        explanation.facts["brake"] = brake_in_words(run)
    if run.is_braked:
        explanation.next_step = QUESTION
    if run.waiting_reason and not run.is_braked:
        explanation.facts["waits for"] = run.waiting_reason
        if run.waiting_until:
            explanation.facts["until"] = f"{run.waiting_until:%Y-%m-%d %H:%M} UTC"
    holds = holds_of_run(run)
    explanation.facts |= _attention(holds, Alert.objects.open().filter(run=run))
    if holds:
        explanation.next_step = LIFT
    if errors := _errors(Q(run=run)):
        explanation.facts["errors"] = errors
    return explanation


def saved_by_run(run: Run) -> str:
    """What its reused answers had cost; marked where the sandbox pretended that."""
    first = run.items.order_by("pk").values_list("provider", flat=True).first()
    return money(run.saved_nanos, first or "")


def _counts(figures: RunFigures) -> str:
    return (
        f"{figures.items} items ({figures.first} first requests, {figures.follow_ups} "
        f"follow-ups), {figures.complete} done, {figures.failed} failed, "
        f"{figures.cancelled} cancelled, {figures.open} open"
    )


def _next_for_run(run: Run, figures: RunFigures) -> str:
    if run.cancelled_at and figures.open:
        return "It is cancelled; what the provider still has is settled first."
    if run.paused_at and run.finished_at is None:
        return "It is paused: resume it in the admin, or with `steer_batches resume`."
    if run.collected_at is None and run.cancelled_at is None:
        return "Collection is not finished: run `process_batches`."
    if figures.open:
        return "Work is under way: run `process_batches --until-done`, or wait."
    if figures.failed:
        return "Look at the failed items: `explain item ID` says why each failed."
    return "Nothing: it is finished."


def explain_job(job: BatchJob) -> Explanation:
    status = JobStatus(job.status)
    facts = {
        "id": str(job.public_id),
        "provider": job.provider,
        "model": job.model,
        "endpoint": job.endpoint,
        "provider batch": job.provider_batch_id or "none yet",
        "provider says": job.provider_status or "nothing yet",
        "submission": str(job.submission_number),
        "items": f"{job.items_total}: {job.items_complete} done, "
        f"{job.items_failed} failed, "
        f"{job.items_cancelled} cancelled, {job.items_returned} returned",
        "cost": money(job.cost_nanos, job.provider),
    }
    if errors := _errors(Q(job=job)):
        facts["errors"] = errors
    if strays := job.stray_lines.count():
        facts["stray lines"] = f"{strays}, recorded and not applied"
    if job.waiting_reason:
        facts["waits for"] = job.waiting_reason
    if job.abandoned_at:
        facts["abandoned"] = (
            f"{job.abandoned_at:%Y-%m-%d %H:%M} UTC; what it cost is not known"
        )
    holds = holds_of_job(job)
    facts |= _attention(holds, Alert.objects.open().filter(job=job))
    return Explanation(
        title=f"Job {job.pk}: {job.items_total} requests of {job.workload}",
        verdict=f"{status.label}.",
        facts=facts,
        history=_history(Q(job=job)),
        next_step=LIFT if holds else _next_for_job(job, status),
    )


def _attention(holds: list[Hold], alerts: Iterable[Alert]) -> dict[str, str]:
    """Facts on what holds something, and what is told of it; empty for none."""
    facts = {}
    if holds:
        facts["on hold"] = "; ".join(hold_in_words(hold) for hold in holds)
    if told := "; ".join(alert_in_words(alert) for alert in alerts):
        facts["alerts"] = told
    return facts


def _next_for_job(job: BatchJob, status: JobStatus) -> str:
    if job.finished_at:
        return "Nothing: it is finished."
    if job.intent == Intent.PAUSE:
        return "It is paused: resume it in the admin, or with `steer_batches resume`."
    if is_late(job, timezone.now()):
        return "It is late: it is tried on, until a person abandons it on its page."
    if job.not_before:
        return f"It is tried again after {job.not_before:%Y-%m-%d %H:%M:%S %Z}."
    if status in (JobStatus.PENDING, JobStatus.UPLOADING):
        return "It is sent by the next `process_batches`."
    if status == JobStatus.COMPLETED:
        return "Its results are read by the next `process_batches`."
    return "The provider works on it, up to 24 hours; `process_batches` asks for news."


def explain_item(item: BatchItem) -> Explanation:
    kind = ContentType.objects.get_for_id(item.content_type_id)
    status = ItemStatus(item.status)
    attempts = list(item.tries.order_by("pk"))
    workload = get_workload(item.workload)
    request = getattr(item, "request", None)
    facts = {
        "subject": f"{kind.name} {item.object_id}{_subject_name(kind, item.object_id)}",
        "target": item.target,
        "run": str(item.run_id),
        "job": str(item.job_id or "none"),
        "provider": item.provider,
        "model": item.model,
        "endpoint": item.endpoint,
        "prompt": str(item.prompt_version or "none"),
        "request": f"{len(request.body.encode()):,} bytes" if request else "never made",
        "attempts": str(item.attempts),
        "tokens": f"{item.input_tokens} in ({item.cached_tokens} cached), "
        f"{item.output_tokens} out",
        "price": money(item.cost_nanos, item.provider),
    }
    if item.parent_id:
        facts["follows"] = f"item {item.parent_id}"
    return Explanation(
        title=f"Item {item.pk}: {item.target} of {kind.name} {item.object_id}",
        verdict=_item_verdict(item, status, attempts),
        facts=facts,
        history=_item_history(item, attempts),
        result=workload.explain_result(
            content_type_id=item.content_type_id,
            object_id=item.object_id,
            target=item.target,
            item_id=item.pk,
        ),
        next_step=_next_for_item(item, status),
    )


def _subject_name(kind: ContentType, object_id: str) -> str:
    model = kind.model_class()
    row = model._default_manager.filter(pk=object_id).first() if model else None
    return f" “{row}”" if row is not None else " (deleted)"


def _item_verdict(
    item: BatchItem, status: ItemStatus, attempts: list[ItemAttempt]
) -> str:
    if status == ItemStatus.FAILED and attempts:
        return f"{status.label}: {attempts[-1].error_message or item.error_code}"
    return f"{status.label}."


def _item_history(
    item: BatchItem, attempts: list[ItemAttempt]
) -> list[tuple[datetime, str]]:
    history = [(item.created_at, "collected")]
    for attempt in attempts:
        if (source := attempt.reused_from_id) is not None:
            what = _reused_in_words(item, attempt, source)
            history.append((attempt.created_at, what))
            continue
        where = f"in job {attempt.job_id}" if attempt.job_id else "before it was sent"
        what = f"{attempt.get_outcome_display()} {where}"
        if attempt.line:
            what += f", line {attempt.line} of the {attempt.get_file_kind_display()}"
        if attempt.error_code:
            what += f", {attempt.error_code}: {attempt.error_message}"
        what += f", {attempt.input_tokens} + {attempt.output_tokens} tokens"
        what += f", {money(attempt.cost_nanos, item.provider)}"
        if attempt.model_snapshot:
            what += f", by {attempt.model_snapshot}"
        history.append((attempt.created_at, what))
    jobs = [attempt.job_id for attempt in attempts if attempt.job_id] + [item.job_id]
    history += _history(Q(job__in=[job for job in jobs if job]), with_job=True)
    return sorted(history, key=lambda entry: entry[0])


def _reused_in_words(item: BatchItem, attempt: ItemAttempt, source_id: int) -> str:
    what = f"{attempt.get_outcome_display()} before it was sent: the answer to "
    source = ItemAttempt.objects.filter(pk=source_id).first()
    if source is None:
        what += "an equal item that was deleted since"
    else:
        what += f"item {source.item_id}, which asked for the same and cost "
        what += money(source.cost_nanos, item.provider)
    if attempt.error_code:
        what += f", {attempt.error_code}: {attempt.error_message}"
    return what


def _next_for_item(item: BatchItem, status: ItemStatus) -> str:
    if status == ItemStatus.PENDING:
        return _what_item_waits_for(item)
    if status == ItemStatus.FAILED and item.error_code == "apply_error":
        return (
            f"Mend the workload, then run `reapply --job {item.job_id} --only failed`: "
            "the answer is stored, and nothing is paid again."
        )
    return {
        ItemStatus.IN_JOB: "Its job is under way: `explain job` says how far.",
        ItemStatus.COMPLETE: "Nothing: it is finished.",
        ItemStatus.FAILED: "Mend what the error names; the next run takes it up again.",
        ItemStatus.CANCELLED: "Nothing: it was cancelled.",
    }[status]


def _what_item_waits_for(item: BatchItem) -> str:
    run = item.run
    if run.is_braked:
        return f"Its run is paused: {brake_in_words(run)} {QUESTION}"
    if run.paused_at:
        return "Its run is paused: resume it, and the item goes out."
    if holds_back(run, item.pk):
        return f"It waits for {waits_for_sample(run)}."
    if twin := twin_under_way(item):
        return (
            f"It waits for the answer to item {twin}, which asks for the same and is "
            "under way: it may serve both."
        )
    return "It goes out with the next job: run `process_batches`."


def _errors(of: Q) -> str:
    counts: dict[str, int] = {}
    failures = JobTally.objects.filter(of).exclude(error_code="")
    for code, count in failures.values_list("error_code", "attempts"):
        counts[code] = counts.get(code, 0) + count
    return ", ".join(f"{count} × {code}" for code, count in sorted(counts.items()))


def _history(of: Q, *, with_job: bool = False) -> list[tuple[datetime, str]]:
    history = []
    for event in Event.objects.filter(of).oldest_first():
        what = f"job {event.job_id}: " if with_job else ""
        what += event.get_kind_display().lower()
        if "to" in event.data:
            start, to = JobStatus(event.data["start"]), JobStatus(event.data["to"])
            what += f": {start.label} → {to.label}"
        if event.message:
            what += f" ({event.message})"
        history.append((event.created_at, what))
    return history
