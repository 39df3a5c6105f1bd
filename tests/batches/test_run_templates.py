"""Run templates: what is kept of a run, started again, by hand and by the clock."""

import json
from io import StringIO

import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.utils import timezone
from django_q.models import Schedule

from batches.errors import BadOptions, UnknownWorkload
from batches.models import Alert, AuditEntry, BatchItem, Run, RunTemplate
from batches.schedules import sync_schedules
from batches.services.run_templates import (
    remove_template,
    save_template,
    start_template,
    template_of,
)
from batches.states import CanaryState, Priority, Trigger
from batches.tasks import run_template
from tests.factories import make_paintings, make_run

pytestmark = pytest.mark.django_db


def make_template(name="all pictures", **given):
    given = {"workload": "captions", "options": {}, **given}
    return save_template(RunTemplate(name=name, **given), by="ada")


def call(*args):
    out = StringIO()
    call_command("run_template", *args, stdout=out, stderr=StringIO())
    return out.getvalue()


def test_a_template_asks_for_what_its_run_asked_for():
    owner = get_user_model().objects.create_user("ada")
    run = make_run(
        kind="photo",
        owner=owner,
        limit=5,
        budget_nanos=7,
        account="a",
        priority=Priority.HIGH,
        may_wait=True,
        force_refresh=True,
    )
    template = save_template(template_of(run, name="photos"), by="ada")

    again = start_template(template, trigger=Trigger.ADMIN, owner=owner)

    same = ("workload", "options", "owner", "limit", "budget_nanos", "account")
    same += ("priority", "may_wait", "force_refresh", "canary_state")
    for name in same:
        assert getattr(again, name) == getattr(run, name), name
    assert again.canary_state == CanaryState.OFF
    assert again.schedule == f"template:{template.pk}"


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"name": " "}, BadOptions, "Give the template a name"),
        ({"workload": "x"}, UnknownWorkload, "No workload is called 'x'"),
        ({"options": {"kind": "statue"}}, BadOptions, "captions: kind 'statue'"),
        ({"options": [1]}, BadOptions, r"The options are \[1\]"),
        ({"limit": 0}, BadOptions, "The limit is 0"),
        ({"budget_nanos": 0}, BadOptions, "more than 0 dollars"),
        ({"cron": "often"}, BadOptions, "'often'; give a cron line of five"),
        ({"cron": "0 3 * * 1 *"}, BadOptions, "five fields"),
    ],
)
def test_a_template_whose_runs_could_not_start_is_not_kept(given, error, words):
    with pytest.raises(error, match=words):
        make_template(**given)

    assert not RunTemplate.objects.exists()
    assert not AuditEntry.objects.exists()


def test_names_are_taken_once():
    make_template()

    with pytest.raises(BadOptions, match="“all pictures” already"):
        make_template()


def test_each_change_is_in_the_audit_log():
    template = make_template()
    template.limit = 9
    save_template(template, by="bob")
    remove_template(template, by="cleo")

    told = list(AuditEntry.objects.order_by("pk"))
    assert [(entry.action, entry.actor) for entry in told] == [
        ("template.add", "ada"),
        ("template.change", "bob"),
        ("template.remove", "cleo"),
    ]
    assert (told[1].before["limit"], told[1].after["limit"]) == (None, 9)


# --- by the clock ---------------------------------------------------------------------


@pytest.fixture
def schedules():
    def named():
        rows = Schedule.objects.filter(name__startswith="batchsite template")
        return {row.args: row.cron for row in rows}

    return named


def test_schedules_follow_their_templates(schedules):
    template = make_template(cron="0 3 * * 1")
    make_template("by hand")
    sync_schedules()
    assert schedules() == {f"({template.pk},)": "0 3 * * 1"}

    template.cron = "0 4 * * *"
    save_template(template, by="ada")
    sync_schedules()
    assert schedules() == {f"({template.pk},)": "0 4 * * *"}

    remove_template(template, by="ada")
    sync_schedules()
    assert schedules() == {}


def test_a_due_time_starts_one_run_of_its_owner(settings):
    settings.BATCH_CREATION_ENABLED = True
    owner = get_user_model().objects.create_user("ada")
    template = make_template(cron="0 3 * * 1", owner=owner)
    due = timezone.now().isoformat()

    said = [run_template(template.pk, due=due), run_template(template.pk, due=due)]

    run = Run.objects.get()
    assert said == [f"run {run.pk}", "started before"]
    assert (run.owner, run.trigger) == (owner, Trigger.SCHEDULE)


def test_a_run_that_was_due_and_cannot_start_is_told(settings):
    settings.BATCH_CREATION_ENABLED = True
    template = make_template(cron="0 3 * * 1")
    RunTemplate.objects.filter(pk=template.pk).update(options={"model": "house-model"})

    run_template(template.pk, due=timezone.now().isoformat())

    alert = Alert.objects.get()
    assert alert.code == "template_not_started"
    assert "“all pictures”" in alert.message and "house-model" in alert.message
    assert not Run.objects.exists()


def test_what_is_removed_or_no_longer_scheduled_starts_nothing(settings):
    settings.BATCH_CREATION_ENABLED = True
    template = make_template()
    due = timezone.now().isoformat()

    assert run_template(template.pk, due=due) == "no longer scheduled"
    assert run_template(template.pk + 1, due=due) == "no longer scheduled"
    assert not Run.objects.exists()


# --- the command ----------------------------------------------------------------------


def test_the_command_keeps_a_run_and_starts_it_again():
    make_paintings("one", "two")
    run = make_run(limit=1)

    assert "Kept “mine”" in call("mine", f"--save={run.public_id}")
    assert call("--list") == "mine: captions, by hand\n"
    assert "Would make 1 item of 1 subject, probably $0" in call("mine", "--dry-run")
    assert Run.objects.count() == 1
    said = json.loads(call("mine", "--json"))

    again = Run.objects.get(public_id=said["run"])
    assert (said["items"], again.limit) == (1, 1)
    assert BatchItem.objects.filter(run=again).count() == 1
    assert AuditEntry.objects.filter(action="run.start").exists()


def test_the_command_schedules_what_it_keeps(schedules):
    run = make_run()

    call("mine", f"--save={run.pk}", "--cron=0 3 * * 1", "--dry-run")
    assert not RunTemplate.objects.exists()
    call("mine", f"--save={run.pk}", "--cron=0 3 * * 1")

    assert list(schedules().values()) == ["0 3 * * 1"]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ((), "Name a template, or say --list"),
        (("nothing",), "no template 'nothing'; there is none"),
        (("mine", "--save=77"), "There is no run 77"),
        (("mine", "--save=x"), "There is no run x"),
        (("mine", "--cron=* * * * *"), "--cron goes with --save"),
    ],
)
def test_what_cannot_be_is_told(args, words):
    with pytest.raises(CommandError, match=words):
        call(*args)
