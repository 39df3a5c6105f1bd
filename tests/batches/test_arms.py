"""Prompts on trial: which subject is asked with which version, in every run."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batches.errors import BadOptions, BadPrompt, NotPossible
from batches.models import AuditEntry, BatchItem, ItemAttempt, Run
from batches.services.arms import read_arms, slot_of, weigh
from batches.services.collection import collect_run, plan_run
from batches.services.prompts import current_prompt, promote, write_version
from batches.workloads import Subject, get_workload, registered
from tests.batches.reusing import CheckedCaptions
from tests.driving import work_off
from tests.factories import make_paintings, make_run


@pytest.fixture
def captions():
    with registered(CheckedCaptions) as workload:
        yield workload


def write(text):
    workload = get_workload("checked_captions")
    return write_version(workload, text, note="", by="amina")


def try_on(version, weight):
    return weigh(version, weight, by="amina")


def versions_by_subject(run):
    rows = BatchItem.objects.filter(run=run)
    return dict(rows.values_list("object_id", "prompt_version__number"))


def collected():
    run = make_run("checked_captions")
    collect_run(run)
    return run


@given(st.text(), st.integers(1), st.text())
def test_every_subject_has_one_slot_of_a_hundred(workload, kind, key):
    slot = slot_of(workload, Subject(kind, key))

    assert 0 <= slot < 100
    assert slot == slot_of(workload, Subject(kind, key))


def make_subjects(count=200):
    make_paintings(*[f"painting {number}" for number in range(count)])


def arms_now():
    """{slot: version number} as the next run would have it."""
    arms = read_arms(get_workload("checked_captions"))
    return {slot: arms.trials.get(slot, arms.production).number for slot in range(100)}


@pytest.mark.django_db
def test_two_versions_share_200_subjects_and_none_ever_changes_arm(captions, sandbox):
    make_subjects()
    try_on(write("Write a rhyme."), 50)

    runs = [collected()]
    work_off(seconds=60)
    runs.append(collected())
    work_off(seconds=60)

    first, second = map(versions_by_subject, runs)
    assert len(first) == 200
    assert first == second
    shares = [list(first.values()).count(number) for number in (1, 2)]
    assert sum(shares) == 200
    assert min(shares) > 70
    tried = ItemAttempt.objects.values_list("item_id", "prompt_version")
    kept = BatchItem.objects.values_list("pk", "prompt_version")
    assert dict(tried) == dict(kept)
    assert Run.objects.get(pk=runs[1].pk).reused == 200  # each arm from its own


@pytest.mark.django_db
def test_a_request_carries_the_text_of_its_subjects_arm(captions):
    make_subjects(40)
    try_on(write("Write a rhyme."), 50)

    run = collected()

    for item in BatchItem.objects.filter(run=run).select_related(
        "request", "prompt_version"
    ):
        messages = json.loads(item.request.body)["messages"]
        assert messages[0]["content"] == item.prompt_version.text


@pytest.mark.django_db
def test_a_change_of_weights_moves_no_more_subjects_than_it_must(captions):
    rhyme, riddle = write("Write a rhyme."), write("Write a riddle.")
    try_on(rhyme, 10)
    try_on(riddle, 20)
    before = arms_now()

    try_on(rhyme, 30)
    more = arms_now()
    try_on(rhyme, 5)
    fewer = arms_now()

    assert sum(before[slot] != more[slot] for slot in before) == 20
    assert {more[s] for s in more if before[s] != more[s]} == {rhyme.number}
    assert sum(before[slot] != fewer[slot] for slot in before) == 5
    assert list(fewer.values()).count(riddle.number) == 20


@pytest.mark.django_db
def test_promoting_one_ends_its_trial_and_no_other(captions):
    rhyme, riddle = write("Write a rhyme."), write("Write a riddle.")
    try_on(rhyme, 10)
    try_on(riddle, 20)
    before = arms_now()

    promote(rhyme, by="amina")

    after = arms_now()
    assert {s for s in before if before[s] == riddle.number} == {
        s for s in after if after[s] == riddle.number
    }
    assert set(after.values()) == {rhyme.number, riddle.number}


@pytest.mark.django_db
@pytest.mark.parametrize("weight", [-1, 71, 100])
def test_trials_leave_production_its_subjects(captions, weight):
    rhyme, riddle = write("Write a rhyme."), write("Write a riddle.")
    try_on(riddle, 20)

    with pytest.raises(BadPrompt, match=f"have {weight} %.* from 0 to 70"):
        try_on(rhyme, weight)


@pytest.mark.django_db
def test_the_version_in_production_has_no_weight(captions):
    production = current_prompt(captions)

    with pytest.raises(NotPossible, match="every subject that no trial has"):
        try_on(production, 10)


@pytest.mark.django_db
def test_weights_are_audited(captions):
    version = write("Write a rhyme.")

    try_on(version, 10)
    try_on(version, 0)

    entries = AuditEntry.objects.filter(action="prompt.weigh").order_by("pk")
    assert [(e.before, e.after) for e in entries] == [
        ({"weight": 0}, {"weight": 10}),
        ({"weight": 10}, {"weight": 0}),
    ]


@pytest.mark.django_db
def test_a_run_may_name_its_version(captions):
    make_subjects(5)
    version = write("Write a rhyme.")

    run = make_run("checked_captions", prompt=version.number)
    collect_run(run)

    assert set(versions_by_subject(run).values()) == {version.number}
    with pytest.raises(BadOptions, match="prompt 9: there is no such version.* 1, 2"):
        plan_run("checked_captions", {"prompt": 9})


@pytest.mark.django_db
def test_what_an_answer_asks_for_stays_in_its_arm(sandbox):
    make_paintings("one", "two")
    version = write_version(
        get_workload("captions"), "Write a rhyme.", note="", by="amina"
    )

    run = make_run(prompt=version.number, follow_ups=1)
    work_off()

    items = BatchItem.objects.filter(run=run)
    assert items.count() == 4
    assert set(items.values_list("prompt_version", flat=True)) == {version.pk}
