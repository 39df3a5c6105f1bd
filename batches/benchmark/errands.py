"""What a process of its own does while its memory is watched."""

from django.utils import timezone

from batches.benchmark.data import MODEL, BenchmarkWorkload, SubjectsWorkload
from batches.benchmark.meter import judging_apart
from batches.models import BatchJob, Run
from batches.providers.registry import SANDBOX, get_provider
from batches.providers.tokens import count_tokens
from batches.services.collection import collect_run
from batches.services.ingestion import ingest_jobs
from batches.services.prices import current_rate
from batches.services.spool import write_input_file
from batches.workloads import all_workloads, get_workload, register


def warm_up() -> None:
    """Load what every process loads once, however much it then works on."""
    register(BenchmarkWorkload)
    register(SubjectsWorkload)
    for workload in all_workloads().values():
        workload.warm_up()
    get_provider(SANDBOX)
    current_rate(SANDBOX, MODEL, timezone.now())
    count_tokens(MODEL, "one text")
    BatchJob.objects.exists()


def ingest() -> float:
    """Ingest the only job there is; returns the CPU seconds that `judge` took of it."""
    workload = get_workload(BatchJob.objects.get().workload)
    with judging_apart(workload) as judging:
        ingest_jobs(now=timezone.now())
    return sum(judging)


def on_block() -> None:
    """Nobody else wants the job: there is no lease to keep."""


def write_file(job_id: int) -> None:
    write_input_file(BatchJob.objects.get(pk=job_id), on_block=on_block)


def collect(run_id: int) -> None:
    collect_run(Run.objects.get(pk=run_id))
