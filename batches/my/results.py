"""What came of a run, to read on a page and to take away as a file."""

import csv
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson
from django.http import (
    Http404,
    HttpRequest,
    HttpResponseBase,
    StreamingHttpResponse,
)
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from batches.models import Run
from batches.monitoring.answers import (
    ENDED,
    Came,
    all_answers,
    items_in_order,
    read_answers,
)
from batches.monitoring.usage_tables import cell
from batches.my.access import own_page
from batches.my.runs import own_run, title_of
from batches.my.showing import as_text, readable
from batches.providers.registry import is_sandbox
from batches.workloads import all_workloads

RESULTS_SHOWN = 20
COLUMNS = ("subject", "target", "status", "data", "errorCode", "errorMessage")


@dataclass(frozen=True)
class Result:
    """One answer as it is shown: its parts are escaped where they become HTML."""

    name: str
    language: str
    target: str
    is_complete: bool
    shown: str
    code: str
    message: str


@own_page
@require_safe
def results_page(request: HttpRequest, public_id: UUID) -> HttpResponseBase:
    """In the order of the items; `after` is the last one of the page before."""
    run = own_run(request, public_id)
    after = _after(request)
    ended = items_in_order(run).filter(status__in=ENDED, pk__gt=after)
    items = list(ended[: RESULTS_SHOWN + 1])
    has_more, items = len(items) > RESULTS_SHOWN, items[:RESULTS_SHOWN]
    first_url = reverse("my:results", args=[public_id])
    return render(
        request,
        "my/results.html",
        {
            "title": _("Results"),
            "run": run,
            "run_title": title_of(run),
            "results": [_shown(run, came) for came in read_answers(items)],
            "is_pretended": any(is_sandbox(item.provider) for item in items),
            "first_url": first_url if after else "",
            "next_url": f"{first_url}?after={items[-1].pk}" if has_more else "",
            "files": [
                (reverse("my:download", args=[public_id, kind]), kind.upper())
                for kind in WRITERS
            ],
        },
    )


def _after(request: HttpRequest) -> int:
    given = request.GET.get("after", "0")
    if not (given.isascii() and given.isdecimal() and len(given) < 19):
        raise Http404("after is no place in these results.")
    return int(given)


def _shown(run: Run, came: Came) -> Result:
    workload = all_workloads().get(run.workload)
    key = came.item.object_id
    name, language = workload.subject_name(key) if workload else (key, "")
    return Result(
        name=name,
        language=language,
        target=as_text(came.item.target),
        is_complete=came.is_complete,
        shown=readable(came.data),
        code=came.code,
        message=came.message,
    )


# --- files ----------------------------------------------------------------------------


@own_page
@require_safe
def download(request: HttpRequest, public_id: UUID, kind: str) -> HttpResponseBase:
    """All that has ended so far, a row for each item."""
    run = own_run(request, public_id)
    if kind not in WRITERS:
        raise Http404(f"There is no {kind}; there are {', '.join(WRITERS)}.")
    content_type, write = WRITERS[kind]
    return StreamingHttpResponse(
        write(map(_row, all_answers(run))),
        content_type=content_type,
        headers={
            "Content-Disposition": f'attachment; filename="run-{public_id}.{kind}"',
            "X-Content-Type-Options": "nosniff",
        },
    )


def _row(came: Came) -> dict[str, Any]:
    return {
        "subject": came.item.object_id,
        "target": came.item.target,
        "status": came.item.status,
        "data": came.data,
        "errorCode": came.code or None,
        "errorMessage": came.message or None,
    }


class _Echo:
    """A file that hands back what is written into it."""

    def write(self, text: str) -> str:
        return text


def _csv(rows: Iterable[dict[str, Any]]) -> Iterator[str]:
    writer = csv.writer(_Echo())
    yield str(writer.writerow(COLUMNS))
    for row in rows:
        data = row["data"]
        if isinstance(data, dict | list):
            row["data"] = orjson.dumps(data).decode()
        yield str(writer.writerow([cell(row[name]) for name in COLUMNS]))


def _json(rows: Iterable[dict[str, Any]]) -> Iterator[str]:
    """One array, a row a line."""
    yield "["
    for number, row in enumerate(rows):
        yield (",\n" if number else "\n") + orjson.dumps(row).decode()
    yield "\n]\n"


def _jsonl(rows: Iterable[dict[str, Any]]) -> Iterator[str]:
    for row in rows:
        yield orjson.dumps(row).decode() + "\n"


Writer = Callable[[Iterable[dict[str, Any]]], Iterator[str]]
WRITERS: dict[str, tuple[str, Writer]] = {
    "csv": ("text/csv; charset=utf-8", _csv),
    "json": ("application/json", _json),
    "jsonl": ("application/jsonl", _jsonl),
}
