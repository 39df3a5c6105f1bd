"""Answers that were stored: which of them can be judged again, and judging them.

Of each item the newest answer counts. Nothing is written here.
"""

import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.db.models import Exists, OuterRef
from django.utils.translation import gettext_lazy as _

from batches.models import BatchItem, BatchJob, ItemAttempt, ItemRequest
from batches.providers.registry import is_sandbox
from batches.providers.result_lines import ResultLine, read_line
from batches.services.workload_calls import bug_in_words, judge_answers
from batches.states import ITEM_OPEN, AttemptOutcome, ItemStatus
from batches.workloads import Answer, Verdict, Workload, all_workloads

log = logging.getLogger(__name__)


class Obstacle(models.TextChoices):
    """Why an item is left as it is; the words follow a number: `3 cancelled`."""

    UNDER_WAY = "under_way", _("under way: the answer to come decides")
    CANCELLED = "cancelled", _("cancelled")
    NOT_SENT = "not_sent", _("never sent, so without an answer")
    JOB_UNFINISHED = "job_unfinished", _("in a job that is not finished yet")
    NO_ANSWER = "no_answer", _("without a stored answer: the provider gave none")
    SPLIT = "split", _("split: their parts hold the result")
    NO_WORKLOAD = "no_workload", _("of a workload that is not installed")
    STORED_ONCE = "stored_once", _("done, by a workload that stores only once")
    NO_REQUEST = "no_request", _("without the request that judging needs")
    SUBJECT_DELETED = "subject_deleted", _("about content that was deleted")
    SUPERSEDED = "superseded", _("superseded by a later item about the same")
    CHANGED = "changed", _("changed by another process meanwhile")


# --- which answer, and why none -------------------------------------------------------


@dataclass(frozen=True)
class Known:
    """What is looked up about the items of a page, to tell which can be judged."""

    workloads: dict[str, Workload]
    unfinished_jobs: set[int]
    answered: dict[int, tuple[int, str]]  # {item: (its newest answer's attempt, how)}
    requested: set[int]
    deleted: set[int]
    superseded: set[int]

    def obstacle(self, item: BatchItem) -> Obstacle | None:
        if item.status in ITEM_OPEN:
            return Obstacle.UNDER_WAY
        if item.status == ItemStatus.CANCELLED:
            return Obstacle.CANCELLED
        if item.job_id is None and item.pk not in self.answered:
            return Obstacle.NOT_SENT
        if item.job_id in self.unfinished_jobs:  # its figures are its holder's alone
            return Obstacle.JOB_UNFINISHED
        if item.pk not in self.answered:
            return Obstacle.NO_ANSWER
        if self.answered[item.pk][1] == AttemptOutcome.SPLIT:
            return Obstacle.SPLIT
        if item.pk in self.deleted:
            return Obstacle.SUBJECT_DELETED
        if item.pk in self.superseded:
            return Obstacle.SUPERSEDED
        workload = self.workloads.get(item.workload)
        if workload is None:
            return Obstacle.NO_WORKLOAD
        if item.status == ItemStatus.COMPLETE and not workload.can_store_again:
            return Obstacle.STORED_ONCE
        if workload.reads_request and item.pk not in self.requested:
            return Obstacle.NO_REQUEST
        return None


def sort_out(
    items: Sequence[BatchItem],
) -> tuple[dict[int, int], dict[int, Obstacle]]:
    """{item: attempt whose answer is to be judged}, and {item: why there is none}."""
    keys = [item.pk for item in items]
    answers = ItemAttempt.objects.filter(item_id__in=keys).exclude(answer="")
    jobs = BatchJob.objects.filter(pk__in={item.job_id for item in items})
    requests = ItemRequest.objects.filter(pk__in=keys)
    known = Known(
        workloads=all_workloads(),
        unfinished_jobs=set(jobs.unfinished().values_list("pk", flat=True)),
        answered={
            item_id: (pk, outcome)
            for item_id, pk, outcome in answers.order_by("pk").values_list(
                "item_id", "pk", "outcome"
            )
        },
        requested=set(requests.values_list("pk", flat=True)),
        deleted=_deleted(items),
        superseded=_superseded(keys),
    )
    obstacles = {item.pk: why for item in items if (why := known.obstacle(item))}
    able = [key for key in keys if key not in obstacles]
    return {key: known.answered[key][0] for key in able}, obstacles


def _deleted(items: Sequence[BatchItem]) -> set[int]:
    """Those of these items whose subject is gone, or the model of their subjects."""
    by_kind: defaultdict[int, list[BatchItem]] = defaultdict(list)
    for item in items:
        by_kind[item.content_type_id].append(item)
    kinds = ContentType.objects.in_bulk(by_kind)
    gone = set()
    for kind, about in by_kind.items():
        model = kinds[kind].model_class() if kind in kinds else None
        there = set()
        if model is not None:
            rows = model._default_manager.filter(
                pk__in={item.object_id for item in about}
            )
            there = {str(key) for key in rows.values_list("pk", flat=True)}
        gone |= {item.pk for item in about if item.object_id not in there}
    return gone


def _superseded(keys: Sequence[int]) -> set[int]:
    """Those of these items after which a later one about the same work was made.

    A later one that failed has no result that an earlier answer could stand over.
    """
    later = BatchItem.objects.filter(
        object_id=OuterRef("object_id"),
        content_type=OuterRef("content_type"),
        workload=OuterRef("workload"),
        target=OuterRef("target"),
        pk__gt=OuterRef("pk"),
        status__in=(*ITEM_OPEN, ItemStatus.COMPLETE),
    )
    items = BatchItem.objects.filter(Exists(later), pk__in=keys)
    return set(items.values_list("pk", flat=True))


# --- judging --------------------------------------------------------------------------


@dataclass(slots=True)
class Trial:
    """One item's stored answer judged anew; `error_code` where it cannot be used."""

    item: BatchItem
    verdict: Verdict | None = None
    error_code: str = ""
    error_message: str = ""


def judge_again(
    items: Sequence[BatchItem], attempts: dict[int, int]
) -> list[tuple[Workload, list[Trial]]]:
    """Judge the answers of these items, workload by workload."""
    workloads = all_workloads()
    by_workload: defaultdict[str, list[BatchItem]] = defaultdict(list)
    for item in items:
        if item.pk in attempts:
            by_workload[item.workload].append(item)
    tried = []
    for key in sorted(by_workload):
        trials = {item.pk: Trial(item) for item in by_workload[key]}
        answers = _answers(workloads[key], by_workload[key], attempts)
        _judge(workloads[key], answers, trials)
        tried.append((workloads[key], list(trials.values())))
    return tried


def _answers(
    workload: Workload, items: Sequence[BatchItem], attempts: dict[int, int]
) -> list[Answer]:
    """The answers as ingestion gave them to the workload."""
    stored = ItemAttempt.objects.in_bulk([attempts[item.pk] for item in items])
    requests: dict[int, ItemRequest] = {}
    if workload.reads_request:
        requests = ItemRequest.objects.in_bulk([item.pk for item in items])
    answers = []
    for item in items:
        attempt = stored[attempts[item.pk]]
        said = _as_it_came(attempt)
        request = requests.get(item.pk)
        answers.append(
            Answer(
                item_id=item.pk,
                content_type_id=item.content_type_id,
                object_id=item.object_id,
                target=item.target,
                provider=item.provider,
                model=item.model,
                is_sandbox=is_sandbox(item.provider),
                text=said.text,
                finish_reason=said.finish_reason,
                refusal=said.refusal,
                fingerprint=said.fingerprint,
                prompt_version_id=attempt.prompt_version_id,
                body=request.body if request else "",
                context=request.context if request else "",
            )
        )
    return answers


def _as_it_came(attempt: ItemAttempt) -> ResultLine:
    """What the provider's line said: by the line itself where it was kept.

    It is not kept of an answer that was usable: that one was no refusal.
    """
    read = read_line(attempt.raw_line.encode()) if attempt.raw_line else None
    if read is not None and not read.error_code:
        return read
    return ResultLine(
        custom_id=str(attempt.item_id),
        text=attempt.answer,
        finish_reason=attempt.finish_reason,
        fingerprint=attempt.system_fingerprint,
    )


def _judge(
    workload: Workload, answers: Sequence[Answer], trials: dict[int, Trial]
) -> None:
    """Judge all at once; where that raises, one by one, and the culprit fails alone."""
    found = judge_answers(workload, answers)
    for item_id, err in found.bugs.items():
        fail_with_bug(trials[item_id], workload, err)
    for verdict in found.verdicts:
        trial = trials[verdict.answer.item_id]
        trial.verdict = verdict
        trial.error_code = verdict.error_code
        trial.error_message = verdict.error_message


def fail_with_bug(trial: Trial, workload: Workload, err: Exception) -> None:
    log.error(
        "[Batch API] Failed to apply %s result of item %d: %r",
        workload.key,
        trial.item.pk,
        err,
    )
    trial.error_code = "apply_error"
    trial.error_message = bug_in_words(workload, err)
