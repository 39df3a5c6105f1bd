"""What a process of its own does while its memory is watched."""

from django.utils import timezone

from batches.benchmark.data import MODEL, BenchmarkWorkload, SubjectsWorkload
from batches.models import BatchJob, Run
from batches.providers.pricing import batch_rate
from batches.providers.tokens import count_tokens
from batches.services.collection import collect_run
from batches.services.ingestion import ingest_jobs
from batches.services.spool import write_input_file
from batches.workloads import all_workloads, register


def warm_up() -> None:
    """Load what every process loads once, however much it then works on."""
    register(BenchmarkWorkload)
    register(SubjectsWorkload)
    all_workloads()
    batch_rate(MODEL, timezone.now())
    count_tokens(MODEL, "one text")
    BatchJob.objects.exists()


def ingest() -> None:
    ingest_jobs(now=timezone.now())


def on_block() -> None:
    """Nobody else wants the job: there is no lease to keep."""


def write_file(job_id: int) -> None:
    write_input_file(BatchJob.objects.get(pk=job_id), on_block=on_block)


def collect(run_id: int) -> None:
    collect_run(Run.objects.get(pk=run_id))
