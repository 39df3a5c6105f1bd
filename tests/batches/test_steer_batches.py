"""`manage.py steer_batches`: what it says first, and what it does."""

import json

import pytest
from django.core.management import CommandError, call_command

from batches.models import AuditEntry, BatchJob, Hold, OpenItem, Run
from batches.services.bundling import bundle
from batches.states import Priority, RunStatus
from tests.factories import make_collected_run, make_job

pytestmark = pytest.mark.django_db


@pytest.fixture
def steer(capsys):
    """Run the command; returns what it printed."""

    def call(*arguments: str) -> str:
        call_command("steer_batches", *arguments)
        return capsys.readouterr().out

    return call


def test_a_run_is_paused_and_resumed(steer):
    run = make_collected_run(items=2)

    said = steer("pause", f"--run={run.pk}", "--yes")

    assert said.startswith(f"pause run {run.pk} (captions): 2 items, at most $")
    assert said.endswith("are held.\nDone.\n")
    assert bundle() == []
    assert AuditEntry.objects.get().actor.startswith("steer_batches (")
    steer("resume", f"--run={run.public_id}", "--yes")
    assert len(bundle()) == 1


def test_a_dry_run_changes_nothing(steer):
    job = make_job(2)

    said = json.loads(steer("cancel", f"--job={job.pk}", "--dry-run", "--json"))

    assert (said["dry_run"], said["done"]) == (True, 0)
    assert said["effect"]["unsent_items"] == 2
    assert BatchJob.objects.get().intent == ""
    assert not AuditEntry.objects.exists()


def test_without_anybody_to_ask_nothing_is_done(steer):
    run = make_collected_run(items=1)

    with pytest.raises(CommandError, match="--yes"):
        steer("cancel", f"--run={run.pk}")

    assert OpenItem.objects.count() == 1


def test_an_account_is_put_on_hold_with_a_reason(steer):
    steer("pause", "--account=acme", "--reason=unpaid", "--yes")

    hold = Hold.objects.get()
    assert (hold.scope, hold.key, hold.message) == ("account", "acme", "unpaid")


def test_everything_is_cancelled(steer):
    make_collected_run(items=1)
    make_collected_run(items=1)

    said = steer("cancel", "--all", "--yes")

    assert "Done for 2 of 2." in said
    assert set(Run.objects.values_list("status", flat=True)) == {RunStatus.CANCELLED}


def test_the_priority_of_a_kind_of_work(steer):
    make_collected_run(items=1)

    steer("priority", "--workload=captions", "--to=low", "--yes")

    assert OpenItem.objects.get().priority == Priority.LOW


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["pause", "--run=999"], "There is no run 999"),
        (["pause", "--run=x"], "no run id"),
        (["pause", "--workload=nothing"], "No workload is called"),
        (["resume", "--all"], "There is no hold by hand on everything"),
        (["pause", "--account="], "Name the account"),
    ],
)
def test_what_cannot_be_is_said(steer, arguments, said):
    with pytest.raises(CommandError, match=said):
        steer(*arguments, "--yes")


def test_before_work_is_let_go_it_says_what_that_costs_and_what_is_left(
    steer, settings
):
    settings.MONTHLY_CAP_USD = "0.00001"
    run = make_collected_run(items=2)
    steer("pause", f"--run={run.pk}", "--yes")

    said = steer("resume", f"--run={run.pk}", "--dry-run")

    assert "Cost: probably $" in said
    assert "nine times of ten at most $" in said
    assert "Worst case, which is reserved: $" in said
    assert "Left of the monthly cap" in said
    assert "Raise MONTHLY_CAP_USD" in said

    as_json = json.loads(steer("resume", f"--run={run.pk}", "--dry-run", "--json"))
    cost = as_json["cost"]
    assert cost["guessed"] == 2
    assert 0 < float(cost["expected_usd"]) < float(cost["high_usd"])
    assert float(cost["high_usd"]) < float(cost["worst_usd"])
    assert cost["cap_left_usd"] == "0.000010000"


def test_what_sends_nothing_has_no_price(steer):
    run = make_collected_run(items=1)

    said = json.loads(steer("pause", f"--run={run.pk}", "--dry-run", "--json"))

    assert said["cost"] is None
