"""One run of each workload on sample content, answered by a real chat server.

Engine → sandbox → server, each a process of its own: what a local model would be put
behind. Nothing may be left open, and what is refused must say why.
"""

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator

import pytest

from batches import start_run
from batches.models import Event
from batches.states import EventKind, ItemStatus, RunStatus
from batches.testing import check_workload
from tests.driving import work_off
from tests.processes import ROOT
from tests.samples import SAMPLES
from tests.sandbox.fixtures import SandboxProcess


@pytest.fixture(scope="module")
def model_server() -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.model_server"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    with process.stdout as said:
        yield said.readline().strip()
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def sandbox_process(
    tmp_path_factory: pytest.TempPathFactory, model_server: str
) -> Iterator[SandboxProcess]:
    process = SandboxProcess(
        tmp_path_factory.mktemp("sandbox"),
        "--responder=upstream",
        f"--upstream={model_server}",
        "--latency=0",
    )
    yield process
    process.kill()


@pytest.mark.slow
@pytest.mark.django_db
@pytest.mark.parametrize("key", SAMPLES)
def test_every_item_is_accepted_or_refused_with_its_reason(key, sandbox):
    options = SAMPLES[key]()

    run = start_run(key, limit=12, canary=False, **options)
    work_off(seconds=120)

    figures, results = run.figures(), list(run.results())
    assert run.status in (RunStatus.COMPLETED, RunStatus.FAILED)
    assert figures.open == 0
    assert len(results) == figures.items > 2
    assert Counter(result.status for result in results) == Counter(
        {
            ItemStatus.COMPLETE: figures.complete,
            ItemStatus.FAILED: figures.failed,
        }
    )
    for result in results:
        is_refused = result.status == ItemStatus.FAILED
        assert bool(result.error_code) == bool(result.error_message) == is_refused
        assert result.error_code not in ("apply_error", "schema_mismatch")
    assert figures.complete > 0, Counter(r.error_message for r in results)
    ends = (EventKind.RUN_COMPLETED, EventKind.RUN_FAILED)
    assert Event.objects.filter(run=run.row, kind__in=ends).exists()


@pytest.mark.slow
@pytest.mark.django_db
@pytest.mark.parametrize("key", SAMPLES)
def test_every_workload_does_what_the_engine_relies_on(key):
    check_workload(key, **SAMPLES[key]())
