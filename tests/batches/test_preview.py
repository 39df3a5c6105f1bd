"""The exact requests for one chosen subject, before anything is sent."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from batches.errors import BadOptions
from batches.models import BatchItem, ItemRequest, OpenItem, Run
from batches.services.collection import collect_run, start_run
from batches.services.preview import preview
from batches.services.prompts import write_version
from batches.states import Trigger
from batches.workloads import get_workload
from tests.factories import make_collected_run, make_paintings
from translations.lessons.models import Course, Lesson

pytestmark = pytest.mark.django_db

LESSONS = {"languages": ["ar"], "content": ["translations_lessons.lesson"]}


@pytest.fixture
def lesson():
    course = Course.objects.create(external_id="course-1", title="Akadeemiyadda")
    return Lesson.objects.create(
        course=course, external_id="lesson-1", title="Hurdada carruurta"
    )


def show(*args):
    out = StringIO()
    call_command("run_workload", *args, stdout=out, stderr=StringIO())
    return out.getvalue()


def test_a_preview_is_what_a_run_then_sends():
    (painting,) = make_paintings("A boat")

    found = preview("captions", {}, str(painting.pk))
    assert not Run.objects.exists()
    run = make_collected_run(items=0)

    (shown,) = found.requests
    assert shown.body == ItemRequest.objects.get(item__run=run).body
    waiting = OpenItem.objects.get(run=run)
    assert shown.costs.input_tokens == waiting.input_tokens
    assert shown.costs.worst == run.estimate_nanos
    assert shown.costs.expected == run.expected_nanos


def test_without_a_key_it_is_the_first_subject_that_needs_work():
    first, _ = make_paintings("A boat", "A hill")

    assert preview("captions", {}).subject.object_id == str(first.pk)


def test_a_version_is_previewed_before_it_has_any_weight():
    make_paintings("A boat")
    version = write_version(
        get_workload("captions"), "Write a rhyme.", note="", by="amina"
    )

    found = preview("captions", {"prompt": version.number})

    messages = json.loads(found.requests[0].body)["messages"]
    assert messages[0]["content"] == "Write a rhyme."
    assert found.version == version


def test_what_is_current_can_be_looked_at_too(sandbox, lesson):
    run = start_run("translation", LESSONS, trigger=Trigger.COMMAND, canary=False)
    collect_run(run)

    one = preview("translation", LESSONS, str(lesson.pk))
    other = preview(
        "translation", {"languages": ["ar"]}, f"translations_lessons.lesson:{lesson.pk}"
    )

    assert [shown.target for shown in one.requests] == ["title:ar"]
    assert one.requests == other.requests
    (item,) = BatchItem.objects.filter(run=run).select_related("request")
    assert one.requests[0].body == item.request.body


@pytest.mark.parametrize(
    ("workload", "options", "key", "words"),
    [
        ("captions", {}, "12345", "no picture '12345'"),
        ("captions", {}, "", "nothing needs work now"),
        ("translation", LESSONS, "12345", "no lesson '12345'"),
        ("translation", {"languages": ["ar"]}, "5", "name it as the only content"),
        ("translation", LESSONS, "five", "'five' is no key"),
        ("summary", {}, "five", "valid integer"),
        ("dictionary", {}, "x1", "no word 'x1'"),
    ],
)
def test_a_subject_that_is_not_there_is_refused_by_name(workload, options, key, words):
    with pytest.raises(BadOptions, match=words):
        preview(workload, options, key)


def test_words_are_previewed_by_their_key():
    found = preview("dictionary", {}, "en:patience")

    assert found.subject.object_id == "en:patience"
    assert "patience" in found.requests[0].body


def test_the_shell_prints_the_request_its_tokens_and_its_price(lesson):
    args = ["translation", "--content=translations_lessons.lesson", "--language=ar"]

    text = show(*args, "--show-request", str(lesson.pk))
    found = json.loads(show(*args, f"--show-request={lesson.pk}", "--json"))

    (shown,) = found["requests"]
    sent = json.loads(shown["body"])
    assert "Hurdada carruurta" in sent["messages"][1]["content"]
    assert json.dumps(sent, ensure_ascii=False, indent=2) in text
    assert f"{shown['input_tokens']:,} tokens in" in text
    assert f"at worst ${shown['worst_usd']}" in text
    assert 0 < float(shown["expected_usd"]) < float(shown["worst_usd"])
    assert not Run.objects.exists()


def test_the_shell_says_in_one_sentence_what_is_not_there():
    with pytest.raises(CommandError, match="no picture '77'"):
        show("captions", "--show-request", "77")
