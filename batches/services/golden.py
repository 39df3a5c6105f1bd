"""The golden set: cases are added, and a prompt version is run on them.

A run on it is a run like any other, of the workload `golden`: planned, priced, capped
and followed as all are. Its answers are judged as those of the workload that the cases
are of, and stored beside the cases alone: no content changes by them.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
import orjson
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from pydantic import BaseModel, Field, field_validator

from batches.errors import NotPossible, SubjectGone
from batches.models import BatchItem, GoldenCase, GoldenResult, ItemRequest
from batches.services.chrf import chrf
from batches.services.events import audit
from batches.services.prompts import fill_prompt
from batches.workloads import (
    Answer,
    FollowUp,
    Page,
    Request,
    RunOptions,
    Subject,
    Target,
    Verdict,
    Workload,
    all_workloads,
    get_workload,
    register,
)

MOST_CASES = 1_000  # of one workload: each costs money whenever a prompt is tried


# --- cases ----------------------------------------------------------------------------


@dataclass(frozen=True)
class NewCase:
    """A case to be: a request of a workload, and what a right answer says."""

    workload: Workload
    name: str
    target: str
    request: Request
    reference: str
    origin: GoldenCase.Origin

    @property
    def digest(self) -> str:
        """The same for the same question, whatever prompt it was asked with."""
        _, *asked = self.request.body["messages"]
        return hashlib.sha256(orjson.dumps([self.target, asked])).hexdigest()


def add_cases(cases: Iterable[NewCase], *, by: str) -> int:
    """Write those that are not there yet; returns how many.

    Raises NotPossible where a workload would have more than a thousand.
    """
    rows = [
        GoldenCase(
            workload=case.workload.key,
            name=case.name[:200],
            target=case.target,
            body=orjson.dumps(case.request.body).decode(),
            context=orjson.dumps(case.request.context).decode(),
            reference=case.reference,
            origin=case.origin,
            digest=case.digest,
            added_by=by[:150],
        )
        for case in cases
    ]
    with transaction.atomic():
        before = GoldenCase.objects.count()
        GoldenCase.objects.bulk_create(rows, ignore_conflicts=True)
        added = GoldenCase.objects.count() - before
        for key in {row.workload for row in rows}:
            if GoldenCase.objects.filter(workload=key).count() > MOST_CASES:
                raise NotPossible(
                    f"The golden set of {key} would have more than {MOST_CASES:,} "
                    "cases; each costs money whenever a prompt is tried. Add fewer."
                )
        if added:
            audit("golden.add", actor=by, after={"cases": added})
    return added


def case_of_item(item: BatchItem, *, name: str, reference: str) -> NewCase:
    """The request of a finished item as a case.

    Raises NotPossible where its request is gone, or does not carry its prompt.
    """
    workload = get_workload(item.workload)
    stored = ItemRequest.objects.filter(item=item).first()
    if stored is None or item.prompt_version is None:
        raise NotPossible(f"Item {item.pk}: its request is not kept any more.")
    body = orjson.loads(stored.body)
    del body["model"]  # rendering sets it
    if reworded(workload, body, item.prompt_version.text) != body:
        raise NotPossible(
            f"Item {item.pk}: its request does not begin with the prompt of "
            f"{workload.key}, so no other can be put in its place."
        )
    return NewCase(
        workload=workload,
        name=name,
        target=item.target,
        request=Request(body, orjson.loads(stored.context or "{}")),
        reference=reference,
        origin=GoldenCase.Origin.PICKED,
    )


def delete_case(case: GoldenCase, *, by: str) -> None:
    """Take a case and its results out of the set; the items stay."""
    with transaction.atomic():
        audit("golden.delete", actor=by, target=str(case))
        case.delete()


def reworded(workload: Workload, body: dict[str, Any], prompt: str) -> dict[str, Any]:
    """The same request under another prompt."""
    first, *rest = body["messages"]
    system = fill_prompt(prompt, workload.prompt_values(body))
    return {**body, "messages": [{**first, "content": system}, *rest]}


# --- the workload ---------------------------------------------------------------------


class GoldenOptions(RunOptions):
    of: str = Field(description="kind of work whose prompt is tried on the golden set")
    prompt: int = Field(description="number of the prompt version that is tried")

    @field_validator("of")
    @classmethod
    def _is_known(cls, key: str) -> str:
        known = [one for one in all_workloads() if one != GoldenSet.key]
        if key not in known:
            raise ValueError(
                f"there is no such kind of work; there are {', '.join(known)}."
            )
        return key


class Tried(NamedTuple):
    """A judged answer to a case."""

    text: str
    score: int | None
    chrf: float | None


class Judged(BaseModel):
    """Stands for an answer's shape, which is that of the workload of its case."""


@register
class GoldenSet(Workload):
    """A prompt version asked about the cases of its workload, in the order of keys."""

    key = "golden"
    noun = ("golden case", "golden cases")
    options = GoldenOptions
    result = Judged
    owes_own_answer = True  # nobody else's case is answered by it

    def prompted_as(self, options: GoldenOptions) -> str:
        return options.of

    def subjects(self, options: GoldenOptions, after: str, limit: int) -> Page:
        cases = GoldenCase.objects.filter(workload=options.of).order_by("pk")
        page = list(cases.filter(pk__gt=int(after or 0))[:limit])
        kind = ContentType.objects.get_for_model(GoldenCase).pk
        return Page(
            [Subject(kind, str(case.pk), case) for case in page],
            str(page[-1].pk) if len(page) == limit else None,
        )

    def targets(self, subject: Subject, options: GoldenOptions) -> Iterable[Target]:
        case: GoldenCase = subject.source
        return [Target(f"{case.workload}/{case.target}"[:255])]

    def trait(self, target: str) -> str:
        key, _, rest = target.partition("/")
        workload = all_workloads().get(key)
        return f"{key} {workload.trait(rest)}" if workload else key

    def build_request(
        self, subject: Subject, target: Target, options: GoldenOptions, prompt: str
    ) -> Request:
        case: GoldenCase = subject.source
        return Request(
            body=reworded(get_workload(case.workload), orjson.loads(case.body), prompt),
            context={
                "workload": case.workload,
                "context": case.context,
                "reference": case.reference,
            },
        )

    def judge_one(self, answer: Answer) -> Verdict:
        kept = orjson.loads(answer.context)
        workload = get_workload(kept["workload"])
        asked = msgspec.structs.replace(answer, context=kept["context"])
        (verdict,) = workload.judge([asked])
        if verdict.error_code:
            return Verdict(answer, None, verdict.error_code, verdict.error_message)
        measure = workload.measure(verdict.result)
        reference = kept["reference"]
        likeness = chrf(measure.text, reference) if reference else None
        tried = Tried(measure.text, measure.score, likeness)
        return Verdict(answer, tried, errors=verdict.errors)

    def store(self, verdicts: Sequence[Verdict]) -> list[FollowUp]:
        there = GoldenCase.objects.in_bulk([int(v.answer.object_id) for v in verdicts])
        gone = {
            v.answer.item_id: f"Golden case {v.answer.object_id}"
            for v in verdicts
            if int(v.answer.object_id) not in there
        }
        if gone:
            raise SubjectGone(gone)
        GoldenResult.objects.bulk_create(
            GoldenResult(
                case_id=int(verdict.answer.object_id),
                item_id=verdict.answer.item_id,
                errors=verdict.errors,
                **verdict.result._asdict(),
            )
            for verdict in verdicts
        )
        return []

    def explain_result(
        self, *, content_type_id: int, object_id: str, target: str, item_id: int
    ) -> list[str]:
        return [
            f"Golden case {result.case_id}: score {result.score}, chrF {result.chrf}."
            for result in GoldenResult.objects.filter(item=item_id)
        ]
