"""Reference translations, and approved ones, as golden cases."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from batches.models import GoldenCase, GoldenResult
from batches.monitoring.golden import standing
from batches.services.collection import collect_run, start_run
from batches.services.golden import add_cases, reworded
from batches.services.preview import preview
from batches.services.prompts import current_prompt, write_version
from batches.states import Trigger
from batches.workloads import get_workload
from tests.driving import work_off
from translations.golden import cases_of
from translations.lessons.models import Course, Lesson, Quiz, QuizQuestion
from translations.lessons.references import SHIPPED, Reference
from translations.lessons.references import cases_of as reference_cases
from translations.models import ReviewStatus, Translation

pytestmark = pytest.mark.django_db


def add_references(*args):
    out, err = StringIO(), StringIO()
    call_command("add_references", *args, stdout=out, stderr=err)
    return out.getvalue() + err.getvalue()


def run_on(workload, options):
    run = start_run(workload, options, trigger=Trigger.COMMAND, canary=False)
    collect_run(run)
    work_off(seconds=60)
    return run


@pytest.fixture
def lesson():
    course = Course.objects.create(external_id="course-1", title="Akadeemiyadda")
    return Lesson.objects.create(
        course=course,
        external_id="lesson-1",
        title="Hurdada carruurta",
        body="<p>Ilmuhu wuxuu u baahan yahay hurdo fiican si uu u koro.</p>",
        body_format="html",
    )


def test_the_shipped_references_are_added_once_and_need_no_lessons():
    lines = len(SHIPPED.read_text("utf-8").splitlines())

    assert f"Added {lines} cases" in add_references()
    assert "Added 0 cases" in add_references()

    case = GoldenCase.objects.get(name="lesson-01: title, en")
    assert case.reference == "Listening to your child"
    message = json.loads(json.loads(case.body)["messages"][1]["content"])
    assert message["segments"][0]["text"] == "Dhegaysiga ilmahaaga"
    assert not Lesson.objects.exists()


def test_a_dry_run_writes_nothing():
    assert "Nothing was written" in add_references("--dry-run")
    assert not GoldenCase.objects.exists()


ROW = {
    "object_id": "a",
    "field": "title",
    "format": "text",
    "source_language": "so",
    "target_language": "en",
    "source": "Hurdo",
    "target": "Sleep",
}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"target": ""}, "line 2: target: String should have at least 1"),
        ({"field": "colour"}, "line 2: field 'colour' is none of title"),
        ({"format": "pdf"}, "line 2: format 'pdf' is none of text, html"),
        ({"target_language": "english"}, "target_language 'english' is none of tags"),
    ],
)
def test_a_line_that_cannot_be_used_is_named(tmp_path, changes, words):
    file = tmp_path / "own.jsonl"
    file.write_text(f"{json.dumps(ROW)}\n{json.dumps({**ROW, **changes})}\n")

    with pytest.raises(CommandError, match=words):
        add_references(str(file))
    assert not GoldenCase.objects.exists()


def test_a_file_that_is_not_there_is_said():
    with pytest.raises(CommandError, match="nowhere.jsonl cannot be read"):
        add_references("nowhere.jsonl")


@pytest.mark.slow
def test_a_candidate_is_measured_against_the_references(sandbox):
    add_references()
    production = current_prompt(get_workload("translation"))
    text = production.text.replace("in simple words", "in plain words")
    candidate = write_version(
        get_workload("translation"), text, note="plain", by="amina"
    )
    for version in (production, candidate):
        run_on("golden", {"of": "translation", "prompt": version.number})

    found = standing(candidate, production)

    assert found.summary.answered == found.other_summary.answered == 72
    # The sandbox knows these texts, and answers alike whatever the prompt says.
    assert found.summary.chrf == found.other_summary.chrf > 90
    assert (found.better, found.worse) == (0, 0)
    assert not Translation.objects.exists()


def test_the_model_is_asked_as_it_would_be_about_a_lesson(lesson):
    """A reference's request differs from the lesson's own in the context alone."""
    row = {**ROW, "source": lesson.title, "object_id": lesson.external_id}
    (real,) = preview(
        "translation",
        {"languages": ["en"], "fields": ["title"]},
        f"translations_lessons.lesson:{lesson.pk}",
    ).requests

    ((case,), _) = reference_cases([Reference(**row)])

    sent, kept = json.loads(real.body), case.request.body
    assert sent["messages"][0] == kept["messages"][0]
    message = json.loads(kept["messages"][1]["content"])
    asked = json.loads(sent["messages"][1]["content"])
    assert {name for name in asked if asked[name] != message[name]} == {"context"}


@pytest.mark.parametrize(
    ("workload", "options", "key"),
    [
        ("translation", {"languages": ["ar"]}, "translations_lessons.lesson:{}"),
        ("summary", {}, "{}"),
        ("dictionary", {}, "en:patience"),
        ("word_features", {}, "en:patience"),
    ],
)
def test_a_request_under_its_own_prompt_is_the_same_request(
    lesson, workload, options, key
):
    lesson.body *= 10  # long enough to be summarised
    lesson.save()
    found = preview(workload, options, key.format(lesson.pk))
    workload = get_workload(workload)

    assert found.requests
    for shown in found.requests:
        body = json.loads(shown.body)
        assert reworded(workload, body, found.version.text) == body
        changed = reworded(workload, body, "Else, in $language.")
        assert changed["messages"][1:] == body["messages"][1:]
        assert changed["messages"][0]["content"].startswith("Else, in ")


def test_a_question_under_its_own_prompt_is_the_same_request(lesson):
    quiz = Quiz.objects.create(lesson=lesson, title="Su'aalo")
    question = QuizQuestion.objects.create(
        quiz=quiz,
        external_id="q-1",
        question="Maxay ilmuhu u baahan yihiin?",
        options=["Hurdo", "Shaah", "Lacag"],
        correct_answer=0,
    )

    found = preview("quiz_improvement", {}, str(question.pk))

    (shown,) = found.requests
    body = json.loads(shown.body)
    workload = get_workload("quiz_improvement")
    assert reworded(workload, body, found.version.text) == body


# --- approved translations ------------------------------------------------------------


@pytest.fixture
def approved(sandbox, lesson):
    """The lesson's title in English, approved by a person with a change."""
    run_on(
        "translation",
        {
            "languages": ["en"],
            "content": ["translations_lessons.lesson"],
            "fields": ["title"],
        },
    )
    unit = Translation.objects.get()
    made = unit.latest
    made.pk, made.parent_id, made.number = None, unit.latest_id, 2
    made.origin, made.item_id, made.text = "person", None, "Sleep of children"
    made.save()
    unit.latest, unit.status, unit.is_kept = made, ReviewStatus.APPROVED, True
    unit.save()
    return unit


def test_an_approved_translation_becomes_a_case_with_its_text(approved):
    cases, refused = cases_of([approved])

    assert not refused
    assert add_cases(cases, by="amina") == 1
    case = GoldenCase.objects.get()
    assert case.reference == "Sleep of children"
    production = current_prompt(get_workload("translation"))
    run_on("golden", {"of": "translation", "prompt": production.number})
    assert GoldenResult.objects.get().score is not None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"is_kept": False}, "Nobody has approved or edited it"),
        ({"status": ReviewStatus.PENDING_REVIEW}, "Nobody has approved or edited it"),
        ({"latest": None}, "Nobody has approved or edited it"),
    ],
)
def test_what_nobody_approved_is_refused_with_its_reason(approved, changes, words):
    for name, value in changes.items():
        setattr(approved, name, value)

    cases, refused = cases_of([approved])

    assert cases == []
    ((reason, count),) = refused.items()
    assert (count, words in reason) == (1, True)


def test_what_no_model_was_asked_for_is_refused(approved):
    approved.latest.parent = None

    assert cases_of([approved])[1] == {"No request of a model stands behind it.": 1}


def test_what_was_asked_of_another_source_is_refused(approved):
    approved.latest.source_hash = "another"

    assert cases_of([approved])[1] == {
        "Its source has changed since it was asked for.": 1
    }
