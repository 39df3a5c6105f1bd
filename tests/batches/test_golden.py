"""The golden set: a candidate is asked what production was asked, and compared."""

import json

import pytest

from batches.errors import BadOptions, NotPossible
from batches.models import (
    AuditEntry,
    BatchItem,
    Cap,
    GoldenCase,
    GoldenResult,
    ItemRequest,
    Run,
)
from batches.monitoring.golden import standing, was_tried
from batches.services import golden
from batches.services.collection import collect_run, plan_run, start_run
from batches.services.golden import add_cases, case_of_item, delete_case, reworded
from batches.services.prompts import current_prompt, write_version
from batches.services.recount import recount
from batches.states import CapPeriod, CapScope, ItemStatus, Trigger
from batches.workloads import get_workload, registered
from tests.batches.reusing import CheckedCaptions
from tests.driving import work_off
from tests.factories import make_paintings, make_run
from tests.gallery.models import Caption

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def workload():
    with registered(CheckedCaptions) as found:
        yield found


def answered(*titles):
    """Finished items about pictures with these titles."""
    make_paintings(*titles)
    run = make_run("checked_captions")
    collect_run(run)
    work_off()
    items = BatchItem.objects.filter(run=run).order_by("pk")
    return list(items.select_related("prompt_version"))


def add(items, reference=""):
    cases = [
        case_of_item(item, name=f"case {item.pk}", reference=reference)
        for item in items
    ]
    return add_cases(cases, by="amina")


def try_version(version, **given):
    options = {"of": "checked_captions", "prompt": version.number}
    run = start_run("golden", options, trigger=Trigger.ADMIN, canary=False, **given)
    collect_run(run)
    return run


@pytest.fixture
def candidate():
    return write_version(
        get_workload("checked_captions"), "Write a rhyme.", note="", by="amina"
    )


def test_a_case_keeps_what_was_asked_and_is_there_once(sandbox):
    items = answered("A boat", "A hill")

    assert add(items, reference="A small boat") == 2
    assert add(items) == 0

    case = GoldenCase.objects.order_by("pk").first()
    assert json.loads(case.body)["messages"][1]["content"] == "A boat"
    assert "model" not in json.loads(case.body)
    assert (case.origin, case.added_by) == ("picked", "amina")
    assert AuditEntry.objects.get(action="golden.add").after == {"cases": 2}


def test_a_candidate_is_asked_the_same_with_its_own_prompt(sandbox, candidate):
    add(answered("A boat"), reference="A small boat")
    captions = Caption.objects.count()

    run = try_version(candidate)
    work_off()

    (item,) = BatchItem.objects.filter(run=run)
    body = json.loads(ItemRequest.objects.get(item=item).body)
    assert [m["content"] for m in body["messages"]] == ["Write a rhyme.", "A boat"]
    assert item.prompt_version == candidate
    result = GoldenResult.objects.get(item=item)
    assert 0 <= result.chrf <= 100
    assert json.loads(result.text)["caption"]
    assert Caption.objects.count() == captions  # no content changes
    assert recount(repair=False) == []


def test_each_case_shows_the_difference_to_production(sandbox, candidate):
    items = answered("A boat", "BAD hill", "A tree")
    add(items[:2], reference="A small boat")
    add(items[2:])
    production = current_prompt(get_workload("checked_captions"))
    for version in (production, candidate):
        try_version(version)
    work_off()

    found = standing(candidate, production)

    assert [line.case.pk for line in found.lines] == sorted(
        GoldenCase.objects.values_list("pk", flat=True)
    )
    first, second, third = found.lines
    assert first.chrf_difference == (first.trial.result.chrf - first.other.result.chrf)
    assert second.trial.result.errors == "dull,too_long"
    assert third.chrf_difference is None  # it has no reference
    mine, theirs = found.summary, found.other_summary
    assert (mine.cases, mine.answered, mine.failed, mine.with_errors) == (3, 3, 0, 1)
    assert mine.chrf == (first.trial.result.chrf + second.trial.result.chrf) / 2
    assert mine.cost_nanos > 0
    assert theirs.answered == 3
    assert was_tried(candidate)


def test_what_fails_is_shown_as_failed(sandbox, candidate):
    (item,) = answered("A boat")
    add([item])
    GoldenCase.objects.update(body=GoldenCase.objects.get().body.replace("boat", "ODD"))

    try_version(candidate)
    work_off()

    (line,) = standing(candidate, None).lines
    assert line.trial.item.status == ItemStatus.FAILED
    assert line.trial.item.error_code == "schema_mismatch"
    assert line.trial.result is None
    assert standing(candidate, None).summary.failed == 1
    assert not was_tried(candidate)


def test_the_same_version_again_costs_nothing(sandbox, candidate):
    add(answered("A boat"))
    try_version(candidate)
    work_off()

    plan = plan_run("golden", {"of": "checked_captions", "prompt": candidate.number})
    again = try_version(candidate)
    work_off()

    again.refresh_from_db()
    assert (plan.items, plan.reused, plan.costs.worst) == (1, 1, 0)
    assert again.reused == 1
    assert GoldenResult.objects.count() == 2


def test_it_is_capped_as_any_run(sandbox, candidate):
    add(answered("A boat"))
    Cap.objects.create(
        scope=CapScope.WORKLOAD, key="golden", period=CapPeriod.EVER, most_nanos=1
    )

    run = try_version(candidate)
    work_off(until=lambda: Run.objects.get(pk=run.pk).waiting_reason != "")

    run.refresh_from_db()
    assert "cap" in run.waiting_reason
    assert not GoldenResult.objects.exists()


def test_a_case_that_was_deleted_meanwhile_fails_its_item_alone(sandbox, candidate):
    add(answered("A boat", "A hill"))
    run = try_version(candidate)
    delete_case(GoldenCase.objects.order_by("pk").first(), by="amina")

    work_off()

    outcomes = BatchItem.objects.filter(run=run).order_by("pk")
    assert list(outcomes.values_list("status", "error_code")) == [
        (ItemStatus.FAILED, "subject_gone"),
        (ItemStatus.COMPLETE, ""),
    ]
    assert AuditEntry.objects.filter(action="golden.delete").count() == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"prompt": 1}, "of.*Field required"),
        ({"of": "captions"}, "prompt.*Field required"),
        ({"of": "nothing", "prompt": 1}, "there are .*captions"),
        ({"of": "golden", "prompt": 1}, "there is no such kind of work"),
        ({"of": "captions", "prompt": 9}, "captions: prompt 9: there is no such"),
    ],
)
def test_what_cannot_be_tried_is_refused_by_name(options, words):
    with pytest.raises(BadOptions, match=words):
        plan_run("golden", options)


def test_the_set_is_bounded(sandbox, monkeypatch):
    items = answered("A boat", "A hill")
    monkeypatch.setattr(golden, "MOST_CASES", 1)

    with pytest.raises(NotPossible, match="more than 1 cases"):
        add(items)
    assert not GoldenCase.objects.exists()


def test_a_request_whose_prompt_is_not_its_first_message_is_refused(sandbox):
    (item,) = answered("A boat")
    ItemRequest.objects.filter(item=item).update(
        body='{"model": "m", "messages": [{"role": "system", "content": "Else."}]}'
    )

    with pytest.raises(NotPossible, match="does not begin with the prompt"):
        case_of_item(item, name="x", reference="")


def test_another_prompt_leaves_everything_else_as_it_was(workload):
    body = {"messages": [{"role": "system", "content": "a"}, {"content": "b"}], "n": 1}

    assert reworded(workload, body, "c") == {
        "messages": [{"role": "system", "content": "c"}, {"content": "b"}],
        "n": 1,
    }
