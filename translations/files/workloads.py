"""The workload `file`: anybody's requests, with every promise of the engine."""

from collections.abc import Iterable, Sequence
from typing import Any

import orjson
from django.contrib.contenttypes.models import ContentType
from django.utils import timezone
from pydantic import BaseModel, Field

from batches.content import answered_rows
from batches.errors import BadOptions
from batches.providers.registry import active_provider, is_sandbox
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
from translations.files.models import FileLine, RequestFile
from translations.files.requests import body_of_row, mismatch

ANSWER = "answer"


class FileOptions(RunOptions):
    file: int = Field(description="number of the file, as import_requests told it")


class Text(BaseModel):
    """What an answer is to the engine; the file's own schema says what is in it."""

    text: str


@register
class FileWorkload(Workload):
    """One item a line. What a line asks, and in which form, is its own business."""

    key = "file"
    noun = ("line", "lines")
    options = FileOptions
    result = Text

    def read_options(self, given: dict[str, Any]) -> Any:
        """As always; the file must be there, and its model is taken if none is said."""
        options = super().read_options(given)
        file = RequestFile.objects.filter(pk=options.file).first()
        if file is None:
            raise BadOptions(
                f"file: there is no file {options.file}; import one with "
                "`manage.py import_requests FILE`, which tells its number."
            )
        options.model = options.model or file.model
        return options

    def subjects(self, options: FileOptions, after: str, limit: int) -> Page:
        file = RequestFile.objects.get(pk=options.file)
        lines = FileLine.objects.filter(file=file).order_by("number")
        lines = lines.filter(number__gt=int(after or 0))
        page = list(lines.defer("answer")[:limit])
        kind = ContentType.objects.get_for_model(FileLine).pk
        counts_sandbox = is_sandbox(active_provider())
        wanted = [
            Subject(kind, str(line.pk), (file, line))
            for line in page
            if line.item_id is None or (line.is_sandbox and not counts_sandbox)
        ]
        return Page(
            wanted,
            cursor=str(page[-1].number) if len(page) == limit else None,
            skipped={"answered": len(page) - len(wanted)} if page else {},
        )

    def targets(self, subject: Subject, options: FileOptions) -> Iterable[Target]:
        return [Target(ANSWER)]

    def build_request(
        self, subject: Subject, target: Target, options: FileOptions, prompt: str
    ) -> Request:
        file, line = subject.source
        content = orjson.loads(line.content)
        if file.form == RequestFile.Form.CSV:
            content = body_of_row(
                content,
                prompt=file.prompt,
                schema=file.schema,
                output_limit=file.output_limit,
            )
        return Request(body=content)

    def judge_one(self, answer: Answer) -> Verdict:
        if verdict := self.unusable(answer):
            return verdict
        if not answer.text.strip():
            return Verdict(answer, None, "empty_answer", "The answer has no text.")
        wanted = orjson.loads(answer.body).get("response_format") or {}
        if wanted.get("type") in ("json_object", "json_schema"):
            try:
                said = orjson.loads(answer.text)
            except orjson.JSONDecodeError as err:
                return Verdict(
                    answer, None, "invalid_json", f"The answer is not JSON: {err}."
                )
            schema = (wanted.get("json_schema") or {}).get("schema")
            if schema is not None and (where := mismatch(said, schema)):
                return Verdict(
                    answer,
                    None,
                    "schema_mismatch",
                    f"The answer is not of the schema: {where}",
                )
        return Verdict(answer, answer.text)

    def store(self, verdicts: Sequence[Verdict]) -> list[FollowUp]:
        lines = answered_rows(FileLine, verdicts)
        now = timezone.now()
        for verdict in verdicts:
            line = lines[verdict.answer.object_id]
            line.answer = verdict.result
            line.item_id = verdict.answer.item_id
            line.is_sandbox = verdict.answer.is_sandbox
            line.answered_at = now
        FileLine.objects.bulk_update(
            lines.values(), ["answer", "item_id", "is_sandbox", "answered_at"]
        )
        return []

    def explain_result(
        self, *, content_type_id: int, object_id: str, target: str, item_id: int
    ) -> list[str]:
        line = FileLine.objects.filter(pk=object_id).select_related("file").first()
        if line is None:
            return ["The line was deleted with its file."]
        state = "answered" if line.item_id else "not answered"
        return [f"Line {line.number} of {line.file}, {line.custom_id!r}, is {state}."]
