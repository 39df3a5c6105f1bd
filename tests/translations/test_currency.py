"""What is current, what is out of date, and answers that are held back."""

import json

import pytest

from batches.models import (
    BatchItem,
    BatchJob,
    ConfigOverride,
    ItemRequest,
)
from batches.services.bundling import bundle
from batches.services.collection import collect_run, start_run
from batches.services.submission import submit_jobs
from batches.states import JobStatus, Trigger
from batches.workloads import get_workload
from tests.driving import later, poll_until, work_off
from tests.translations.translating import collect, make_lesson, translate, unit
from translations.lessons.models import Lesson

pytestmark = pytest.mark.django_db


def test_what_is_current_is_not_collected_again(sandbox, course):
    make_lesson(course, body="<p>Hooyo</p>")
    translate("en")

    again = translate("en")

    assert again.items_collected == 0


def test_a_changed_source_makes_its_translation_stale_and_is_collected_again(
    sandbox, course
):
    lesson = make_lesson(course, body="<p>Hooyo</p>")
    translate("en")
    lesson.title = "Wax kale"
    lesson.save()

    assert unit(lesson, "title", "en").is_stale
    assert not unit(lesson, "body", "en").is_stale
    again = translate("en")

    assert again.items_collected == 1
    fresh = unit(lesson, "title", "en")
    assert (fresh.is_stale, fresh.versions_made) == (False, 2)


def test_a_source_that_changes_back_is_not_stale(sandbox, course):
    lesson = make_lesson(course)
    translate("en")
    before = lesson.title
    for title in ("Wax kale", before):
        lesson.title = title
        lesson.save()

    assert not unit(lesson, "title", "en").is_stale


def test_a_source_that_changes_on_the_way_arrives_stale_and_is_not_published(
    sandbox, course
):
    ConfigOverride.objects.create(name="TRANSLATION_PUBLISH", value="all")
    lesson = make_lesson(course, title="Hurdada carruurta")
    collect("en")
    Lesson.objects.filter(pk=lesson.pk).update(title="Wax kale")

    work_off()

    late = unit(lesson, "title", "en")
    assert (late.is_stale, late.published) == (True, None)
    assert late.latest.text == "Children's sleep"


def test_an_answer_that_lacks_a_segment_is_held_back(course):
    make_lesson(course, body="<p>Kow</p><p>Laba</p>")
    options = {"languages": ["en"], "fields": ["body"]}
    collect_run(start_run("translation", options, trigger=Trigger.COMMAND))
    workload = get_workload("translation")
    item = BatchItem.objects.get()

    verdict = workload.judge([answer_to(item, [{"id": "s1", "text": "One"}])])[0]

    assert [f.code for f in verdict.result.findings] == ["segments_missing"]
    assert verdict.result.text == "<p>One</p><p>Laba</p>"


def test_an_answer_is_judged_without_the_body_that_was_sent(sandbox, course):
    lesson = make_lesson(course, body="<p>Kow</p><p>Laba</p>")
    collect("en")
    bundle(now=later())
    submit_jobs(now=later())
    poll_until(BatchJob.objects.filter(status=JobStatus.COMPLETED).exists)
    ItemRequest.objects.update(body="not to be read again")

    work_off()

    assert unit(lesson, "body", "en").latest.text.count("<p>") == 2


def test_an_answer_with_segments_nobody_asked_for_is_held_back(course):
    make_lesson(course)
    options = {"languages": ["en"]}
    collect_run(start_run("translation", options, trigger=Trigger.COMMAND))
    item = BatchItem.objects.get()
    segments = [{"id": "s1", "text": "Listening"}, {"id": "s9", "text": "More"}]

    verdict = get_workload("translation").judge([answer_to(item, segments)])[0]

    assert [f.code for f in verdict.result.findings] == ["segments_missing"]
    assert verdict.result.text == "Listening"


def answer_to(item, segments):
    from batches.workloads import Answer

    return Answer(
        item_id=item.pk,
        content_type_id=item.content_type_id,
        object_id=item.object_id,
        target=item.target,
        provider="sandbox",
        model="gpt-4o-mini",
        is_sandbox=True,
        text=json.dumps({"segments": segments, "uncertain": []}),
        finish_reason="stop",
        refusal="",
        fingerprint="",
        prompt_version_id=None,
        body=item.request.body,
        context=item.request.context,
    )
