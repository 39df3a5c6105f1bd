"""What is known is not asked for again: a text's own segments, and approved ones."""

from io import StringIO

import orjson
import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from batches import workloads
from batches.models import BatchItem, ItemRequest
from batches.services.collection import collect_run, plan_run, start_run
from batches.services.recount import recount
from batches.states import RunStatus, Trigger
from tests.driving import work_off
from translations.glossary.saving import save_term
from translations.lessons.models import Lesson
from translations.memory.remembering import remember
from translations.models import (
    ApprovedSegment,
    DraftPart,
    GlossaryTerm,
    Origin,
    ReviewStatus,
    Translation,
)
from translations.registry import all_registered
from translations.review.acts import edit, reject
from translations.spans import spans_of
from translations.staleness import stale_segments
from translations.workloads import TranslationWorkload

pytestmark = pytest.mark.django_db

# The sandbox has samples of the translations of these.
GROW = "Hurdo fiican waxay ka caawisaa ilmaha inuu koro, wax barto oo uu degganaado."
ANGRY = "Waan arkaa inaad caraysan tahay. Aan wada neefsanno."
EAT = "Ilmuhu wuxuu u baahan yahay cunto kala duwan si uu u koro."
SLEEP = "Hurdada carruurta"


@pytest.fixture(autouse=True)
def publish_all(settings):
    settings.TRANSLATION_PUBLISH = "all"


def paragraphs(*texts):
    return "".join(f"<p>{text}</p>" for text in texts)


def make_lesson(course, **given):
    values = {"title": SLEEP, "body_format": "html"} | given
    number = Lesson.objects.count()
    return Lesson.objects.create(
        course=course, external_id=f"lesson-{number}", **values
    )


def options_for(**given):
    return {
        "languages": ["en"],
        "content": ["translations_lessons.lesson"],
        "fields": ["body"],
    } | given


def collect(**given):
    run = start_run(
        "translation", options_for(**given), trigger=Trigger.COMMAND, canary=False
    )
    collect_run(run)
    run.refresh_from_db()
    return run


def translate(**given):
    run = collect(**given)
    work_off(seconds=60)
    run.refresh_from_db()
    return run


def unit_of(lesson, field="body"):
    return Translation.objects.select_related("latest", "published").get(
        object_id=str(lesson.pk), field=field
    )


def approve(lesson, text=None):
    """What a reviewer does: the latest version is approved, and remembered."""
    unit = unit_of(lesson)
    if text is not None:
        reword(unit.latest, text)
    unit.status, unit.is_kept = ReviewStatus.APPROVED, True
    unit.save()
    return remember(unit, unit.latest, now=timezone.now())


def reword(version, text):
    """Have the first segment say something else."""
    first, *others = version.segments
    version.text = version.text.replace(first["text"], text, 1)
    segments = [first | {"text": text}, *others]
    version.spans = spans_of(
        version.text, [(s["id"], s["source_hash"], s["text"]) for s in segments]
    )
    version.save()


def last_message():
    body = ItemRequest.objects.latest("item_id").body
    return orjson.loads(orjson.loads(body)["messages"][1]["content"])


def change(lesson, **given):
    for name, value in given.items():
        setattr(lesson, name, value)
    lesson.save()


def test_one_changed_paragraph_costs_one_item_with_one_segment(sandbox, course):
    lesson = make_lesson(course, body=paragraphs(GROW, EAT, SLEEP))
    translate()
    before = unit_of(lesson).published

    change(lesson, body=paragraphs(GROW, ANGRY, SLEEP))

    entry = all_registered()["translations_lessons.lesson"]
    (stale,) = stale_segments(entry, lesson, "body", before)
    assert (stale.id, stale.text) == ("s2", ANGRY)
    assert unit_of(lesson).is_stale
    assert unit_of(lesson).published == before  # readers see it until the new one is
    run = collect()
    assert run.items_collected == 1
    assert last_message()["segments"] == [{"id": "s2", "text": ANGRY}]
    assert last_message()["already_translated"][0]["source"] == GROW
    work_off(seconds=60)
    unit = unit_of(lesson)
    assert not unit.is_stale and unit.status == ReviewStatus.PUBLISHED
    texts = [segment["text"] for segment in unit.published.segments]
    kept = [segment["text"] for segment in before.segments]
    assert (texts[0], texts[2]) == (kept[0], kept[2])
    assert texts[1] != kept[1]
    assert unit.published.text == paragraphs(*texts)
    assert unit.published.findings == []
    assert recount(repair=False) == []


def test_a_changed_paragraph_of_a_long_lesson_is_one_request(sandbox, course):
    many = [f"Qodob {number} {GROW}" for number in range(60)]
    lesson = make_lesson(course, body=paragraphs(*many))
    assert translate().items_collected > 2

    change(lesson, body=paragraphs(*many[:30], ANGRY, *many[31:]))
    run = translate()

    assert run.items_collected == 1
    assert len(last_message()["segments"]) == 1
    assert not unit_of(lesson).is_stale
    assert len(unit_of(lesson).latest.segments) == 60


def test_a_paragraph_taken_out_costs_no_request(sandbox, course):
    lesson = make_lesson(course, body=paragraphs(GROW, EAT))
    translate()

    change(lesson, body=paragraphs(EAT))
    plan = plan_run("translation", options_for())
    assert Translation.objects.get().versions_made == 1  # a plan writes nothing
    run = translate()

    assert (plan.items, run.items_collected) == (0, 0)
    assert run.status == RunStatus.COMPLETED
    unit = unit_of(lesson)
    assert unit.latest.origin == Origin.MEMORY and unit.latest.item is None
    assert (unit.latest.number, unit.is_stale) == (2, False)
    assert len(unit.latest.segments) == 1


def test_what_is_wanted_anew_is_asked_as_a_whole(sandbox, course):
    make_lesson(course, body=paragraphs(GROW, EAT))
    translate()

    collect(redo=True)

    assert len(last_message()["segments"]) == 2


def test_what_was_rejected_is_asked_as_a_whole(sandbox, course):
    lesson = make_lesson(course, body=paragraphs(GROW, EAT))
    translate()
    Translation.objects.update(status=ReviewStatus.REJECTED)

    change(lesson, body=paragraphs(GROW, ANGRY))
    collect()

    assert len(last_message()["segments"]) == 2


def test_a_text_that_was_approved_elsewhere_becomes_a_version_without_an_item(
    sandbox, course
):
    approve_from = make_lesson(course, body=paragraphs(GROW, EAT))
    translate()
    assert approve(approve_from, text="Good sleep helps your child.") == 2

    again = make_lesson(course, body=paragraphs(f"  {GROW}", EAT))
    run = translate()

    assert run.items_collected == 0
    assert run.skipped == {"known already: put together without a request": 1}
    version = unit_of(again).published
    assert version.origin == Origin.MEMORY
    assert version.segments[0]["text"] == "Good sleep helps your child."


def test_what_no_person_approved_serves_no_other_text(sandbox, course):
    make_lesson(course, body=paragraphs(GROW, EAT))
    translate()

    make_lesson(course, body=paragraphs(EAT, GROW))
    run = collect()

    assert not ApprovedSegment.objects.exists()
    assert run.items_collected == 1


def test_approved_segments_are_not_asked_for_in_another_text(sandbox, course):
    approve_from = make_lesson(course, body=paragraphs(GROW))
    translate()
    approve(approve_from, text="Good sleep helps your child.")

    other = make_lesson(course, body=paragraphs(ANGRY, GROW))
    translate()

    assert last_message()["segments"] == [{"id": "s1", "text": ANGRY}]
    assert unit_of(other).latest.segments[1]["text"] == "Good sleep helps your child."


def test_a_segment_the_glossary_is_against_by_now_is_asked_for(sandbox, course):
    approve_from = make_lesson(course, body=paragraphs(GROW))
    translate()
    approve(approve_from, text="Good sleep helps your kid.")
    term = {"source_term": "ilmaha", "preferred": "child", "forbidden": "kid"}
    save_term(GlossaryTerm(**term, rule="required"), by="amina")

    make_lesson(course, body=paragraphs(GROW))
    run = translate()

    assert run.items_collected == 1


def test_what_checks_refuse_by_now_is_asked_for(sandbox, course):
    approve_from = make_lesson(course, body=paragraphs(GROW))
    translate()
    approve(approve_from, text="Hurdo fiican waxay ka caawisaa ilmaha inuu koro.")

    make_lesson(course, body=paragraphs(GROW))
    run = translate()

    assert run.items_collected == 1


def test_an_approved_text_that_says_nearly_the_same_is_an_example(sandbox, course):
    approve_from = make_lesson(course, body=paragraphs(GROW))
    translate()
    approve(approve_from, text="Good sleep helps your child.")

    make_lesson(course, body=paragraphs(GROW.replace("fiican", "wanaagsan")))
    collect()

    assert last_message()["examples"] == [
        {"source": GROW, "translation": "Good sleep helps your child."}
    ]


def test_what_a_reviewer_approves_is_remembered(
    sandbox, course, settings, django_user_model
):
    settings.TRANSLATION_PUBLISH = "review"
    lesson = make_lesson(course, body=paragraphs(GROW))
    translate()
    amina = django_user_model.objects.create_user("amina")

    unit = unit_of(lesson)
    edit(
        unit,
        base=unit.latest_id,
        texts={"s1": "Good sleep helps your child grow, learn and be calm."},
        by=amina,
        approve=True,
    )

    approved = ApprovedSegment.objects.get()
    assert approved.source == GROW
    assert approved.text == "Good sleep helps your child grow, learn and be calm."
    assert approved.version == unit_of(lesson).latest


def test_what_a_reviewer_rejected_does_not_come_back_out_of_memory(
    sandbox, course, settings, django_user_model
):
    settings.TRANSLATION_PUBLISH = "review"
    approve_from = make_lesson(course, body=paragraphs(GROW))
    translate()
    approve(approve_from)
    other = make_lesson(course, body=paragraphs(GROW))
    translate()
    unit = unit_of(other)
    assert unit.latest.origin == Origin.MEMORY

    amina = django_user_model.objects.create_user("amina")
    reject(unit, base=unit.latest_id, by=amina, reason="style", text="Too stiff")
    run = collect()

    assert run.items_collected == 1
    assert "already_translated" not in last_message()


def test_a_proposal_from_memory_gives_way_to_what_a_person_keeps(
    sandbox, course, django_user_model
):
    lesson = make_lesson(course, body=paragraphs(GROW, EAT))
    translate()
    approve(lesson)
    kept = unit_of(lesson).published
    change(lesson, body=paragraphs(EAT))
    translate()
    unit = unit_of(lesson)
    assert (unit.latest.origin, unit.published) == (Origin.MEMORY, kept)

    amina = django_user_model.objects.create_user("amina")
    reject(unit, base=unit.latest_id, by=amina, reason="wrong_meaning")

    assert unit_of(lesson).latest == kept


def test_a_later_approval_is_what_memory_says(sandbox, course):
    lesson = make_lesson(course, body=paragraphs(GROW))
    translate()
    approve(lesson, text="Sleep is good.")

    approve(lesson, text="Sleep well and grow.")

    assert ApprovedSegment.objects.get().text == "Sleep well and grow."


def test_of_a_source_that_changed_nothing_is_remembered(sandbox, course):
    lesson = make_lesson(course, body=paragraphs(GROW))
    translate()
    change(lesson, body=paragraphs(EAT))

    assert approve(lesson) == 0
    assert not ApprovedSegment.objects.exists()


def test_looking_for_what_is_known_takes_as_many_queries_for_many_rows(sandbox, course):
    approve_from = make_lesson(course, body=paragraphs(GROW))
    translate()
    approve(approve_from)

    def queries():
        with CaptureQueriesContext(connection) as captured:
            plan_run("translation", options_for())
        return len(captured)

    make_lesson(course, body=paragraphs(ANGRY, GROW))
    few = queries()
    for number in range(30):
        make_lesson(course, body=paragraphs(f"Qodob {number}", GROW))

    assert queries() == few


class HalfLost(TranslationWorkload):
    """Loses the second part of every text."""

    def judge_one(self, answer):
        if answer.context and orjson.loads(answer.context)["part"] == 2:
            answer.text = "{"
        return super().judge_one(answer)


def test_parts_that_were_cut_otherwise_are_not_put_together(
    sandbox, course, monkeypatch, settings
):
    settings.BATCH_MAX_ATTEMPTS = 1
    many = [f"Qodob {number} {GROW}" for number in range(40)]
    lesson = make_lesson(course, body=paragraphs(*many))
    with monkeypatch.context() as patch:
        patch.setitem(workloads._registered, "translation", HalfLost())
        translate()
    assert DraftPart.objects.exists()
    known = make_lesson(course, body=paragraphs(*many[:3]))
    translate(keys=[str(known.pk)])
    approve(known)

    translate(keys=[str(lesson.pk)])

    unit = unit_of(lesson)
    assert [segment["id"] for segment in unit.latest.segments] == [
        f"s{number}" for number in range(1, 41)
    ]
    assert not DraftPart.objects.exists()
    assert BatchItem.objects.filter(object_id=str(lesson.pk)).count() > 3


def test_what_was_approved_before_there_was_a_memory_is_put_into_it(
    sandbox, course, admin_user
):
    first = make_lesson(course, body=paragraphs(GROW, EAT))
    second = make_lesson(course, body=paragraphs(GROW))
    translate()
    old = "Good sleep helps a child to grow, learn and stay calm."
    new = "Good sleep helps your child to grow, to learn and to be calm."
    for lesson, text in ((first, old), (second, new)):
        unit = unit_of(lesson)
        Translation.objects.filter(pk=unit.pk).update(status="pending_review")
        unit.refresh_from_db()
        edit(unit, base=unit.latest_id, texts={"s1": text}, by=admin_user, approve=True)
    change(second, body=paragraphs(GROW, ANGRY))  # its approval is of another source
    later = dict(ApprovedSegment.objects.values_list("source", "text"))
    out = StringIO()

    call_command("fill_memory", stdout=out)
    # The later approval of the same source stays, though its text is out of date.
    assert dict(ApprovedSegment.objects.values_list("source", "text")) == later
    assert later[GROW] == new

    ApprovedSegment.objects.all().delete()
    call_command("fill_memory", dry_run=True, stdout=out)
    assert not ApprovedSegment.objects.exists()
    call_command("fill_memory", stdout=out)

    there = dict(ApprovedSegment.objects.values_list("source", "text"))
    assert there.keys() == {GROW, EAT} and there[GROW] == old
    assert "2 segments of 2 approved texts remembered; 1 text left" in out.getvalue()
