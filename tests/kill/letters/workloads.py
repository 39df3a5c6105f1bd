"""A workload whose answers differ from text to text; marks in a text say what happens.

`TOO LARGE` is never sent, `LONG` takes several chunks to send, `AGAIN` asks for one
follow-up, `STORE BUG` cannot be stored.
What the provider does with a text, its own faults decide by the text too; so the same
content ends the same, whatever dies on the way.
"""

import json
from collections.abc import Iterable, Sequence

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
from tests.kill.letters.models import Letter, Reply

LANGUAGES = ("ar", "so")
PAGE_LETTERS = 5  # so that a run takes several pages
ENCLOSURE = " ".join(f"wave {number}" for number in range(12_000))


class Segment(BaseModel):
    model_config = ConfigDict(extra="forbid")

    id: str
    text: str


class LetterResult(BaseModel):
    model_config = ConfigDict(extra="forbid")

    segments: list[Segment]


@register
class LetterWorkload(Workload):
    key = "letters"
    noun = ("letter", "letters")
    options = RunOptions
    result = LetterResult
    prompt = "Translate the segments."

    def subjects(self, options: RunOptions, after: str, limit: int) -> Page:
        rows = Letter.objects.order_by("pk")
        if after:
            rows = rows.filter(pk__gt=int(after))
        size = min(limit, PAGE_LETTERS)
        page = list(rows[:size])
        kind = ContentType.objects.get_for_model(Letter).pk
        subjects = [Subject(kind, str(row.pk), row) for row in page]
        return Page(subjects, str(page[-1].pk) if len(page) == size else None)

    def targets(self, subject: Subject, options: RunOptions) -> Iterable[Target]:
        replies = Reply.objects.filter(object_id=subject.object_id)
        answered = set(replies.values_list("target", flat=True))
        for language in LANGUAGES:
            if language in answered:
                yield Target(language, skipped="answered")
            elif "TOO LARGE" in subject.source.text:
                yield Target(
                    language, error_code="too_large", error_message="It is large."
                )
            else:
                yield Target(language)

    def build_request(
        self, subject: Subject, target: Target, options: RunOptions, prompt: str
    ) -> Request:
        return self._request(prompt, subject.source.text, target.key)

    def _request(self, prompt: str, text: str, language: str) -> Request:
        asked = {
            "source_language": "en",
            "target_language": language,
            "segments": [{"id": "1", "text": text}],
            "enclosure": ENCLOSURE if "LONG" in text else "",
        }
        return Request(
            body={
                "messages": [
                    {"role": "system", "content": prompt},
                    {"role": "user", "content": json.dumps(asked)},
                ],
                "response_format": self.response_format(),
                "max_completion_tokens": 1000,
            },
            context={"text": text},
        )

    def store(self, verdicts: Sequence[Verdict]) -> list[FollowUp]:
        asked = []
        for verdict in verdicts:
            answer = verdict.answer
            text = json.loads(answer.context)["text"]
            if "STORE BUG" in text:
                raise RuntimeError("the store has a bug")
            Reply.objects.create(
                object_id=answer.object_id,
                target=answer.target,
                text=verdict.result.segments[0].text,
            )
            if "AGAIN" in text:
                asked.append(self._once_more(answer, text.replace("AGAIN", "MORE")))
        return asked

    def _once_more(self, answer: Answer, text: str) -> FollowUp:
        return FollowUp(
            answer.item_id,
            Subject(answer.content_type_id, answer.object_id),
            f"{answer.target} again",
            self._request(self.prompt, text, answer.target),
        )
