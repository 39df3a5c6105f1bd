"""A workload as small as can be, with bugs that a title switches on."""

from collections.abc import Iterable, Sequence
from typing import Literal

from django.contrib.contenttypes.models import ContentType
from pydantic import BaseModel, ConfigDict

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
    register,
)
from tests.gallery.models import Caption, Painting, Photo, Sketch

KINDS = {"painting": Painting, "photo": Photo, "sketch": Sketch}


class CaptionOptions(RunOptions):
    kind: Literal["painting", "photo", "sketch"] = "painting"
    follow_ups: int = 0


class CaptionResult(BaseModel):
    model_config = ConfigDict(extra="forbid")

    caption: str


@register
class CaptionWorkload(Workload):
    key = "captions"
    noun = ("picture", "pictures")
    options = CaptionOptions
    result = CaptionResult
    prompt = "Write a caption."

    def subjects(self, options: CaptionOptions, after: str, limit: int) -> Page:
        model = KINDS[options.kind]
        done = Caption.objects.filter(kind=options.kind).values_list(
            "object_id", flat=True
        )
        rows = model.objects.order_by("pk")
        if after:
            rows = rows.filter(pk__gt=after)
        page = list(rows[:limit])
        kind = ContentType.objects.get_for_model(model).pk
        done = set(done)
        return Page(
            [
                Subject(kind, str(row.pk), row)
                for row in page
                if str(row.pk) not in done
            ],
            str(page[-1].pk) if len(page) == limit else None,
        )

    def targets(self, subject: Subject, options: CaptionOptions) -> Iterable[Target]:
        if subject.source.title == "TOO LARGE":
            yield Target(
                "caption", error_code="too_large", error_message="It is large."
            )
        elif subject.source.title == "SKIP":
            yield Target("caption", skipped="of no interest")
        else:
            yield Target("caption", source=options.follow_ups)

    def build_request(
        self, subject: Subject, target: Target, options: CaptionOptions, prompt: str
    ) -> Request:
        return self.request(
            prompt, subject.source.title, target.source or 0, options.kind
        )

    def request(self, prompt: str, title: str, follow_ups: int, kind: str) -> Request:
        return Request(
            body={
                "messages": [
                    {"role": "system", "content": prompt},
                    {"role": "user", "content": title},
                ],
                "response_format": self.response_format(),
                "max_completion_tokens": 100,
            },
            context={"title": title, "follow_ups": follow_ups, "kind": kind},
        )

    def judge_one(self, answer: Answer) -> Verdict:
        if "JUDGE BUG" in answer.context:
            raise RuntimeError("the judge has a bug")
        return self.read_result(answer)

    def store(self, verdicts: Sequence[Verdict]) -> list[FollowUp]:
        import json

        asked = []
        for verdict in verdicts:
            answer = verdict.answer
            kept = json.loads(answer.context)
            if kept["title"] == "STORE BUG":
                raise RuntimeError("the store has a bug")
            Caption.objects.create(
                kind=kept["kind"],
                object_id=answer.object_id,
                target=answer.target,
                item_id=answer.item_id,
                text=verdict.result.caption,
            )
            if kept["follow_ups"]:
                subject = Subject(answer.content_type_id, answer.object_id)
                request = self.request(
                    self.prompt, kept["title"], kept["follow_ups"] - 1, kept["kind"]
                )
                target = f"caption again {kept['follow_ups']}"
                asked.append(FollowUp(answer.item_id, subject, target, request))
        return asked

    def split(self, answer: Answer) -> list[FollowUp]:
        import json

        kept = json.loads(answer.context)
        words = kept["title"].split()
        if len(words) < 2:
            return []
        subject = Subject(answer.content_type_id, answer.object_id)
        return [
            FollowUp(
                answer.item_id,
                subject,
                f"{answer.target} {number}",
                self.request(self.prompt, title, 0, kept["kind"]),
            )
            for number, title in enumerate((words[0], " ".join(words[1:])), start=1)
        ]
