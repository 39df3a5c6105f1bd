"""The commands as an operator meets them: words, exit status, and no traceback."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from batches.models import BatchItem, BatchJob, ConfigOverride, JobShare, Run
from batches.services.bundling import bundle
from batches.states import JobStatus
from tests.factories import make_collected_run, make_job, make_paintings

pytestmark = pytest.mark.django_db


def run(*args: str) -> str:
    out = StringIO()
    call_command(*args, stdout=out, stderr=StringIO())
    return out.getvalue()


def test_run_workload_prints_one_json_object():
    make_paintings("one", "two")

    said = json.loads(run("run_workload", "captions", "--json"))

    assert said["items"] == 2
    assert said["jobs"] == 1
    assert Run.objects.get(public_id=said["run"]).items_collected == 2
    assert 0 < float(said["expected_usd"]) < float(said["high_usd"])
    assert float(said["high_usd"]) < float(said["estimate_usd"])


def test_run_workload_with_nothing_to_do_is_no_error():
    assert "Nothing to do" in run("run_workload", "captions")


def test_a_dry_run_says_what_it_would_be_and_writes_nothing():
    make_paintings("one", "two")

    said = run("run_workload", "captions", "--dry-run")

    assert "Would make 2 items of 2 subjects" in said
    assert "(a first guess for 2 of them" in said
    assert "Worst case, which is reserved: $0.00" in said
    assert "The same in real time: probably $0.00" in said
    assert not Run.objects.exists()


@pytest.mark.parametrize("limit", ["0", "-1", "x", "1.5"])
def test_a_limit_that_is_no_positive_number_is_refused(limit):
    with pytest.raises(CommandError, match=f"--limit.*{limit}"):
        run("run_workload", "captions", f"--limit={limit}")

    assert not Run.objects.exists()


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["nothing"], "No workload is called 'nothing'"),
        (["captions", "--model", "gpt-nonsense"], "No price is known"),
        (["captions", "--endpoint", "/v1/videos"], "cannot be used"),
        (["translation", "--language", "xx"], "no language tag"),
        (["translation", "--language", "english"], "no language tag"),
        (["captions", "--budget", "cheap"], "no amount of dollars"),
        (["captions", "--budget", "-1"], "more than 0 dollars"),
        (["captions", "--budget", "0"], "more than 0 dollars"),
        (["captions", "--budget", "NaN"], "more than 0 dollars"),
        (["captions", "--budget", "0.0000000001"], "more than 0 dollars"),
        (["captions", "--budget", "1e400"], r"cannot be meant; at most \$1,000,000"),
        (["captions", "--priority", "urgent"], "invalid choice"),
    ],
)
def test_what_cannot_be_asked_for_is_refused_in_one_sentence(args, words):
    with pytest.raises(CommandError, match=words):
        run("run_workload", *args)

    assert not Run.objects.exists()


def test_process_batches_until_done_does_it_all(sandbox):
    make_collected_run(items=3)

    said = run("process_batches", "--until-done")

    assert "made 1 job, sent 1, ended 1" in said
    assert BatchJob.objects.get().status == JobStatus.PROCESSED


def test_process_batches_with_nothing_to_do_is_no_error():
    assert run("process_batches").strip() == "Nothing to do."
    assert run("process_batches", "--until-done").strip() == "Nothing to do."


def test_a_sandbox_that_is_down_ends_the_command_with_what_to_do(settings, tmp_path):
    settings.SPOOL_DIR = tmp_path
    settings.SANDBOX_URL = "http://127.0.0.1:9/v1"
    make_job()

    with pytest.raises(CommandError, match="python manage.py sandbox"):
        run("process_batches")


@pytest.mark.parametrize(
    "switch", ["BATCH_CREATION_ENABLED", "BATCH_PROCESSING_ENABLED"]
)
def test_a_switch_that_is_off_keeps_jobs_from_being_made(switch):
    ConfigOverride.objects.create(name=switch, value=False)
    make_collected_run(items=1)

    run("process_batches")

    assert not BatchJob.objects.exists()


def test_staging_keeps_everything_from_going_out(settings):
    settings.STAGING = True
    make_collected_run(items=1)

    run("process_batches", "--until-done")

    assert not BatchJob.objects.exists()


def test_an_override_that_cannot_be_used_is_named():
    ConfigOverride.objects.create(name="BATCH_MAX_REQUESTS", value="many")
    make_collected_run(items=1)

    with pytest.raises(
        CommandError, match="BATCH_MAX_REQUESTS is 'many' in its override"
    ):
        run("process_batches")


def test_recount_finds_a_wrong_figure_and_mends_it():
    make_job(items=2)
    JobShare.objects.update(sent=7)

    with pytest.raises(CommandError, match="1 difference"):
        run("recount", "--check")
    assert JobShare.objects.get().sent == 7

    run("recount")
    assert JobShare.objects.get().sent == 2
    assert json.loads(run("recount", "--check", "--json")) == {"differences": []}


def test_recount_finds_what_a_constraint_would_have_refused():
    make_job(items=2)
    lost = BatchItem.objects.first()
    lost.open.delete()
    BatchItem.objects.filter(pk=lost.pk).delete()

    out = StringIO()
    with pytest.raises(CommandError):
        call_command("recount", "--check", "--json", stdout=out)

    found = json.loads(out.getvalue())["differences"]
    assert {"batches_itemrequest", "batches_run"} <= {d["table"] for d in found}


@pytest.mark.parametrize("kind", ["run", "job", "item"])
def test_explain_tells_the_verdict_the_history_and_the_next_step(sandbox, kind):
    make_collected_run(items=2)
    run("process_batches", "--until-done")
    key = {
        "run": str(Run.objects.get().public_id),
        "job": str(BatchJob.objects.get().pk),
        "item": str(BatchItem.objects.first().pk),
    }[kind]

    said = run("explain", kind, key)
    told = json.loads(run("explain", kind, key, "--json"))

    assert said.splitlines()[1].startswith("Done")
    assert "Next: Nothing: it is finished." in said
    assert told["history"]


def test_explain_says_why_an_item_failed():
    make_paintings("TOO LARGE")
    make_collected_run(items=0)
    bundle()

    said = run("explain", "item", str(BatchItem.objects.get().pk))

    assert "Failed: It is large." in said


@pytest.mark.parametrize("args", [("run", "77"), ("job", "x"), ("item", "-1")])
def test_explaining_what_is_not_there_is_one_sentence(args):
    with pytest.raises(CommandError, match="no .* id|There is no|invalid"):
        run("explain", *args)


@pytest.mark.slow
def test_a_run_that_cannot_be_collected_ends_the_command_when_the_rest_is_done(sandbox):
    make_paintings("one")
    call_command("run_workload", "captions", "--limit=1", stdout=StringIO())
    stuck = make_collected_run(items=0)
    Run.objects.filter(pk=stuck.pk).update(
        options={"model": "gpt-nonsense"},
        collected_at=None,
        finished_at=None,
        status="collecting",
    )

    with pytest.raises(CommandError, match="No price is known"):
        run("process_batches", "--until-done")

    assert BatchJob.objects.get().status == JobStatus.PROCESSED
