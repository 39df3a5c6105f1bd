"""Answers in the order of the file that asked, page by page."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from io import StringIO
from typing import Any

import orjson
from django.contrib.contenttypes.models import ContentType
from django.db.models import QuerySet

from batches.models import BatchItem, ItemAttempt
from batches.providers.registry import active_provider, is_sandbox
from batches.states import BACK, ItemStatus
from translations.exchange.tables import neutral
from translations.files.models import FileLine, RequestFile

PAGE = 500
FORMS = ("jsonl", "csv")


@dataclass(frozen=True)
class Answered:
    """A line with what came of it; without an answer `code` and `message` say why."""

    line: FileLine
    item: BatchItem | None
    code: str = ""
    message: str = ""


def written(file: RequestFile, form: str) -> Iterator[str]:
    """The file's answers as `jsonl`, as the Batch API gives them, or as `csv`."""
    return _csv(file) if form == "csv" else _jsonl(file)


def answers(file: RequestFile) -> Iterator[Answered]:
    """Every line of a file, in its order."""
    last = 0
    while True:
        lines = FileLine.objects.filter(file=file, number__gt=last).order_by("number")
        page = list(lines[:PAGE])
        if not page:
            return
        last = page[-1].number
        yield from _answered(page)


def _answered(page: list[FileLine]) -> Iterator[Answered]:
    kind = ContentType.objects.get_for_model(FileLine)
    found: QuerySet[BatchItem] = BatchItem.objects.filter(
        content_type=kind, object_id__in=[str(line.pk) for line in page]
    )
    items = {int(item.object_id): item for item in found.order_by("pk")}
    failed = [i.pk for i in items.values() if i.status == ItemStatus.FAILED]
    tries = ItemAttempt.objects.filter(item__in=failed).exclude(outcome__in=BACK)
    said = dict(tries.order_by("pk").values_list("item_id", "error_message"))
    by_key = {item.pk: item for item in items.values()}
    pretends = is_sandbox(active_provider())
    for line in page:
        item = items.get(line.pk)
        if line.item_id is not None and (pretends or not line.is_sandbox):
            yield Answered(line, by_key.get(line.item_id, item))
        elif item is None or line.item_id is not None:
            why = "It was not sent yet." if item is None else "The sandbox made it up."
            yield Answered(line, None, "not_asked", f"{why} Start a run of its file.")
        elif item.status == ItemStatus.FAILED:
            yield Answered(line, item, item.error_code, said.get(item.pk, ""))
        else:
            state = ItemStatus(item.status)
            yield Answered(line, item, state.value, f"{state.label}: no answer yet.")


def _jsonl(file: RequestFile) -> Iterator[str]:
    for found in answers(file):
        line: dict[str, Any] = {
            "id": f"item-{found.item.pk}" if found.item else None,
            "custom_id": found.line.custom_id,
            "response": None,
            "error": None,
        }
        if found.code:
            line["error"] = {"code": found.code, "message": found.message}
        else:
            line["response"] = {"status_code": 200, "body": _body(file, found)}
        yield orjson.dumps(line).decode() + "\n"


def _body(file: RequestFile, found: Answered) -> dict[str, Any]:
    item = found.item
    body: dict[str, Any] = {
        "object": "chat.completion",
        "model": item.model if item else file.model,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": found.line.answer},
                "finish_reason": "stop",
            }
        ],
    }
    if item:
        body["usage"] = {
            "prompt_tokens": item.input_tokens,
            "completion_tokens": item.output_tokens,
            "total_tokens": item.input_tokens + item.output_tokens,
        }
    return body


def _csv(file: RequestFile) -> Iterator[str]:
    """A row for each line: what was in the table, the answer's parts, and the error."""
    parts = list((file.schema or {}).get("properties", {}))
    given = file.columns or ["custom_id"]
    names = [_free(name, given) for name in (parts or ["answer"])]
    # With the mark by which spreadsheets know UTF-8.
    yield "\ufeff" + _line([*given, *names, _free("error", [*given, *names])])
    for found in answers(file):
        row = orjson.loads(found.line.content) if file.columns else {}
        cells = [row.get(name, found.line.custom_id) for name in given]
        error = f"{found.code}: {found.message}" if found.code else ""
        yield _line([*cells, *_parts(found, parts), error])


def _parts(found: Answered, names: list[str]) -> list[str]:
    if found.code:
        return [""] * max(len(names), 1)
    if not names:
        return [found.line.answer]
    said = orjson.loads(found.line.answer)
    return [_cell(said.get(name)) for name in names]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _free(name: str, taken: list[str]) -> str:
    """A name for a column beside those of the table."""
    while name in taken:
        name = f"answer_{name}"
    return name


def _line(cells: list[str]) -> str:
    out = StringIO()
    csv.writer(out).writerow([neutral(cell) for cell in cells])
    return out.getvalue()
