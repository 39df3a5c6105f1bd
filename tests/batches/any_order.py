"""The whole pipeline as a machine whose steps come in any order.

Everything is real: rows with real commits, and HTTP to the sandbox, whose faults are
switched on and off on the way. A kill is an exception that nothing catches, raised
instead of the n-th statement of a stage and of every later one, so that not even a
`finally` of the dead process is heard of. After each step `Witness` looks at all rows
and at the provider's books; at the end the faults go, and everything must come to rest.
"""

import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import partial
from typing import Any, ClassVar

import time_machine
from django.apps import apps
from django.db import connection, transaction
from django.utils import timezone
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
)

from batches.errors import NotPossible
from batches.models import BatchItem, BatchJob, Installation, OpenItem, Run
from batches.providers.errors import ProviderError
from batches.services import by_hand, steering
from batches.services.bundling import bundle
from batches.services.collection import collect_runs
from batches.services.holds import probe_keys
from batches.services.ingestion import ingest_jobs
from batches.services.leases import holder_name
from batches.services.pipeline import is_idle
from batches.services.polling import poll_jobs
from batches.services.reconciliation import clean_up
from batches.services.requeue import requeue, retry_job, retry_run
from batches.services.submission import submit_jobs
from batches.states import RUN_FINAL, Intent, ItemStatus, Priority, RunStatus
from tests.batches.invariants import Books, Witness
from tests.factories import make_paintings, make_run
from tests.sandbox.fixtures import SandboxProcess, wait_for

# How long the sandbox delays what a fault delays, in real seconds.
DELAY_SECONDS = 0.15
# What the engine waits for an answer, a list and a delete, and so how far its clock is
# moved on; all of it must stay within the ten minutes by which clocks may differ.
TIMEOUT_SECONDS, VISIBILITY_SECONDS, DELETE_SECONDS = 10, 1, 1
STRIDE_SECONDS = TIMEOUT_SECONDS + VISIBILITY_SECONDS + 1
MOST_STRIDES = 40
END_SECONDS = 60.0

# The clock that a stage is told: now, when leases and waits are over, much later.
LATENESS = (timedelta(0), timedelta(hours=1), timedelta(hours=5))

STAGES: dict[str, Callable[..., object]] = {
    "collect": lambda now: collect_runs(),
    # Its clock is a job's birthday, and may not differ from the provider's by hours.
    "bundle": lambda now: bundle(),
    "probe": lambda now: probe_keys(now=now),
    "submit": lambda now: submit_jobs(now=now),
    "poll": lambda now: poll_jobs(now=now),
    "ingest": lambda now: ingest_jobs(now=now),
    "clean": lambda now: clean_up(now=now),
}


def retry_all_that_failed(_: object, *, by: str) -> None:
    requeue(BatchItem.objects.filter(status=ItemStatus.FAILED), by=by)


RUN_ACTS = (
    steering.pause_run,
    steering.recall_run,
    steering.resume_run,
    steering.cancel_run,
    retry_run,
    retry_all_that_failed,
    partial(steering.set_priority, priority=Priority.HIGH),
)
JOB_ACTS = (
    steering.pause_job,
    steering.recall_job,
    steering.resume_job,
    steering.cancel_job,
    by_hand.submit_now,
    by_hand.check_now,
    by_hand.process_now,
    retry_job,
)

ONCE = ("files.create", "files.content", "batches.create", "batches.cancel")
REPEATED = ("files.retrieve", "files.delete", "batches.list", "batches.retrieve")
TRANSIENT = ("http_429", "http_500", "http_503")
DELAYS = ("late_create", "late_delete", "late_validation", "list_delay")
STATES = {
    "wrong_key": True,
    "no_quota": True,
    "billing_limit": True,
    "file_needed": True,
    "stuck_finalizing": True,
    "never_ending": True,
    "expire_counted": True,
    "empty_string_ids": True,
    "empty_files": True,
    "crlf": True,
    "token_limit": {"tokens": 60},
}
OCCASIONS = (
    "lost_upload_answer",
    "lost_delete_answer",
    "lost_create_answer",
    "cut_download",
    "cut_download_unannounced",
)
ENDINGS = ("expire_partial", "quota_gone")
LINES = (
    "status_code_0",
    "duplicate_lines",
    "missing_lines",
    "unknown_lines",
    "garbage_lines",
    "raw_separators",
    "truncated_answers",
    "refused_answers",
    "filtered_answers",
    "non_json_answers",
    "wrong_language",
    "obey_text",
)

times = st.integers(1, 4)
faults = st.one_of(
    st.tuples(st.sampled_from(sorted(STATES))).map(lambda f: {f[0]: STATES[f[0]]}),
    st.builds(lambda name, n: {name: {"times": n}}, st.sampled_from(OCCASIONS), times),
    st.builds(
        lambda name, n: {name: {"seconds": DELAY_SECONDS, "times": n}},
        st.sampled_from(DELAYS),
        times,
    ),
    # The client itself repeats harmless calls: the fault outlasts its three tries.
    st.builds(
        lambda name, on: {name: {"retry_after": 0.01, "on": on, "times": 3}},
        st.sampled_from(TRANSIENT),
        st.sampled_from(REPEATED),
    ),
    st.builds(
        lambda name, on, n: {name: {"on": on, "times": n}},
        st.sampled_from(("http_409", "http_500", "http_502", "reset")),
        st.sampled_from(ONCE),
        times,
    ),
    st.builds(
        lambda name, share: {name: {"share": share}},
        st.sampled_from(ENDINGS),
        st.sampled_from((0, 0.5)),
    ),
    st.builds(lambda s: {"expire_after": {"seconds": s}}, st.sampled_from((0.0, 0.05))),
    st.builds(
        lambda name, n: {name: {"rate": 1, "times": n}}, st.sampled_from(LINES), times
    ),
    st.builds(lambda name: {name: {"rate": 0.4}}, st.sampled_from(LINES)),
    st.builds(
        lambda status, n: {"failed_lines": {"rate": 1, "status": status, "times": n}},
        st.sampled_from((400, 401, 403, 404, 429, 500, 503)),
        times,
    ),
    st.builds(
        lambda status: {"all_lines_fail": {"status": status}},
        st.sampled_from((400, 429, 500)),
    ),
)
# One more fault, none more, or no fault any longer.
changes = st.one_of(faults, faults, st.just({}), st.none())
titles = st.sampled_from(
    (*["a lake", "a hill"] * 4, "TOO LARGE", "SKIP", "STORE BUG", "JUDGE BUG")
)
lateness = st.sampled_from(LATENESS)
stages = st.sampled_from(sorted(STAGES))
sizes = st.sampled_from((1000, 3, 2, 1))
picks = st.integers(0, 9)


class Killed(BaseException):
    """The process died here."""


@contextmanager
def killed_at(statement: int) -> Iterator[None]:
    """Let only so many statements reach the database; the block dies at the next."""
    executed = 0

    def execute(run: Callable[..., Any], *given: Any) -> Any:
        nonlocal executed
        executed += 1
        if executed > statement:
            raise Killed
        return run(*given)

    with suppress(Killed), connection.execute_wrapper(execute):
        yield


class Pipeline(RuleBasedStateMachine):
    """One installation with an empty database, and a sandbox that others use too."""

    sandbox: ClassVar[SandboxProcess]
    settings: ClassVar[Any]
    gone_pid: ClassVar[int]

    def __init__(self) -> None:
        super().__init__()
        empty_the_tables()
        self.sandbox.clear_faults()
        self.witness = Witness(Books(self.sandbox))
        self.clock = time_machine.travel(timezone.now(), tick=True)
        self.traveller = self.clock.start()
        self.strides = 0
        self.settings.BATCH_MIN_SIZE = 3
        self.settings.BATCH_MAX_WAIT_MINUTES = 60
        self.is_sound = True
        self.is_restless = False

    # --- asking for work --------------------------------------------------------------

    @initialize(
        subjects=st.lists(titles, min_size=2, max_size=8),
        follow_ups=st.integers(0, 2),
        size=sizes,
        fault=faults,
        count=st.integers(0, 5),
    )
    def begin(
        self,
        subjects: list[str],
        follow_ups: int,
        size: int,
        fault: dict[str, Any],
        count: int,
    ) -> None:
        make_paintings(*subjects)
        make_run(follow_ups=follow_ups)
        self.go_on(fault, 0, count, size)

    @rule(
        subjects=st.lists(titles, max_size=5),
        limit=st.one_of(st.none(), st.integers(1, 4)),
        priority=st.sampled_from(Priority),
        follow_ups=st.integers(0, 2),
        may_wait=st.booleans(),
        fault=changes,
        count=st.integers(0, 5),
    )
    def ask_for_captions(
        self,
        subjects: list[str],
        fault: dict[str, Any] | None,
        count: int,
        **given: Any,
    ) -> None:
        make_paintings(*subjects)
        make_run(**given)
        self.go_on(fault, 0, count, 1000)

    # --- stages -----------------------------------------------------------------------

    @rule(
        fault=changes,
        start=st.integers(0, 4),
        count=st.integers(1, 10),
        size=sizes,
    )
    def continue_the_work(self, **given: Any) -> None:
        self.go_on(**given)

    def go_on(
        self, fault: dict[str, Any] | None, start: int, count: int, size: int
    ) -> None:
        """Stage after stage, in time and patiently."""
        self.change_faults(fault)
        self.settings.BATCH_MAX_REQUESTS = size
        self.let_time_pass()
        names = list(STAGES)
        for number in range(start, start + count):
            self.wait_for_the_provider()
            self.run_stages((names[number % len(names)],), late=LATENESS[-1])

    @rule(
        fault=changes,
        stage=stages,
        late=lateness,
        times=st.integers(1, 2),
    )
    def run_a_stage(
        self, fault: dict[str, Any] | None, stage: str, late: timedelta, times: int
    ) -> None:
        """One stage, perhaps too early, perhaps twice."""
        self.change_faults(fault)
        self.run_stages((stage,) * times, late=late)

    @rule(stage=stages, at=st.integers(0, 60), is_patient=st.booleans())
    def kill(self, stage: str, at: int, is_patient: bool) -> None:
        if is_patient:
            self.wait_for_the_provider()
        with killed_at(at):
            self.run_stages((stage,), late=LATENESS[-1])
        # What it held it holds on, as a process of this host that is gone.
        BatchJob.objects.filter(
            lease_owner=holder_name(), lease_until__isnull=False
        ).update(lease_owner=f"{socket.gethostname()[:60]}:{self.gone_pid}:1")

    @rule(pick=picks)
    def another_host_takes_a_job_and_is_silent(self, pick: int) -> None:
        job = chosen(BatchJob.objects.unfinished(), pick)
        if job:
            BatchJob.objects.filter(pk=job.pk).update(
                lease_owner="elsewhere:1:1",
                lease_until=timezone.now() + timedelta(minutes=30),
                lease_epoch=job.lease_epoch + 1,
            )

    def run_stages(
        self, names: Sequence[str], *, late: timedelta = timedelta(0)
    ) -> None:
        for name in names:
            self.is_restless |= name in ("submit", "poll")
            with suppress(ProviderError):
                STAGES[name](timezone.now() + late)

    def change_faults(self, fault: dict[str, Any] | None) -> None:
        """Switch this fault on; none at all takes all of them back."""
        self.is_restless = True
        if fault is None:
            self.sandbox.clear_faults()
        elif fault:
            self.sandbox.faults(**fault)

    # --- the provider and the clock ---------------------------------------------------

    def let_time_pass(self) -> None:
        """As long as the engine waits for an answer; the provider has done by then."""
        self.wait_for_the_provider()
        if self.strides < MOST_STRIDES:
            self.strides += 1
            self.traveller.shift(timedelta(seconds=STRIDE_SECONDS))

    def wait_for_the_provider(self) -> None:
        """Until the provider has done what is asked of it, or a fault holds it up.

        What a fault delays comes within that delay: the engine's bounds say so.
        """
        if not self.is_restless:
            return
        self.is_restless = False
        active = self.sandbox.faults().keys()
        if self.has_lost_a_create() or not active.isdisjoint(DELAYS):
            threading.Event().wait(1.5 * DELAY_SECONDS)
        installation = Installation.objects.first()
        if installation and active.isdisjoint({"never_ending", "stuck_finalizing"}):
            books, key = self.witness.books, installation.public_id.hex
            wait_for(lambda: all(batch.is_final for batch in books.batches(key)))

    def has_lost_a_create(self) -> bool:
        """Whether a create may be under way although its fault is used up."""
        return BatchJob.objects.filter(
            create_sent_at__isnull=False, provider_batch_id__isnull=True
        ).exists()

    # --- steering ---------------------------------------------------------------------

    @rule(act=st.sampled_from(RUN_ACTS), pick=picks)
    def steer_a_run(self, act: Callable[..., object], pick: int) -> None:
        self.is_restless = True
        steer(act, Run.objects.all(), pick)

    @rule(act=st.sampled_from(JOB_ACTS), pick=picks)
    def steer_a_job(self, act: Callable[..., object], pick: int) -> None:
        self.is_restless = True
        steer(act, BatchJob.objects.all(), pick)

    # --- what holds -------------------------------------------------------------------

    @invariant()
    def everything_agrees(self) -> None:
        self.is_sound = False
        self.witness.look()
        self.is_sound = True

    def teardown(self) -> None:
        try:
            self.change_faults(None)
            if self.is_sound:
                self.come_to_rest()
        finally:
            self.clock.stop()

    def come_to_rest(self) -> None:
        """Without faults all ends, and nothing of it is open."""
        for job in BatchJob.objects.filter(intent=Intent.PAUSE):
            steering.resume_job(job, by="amina")
        paused = Run.objects.unfinished().filter(paused_at__isnull=False)
        for run in paused.filter(cancelled_at__isnull=True):
            steering.resume_run(run, by="amina")
        self.settings.BATCH_MAX_REQUESTS = 1000
        self.settings.BATCH_MAX_WAIT_MINUTES = 0
        deadline = time.monotonic() + END_SECONDS
        while not is_idle():
            for stage in STAGES:
                self.wait_for_the_provider()
                self.run_stages((stage,), late=timedelta(days=1))
            self.witness.look()
            self.traveller.shift(timedelta(seconds=1))
            if self.has_lost_a_create():
                self.traveller.shift(timedelta(seconds=STRIDE_SECONDS))
            assert time.monotonic() < deadline, left_over()
        assert not OpenItem.objects.exists()
        assert not Run.objects.exclude(status__in=RUN_FINAL).exists()
        assert not Run.objects.filter(status=RunStatus.COLLECTING).exists()


def chosen(rows: Any, pick: int) -> Any:
    """A row by its place, counted round; None where there is none."""
    found = list(rows.order_by("pk"))
    return found[pick % len(found)] if found else None


def steer(act: Callable[..., object], rows: Any, pick: int) -> None:
    row = chosen(rows, pick)
    if row:
        with suppress(NotPossible, ProviderError):
            act(row, by="amina")


def left_over() -> str:
    jobs = BatchJob.objects.unfinished().values_list("pk", "status", "waiting_reason")
    waiting = OpenItem.objects.values_list("pk", "job", "run__status")
    return f"not at rest: jobs {list(jobs)}, items {list(waiting)}"


def empty_the_tables() -> None:
    """Every example begins with nothing, in real commits, on either database.

    Constraints between these tables are checked at the end of a transaction, so their
    order does not matter. Keys go on counting: no two examples share a custom_id.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        for label in ("gallery", "batches"):
            for model in apps.get_app_config(label).get_models():
                cursor.execute(f'DELETE FROM "{model._meta.db_table}"')
