"""Reference translations of lessons as golden cases, without a lesson being there.

A file of them has one JSON object a line: `object_id`, `field`, `format`,
`source_language`, `target_language`, `source` and `target`. The title of a lesson, if
it is among them, stands beside its other fields, as in a real request.
"""

from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel, Field, ValidationError

from batches.errors import BadOptions
from batches.models import GoldenCase
from batches.services.golden import NewCase
from batches.services.prompts import current_prompt
from batches.workloads import get_workload
from translations.fields import Part, target_key
from translations.languages import is_known
from translations.lessons.models import Course, Lesson
from translations.registry import FORMATS, all_registered
from translations.requests import request_for
from translations.segments import parts, source_hash, split_text

SHIPPED = Path(__file__).parent / "content" / "references.jsonl"


class Reference(BaseModel):
    """One line of a file."""

    object_id: str = Field(min_length=1, max_length=100)
    field: str
    format: str
    source_language: str
    target_language: str
    source: str = Field(min_length=1)
    target: str = Field(min_length=1)


def read_references(path: Path) -> list[Reference]:
    """The lines of a file; raises BadOptions naming the first that is none."""
    known = all_registered()[Lesson._meta.label_lower].fields
    found = []
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                found.append(_read(line, f"{path.name}, line {number}", known))
    return found


def _read(line: str, where: str, fields: Iterable[str]) -> Reference:
    try:
        row = Reference.model_validate_json(line)
    except ValidationError as err:
        first = err.errors(include_url=False, include_input=False)[0]
        name = ".".join(map(str, first["loc"])) or "the line"
        raise BadOptions(f"{where}: {name}: {first['msg']}.") from err
    checks = (
        ("field", row.field, row.field in fields, ", ".join(fields)),
        ("format", row.format, row.format in FORMATS, ", ".join(FORMATS)),
        *(
            (name, tag, is_known(tag), "tags such as so, en or ar")
            for name, tag in (
                ("source_language", row.source_language),
                ("target_language", row.target_language),
            )
        ),
    )
    for name, value, is_right, there in checks:
        if not is_right:
            raise BadOptions(f"{where}: {name} {value!r} is none of {there}.")
    return row


def cases_of(references: Iterable[Reference]) -> tuple[list[NewCase], list[str]]:
    """A case each, and what was left out: a text that takes more than one request."""
    rows = list(references)
    titles = {row.object_id: row.source for row in rows if row.field == "title"}
    cases, left_out = [], []
    for row in rows:
        name = f"{row.object_id}: {row.field}, {row.target_language}"
        pieces = split_text(row.source, row.format)
        slices = parts(pieces)
        if len(slices) != 1:
            left_out.append(f"{name}: takes {len(slices)} requests, not one.")
            continue
        cases.append(_case(row, name, titles.get(row.object_id, "")))
    return cases, left_out


def _case(row: Reference, name: str, title: str) -> NewCase:
    workload = get_workload("translation")
    lesson = Lesson(
        course=Course(title=""),
        external_id=row.object_id,
        source_language=row.source_language,
        title=title,
    )
    request = request_for(
        all_registered()[Lesson._meta.label_lower],
        lesson,
        Part(
            field=row.field,
            language=row.target_language,
            number=1,
            total=1,
            pieces=split_text(row.source, row.format),
            source_hash=source_hash(row.source, row.format),
            format=row.format,
        ),
        prompt=current_prompt(workload).text,
        response_format=workload.response_format(),
    )
    return NewCase(
        workload=workload,
        name=name,
        target=target_key(row.field, row.target_language, 1, 1),
        request=request,
        reference=row.target,
        origin=GoldenCase.Origin.SHIPPED,
    )
