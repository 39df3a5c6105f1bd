"""Result files in tests: lines as a provider writes them, laid into a job's spool."""

import json
from datetime import timedelta

from django.utils import timezone

from batches.models import (
    BatchJob,
    StrayLine,
)
from batches.services.ingestion import ingest_job
from batches.services.leases import held
from batches.services.spool import job_dir
from batches.states import JobStatus
from tests.factories import make_job

USAGE = {
    "prompt_tokens": 1000,
    "completion_tokens": 100,
    "prompt_tokens_details": {"cached_tokens": 200},
}
# gpt-4o-mini at batch price: 0.075 $ a million in (cached too), 0.30 $ a million out.
COST_NANOS = 1000 * 75 + 100 * 300


def answer(key, text='{"caption": "A tree"}', **choice):
    message = {
        "role": "assistant",
        "content": text,
        "refusal": choice.pop("refusal", None),
    }
    body = {
        "model": "gpt-4o-mini-2024-07-18",
        "choices": [{"message": message, "finish_reason": "stop", **choice}],
        "usage": USAGE,
    }
    response = {"status_code": 200, "request_id": "r", "body": body}
    return {"id": "x", "custom_id": str(key), "response": response, "error": None}


def http_error(key, status=400, code="context_length_exceeded"):
    body = {
        "error": {
            "message": "Too long.",
            "type": "invalid",
            "param": None,
            "code": code,
        }
    }
    response = {"status_code": status, "request_id": "r", "body": body}
    return {"id": "x", "custom_id": str(key), "response": response, "error": None}


def not_executed(key, code="batch_expired"):
    error = {"code": code, "message": "This request could not be executed."}
    return {"id": "x", "custom_id": str(key), "response": None, "error": error}


def with_results(job, output=(), error=(), ending="completed", **counts):
    """A job whose files lie in the spool, as after their download."""
    folder = job_dir(job)
    for name, lines in (("out", output), ("err", error)):
        raw = b"".join(
            line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n"
            for line in lines
        )
        (folder / f"{name}.result").write_bytes(raw)
    BatchJob.objects.filter(pk=job.pk).update(
        output_file_id="out" if output else "",
        error_file_id="err" if error else "",
        provider_status=ending,
        **counts,
    )
    job.refresh_from_db()
    return job


def completed_job(items=3, **results):
    return make_job(items, status=JobStatus.COMPLETED)


def ingest(job):
    job.refresh_from_db()
    with held(job, now=timezone.now() + timedelta(hours=1)) as is_ours:
        assert is_ours
        ingest_job(job)
    job.refresh_from_db()


def strays():
    return list(StrayLine.objects.order_by("line").values_list("kind", "line"))
