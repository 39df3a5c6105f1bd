"""All jobs of a range, written as they are read: CSV for spreadsheets, or JSON."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import chain

from django.http import StreamingHttpResponse

from batches.api.batch_monitoring.schemas import ExportIn, MonitoredJobOut
from batches.api.batch_monitoring.shapes import as_rows, jobs_of, shown_job
from batches.monitoring.usage_tables import csv_lines

ROWS_AT_ONCE = 500


def export(wanted: ExportIn, *, now: datetime) -> StreamingHttpResponse:
    rows = jobs_of(wanted, now=now).iterator(chunk_size=ROWS_AT_ONCE)
    jobs = (shown_job(job, {}) for job in rows)
    lines, kind = _csv(jobs), "text/csv; charset=utf-8"
    if wanted.format == "json":
        lines, kind = _json(jobs), "application/json"
    name = f"batch-jobs-{wanted.time_range}-{now:%Y%m%d-%H%M}.{wanted.format}"
    return StreamingHttpResponse(
        lines,
        content_type=kind,
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def _csv(jobs: Iterable[MonitoredJobOut]) -> Iterator[str]:
    names = [
        field.alias or name
        for name, field in MonitoredJobOut.model_fields.items()
        if name != "error_summary"
    ]
    rows = ([row[name] for name in names] for row in as_rows(jobs))
    yield from csv_lines(chain([names], rows))


def _json(jobs: Iterable[MonitoredJobOut]) -> Iterator[str]:
    """`{"success": true, "data": {"jobs": […]}}`, a job a line."""
    yield '{"success": true, "data": {"jobs": ['
    for number, job in enumerate(jobs):
        yield ",\n" if number else "\n"
        yield job.model_dump_json(by_alias=True)
    yield "\n]}}\n"
