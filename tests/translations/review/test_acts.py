"""What people do to translations: edits, alone and two at the same moment."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.db import connection

from batches.models import AuditEntry
from tests.translations.review.editing import BODY, GOOD, latest_of
from translations.models import (
    Origin,
    ReviewDraft,
    ReviewEntry,
    ReviewStatus,
    TranslationVersion,
)
from translations.reading import translated
from translations.review import acts, drafts, rules

pytestmark = pytest.mark.django_db


def test_an_edit_is_a_new_version_by_its_author(make_unit, amina):
    unit = make_unit("اختر 4 قواعد")

    made = acts.edit(unit, base=unit.latest_id, texts={"s1": "اختر 3 قواعد"}, by=amina)

    assert latest_of(unit) == made
    assert (made.number, made.origin, made.author) == (2, Origin.PERSON, amina)
    assert made.text == "اختر 3 قواعد"
    assert made.parent.text == "اختر 4 قواعد"
    assert (unit.status, unit.is_kept) == (ReviewStatus.PENDING_REVIEW, True)
    entry = ReviewEntry.objects.get()
    assert (entry.act, entry.actor_name, entry.version) == ("edited", "amina", made)
    audited = AuditEntry.objects.get()
    assert (audited.action, audited.actor) == ("translation:edited", "amina")
    assert audited.target == f"translation {unit.pk} version 2"


def test_an_edit_keeps_the_template_and_checks_the_segments(
    make_lesson, make_unit, amina
):
    lesson = make_lesson(body=BODY, body_format="html")
    unit = make_unit(*GOOD, lesson=lesson, field="body")

    made = acts.edit(
        unit, base=unit.latest_id, texts={"s2": "انتظر 7 دقائق."}, by=amina
    )

    assert made.text == "<p>الأم والأب.</p><p>انتظر 7 دقائق.</p>"
    assert made.segments[0]["text"] == GOOD[0]
    (finding,) = [f for f in made.findings if f["severity"] == "error"]
    assert (finding["code"], finding["segment"]) == ("number_mismatch", "s2")
    assert made.score <= 49


def test_saving_without_a_change_makes_no_version(make_unit, amina):
    unit = make_unit()

    acts.edit(unit, base=unit.latest_id, texts={"s1": "اختر 3 قواعد"}, by=amina)

    assert TranslationVersion.objects.count() == 1


def test_what_the_model_doubted_is_still_told_after_a_check(make_unit, amina):
    doubt = {
        "code": "uncertain",
        "template": "The model was unsure: %(note)s.",
        "params": {"note": "xeer"},
        "segment": "s1",
        "span": None,
        "version": 2,
        "severity": "warning",
        "cost": 5,
        "message": "The model was unsure: xeer.",
    }
    unit = make_unit(findings=[doubt], warnings=1, score=95)

    acts.approve_version(unit, base=unit.latest_id, by=amina)

    version = latest_of(unit)
    assert version.findings == [doubt]
    assert (version.warnings, version.score) == (1, 95)


def test_pretended_text_is_pretended_until_all_of_it_is_rewritten(
    make_lesson, make_unit, amina
):
    mark = {"code": "sandbox_text", "severity": "error", "message": "x", "segment": ""}
    lesson = make_lesson(body=BODY, body_format="html")
    unit = make_unit(
        *GOOD, lesson=lesson, field="body", findings=[mark], is_sandbox=True
    )
    with pytest.raises(rules.OpenErrors, match="sandbox_text"):
        acts.settle(
            unit,
            base=unit.latest_id,
            texts={"s1": "الوالدان."},
            by=amina,
            publish=True,
        )
    assert latest_of(unit).is_sandbox

    acts.settle(
        unit,
        base=unit.latest_id,
        texts={"s1": "الأم والأب معا.", "s2": "انتظر 5 دقائق فقط."},
        by=amina,
        publish=True,
    )

    assert not latest_of(unit).is_sandbox
    assert unit.status == ReviewStatus.PUBLISHED


def test_two_people_cannot_overwrite_each_other(make_unit, amina, bilal):
    unit = make_unit("اختر 4 قواعد")
    seen = unit.latest_id
    acts.edit(unit, base=seen, texts={"s1": "اختر 3 قواعد"}, by=amina)

    for act in (
        lambda: acts.edit(unit, base=seen, texts={"s1": "اختر ثلاثا"}, by=bilal),
        lambda: acts.approve_version(unit, base=seen, by=bilal),
        lambda: acts.reject(unit, base=seen, by=bilal, reason="style"),
    ):
        with pytest.raises(acts.EditedMeanwhile, match="Version 2 was made meanwhile"):
            act()

    assert latest_of(unit).text == "اختر 3 قواعد"


def test_a_person_brings_a_text_up_to_date_segment_by_segment(
    make_lesson, make_unit, amina
):
    lesson = make_lesson(body=BODY, body_format="html")
    unit = make_unit(*GOOD, lesson=lesson, field="body")
    lesson.body = BODY.replace("5", "6")
    lesson.save()
    unit.refresh_from_db()
    assert unit.is_stale

    with pytest.raises(acts.ReviewRefused, match="1 segment has changed"):
        acts.settle(
            unit,
            base=unit.latest_id,
            texts={"s1": "الأمّ والأب."},
            by=amina,
            publish=True,
        )
    acts.settle(
        unit,
        base=unit.latest_id,
        texts={"s2": "انتظر 6 دقائق."},
        by=amina,
        publish=True,
    )

    unit.refresh_from_db()
    assert (unit.is_stale, unit.status) == (False, ReviewStatus.PUBLISHED)
    assert translated(lesson, "body", "ar") == (
        "<p>الأم والأب.</p><p>انتظر 6 دقائق.</p>"
    )


def test_a_segment_that_is_still_right_is_confirmed(make_lesson, make_unit, amina):
    lesson = make_lesson(body=BODY, body_format="html")
    unit = make_unit(*GOOD, lesson=lesson, field="body")
    lesson.body = BODY.replace("Sug", "Suga")
    lesson.save()

    acts.settle(
        unit,
        base=unit.latest_id,
        texts={},
        by=amina,
        publish=False,
        confirmed={"s2"},
    )

    unit.refresh_from_db()
    assert (unit.is_stale, unit.status) == (False, ReviewStatus.APPROVED)


def test_a_gone_source_is_said_so(make_lesson, make_unit, amina):
    lesson = make_lesson()
    unit = make_unit(lesson=lesson)
    lesson.delete()

    with pytest.raises(acts.ReviewRefused, match="The source of this text is gone"):
        acts.approve_version(unit, base=unit.latest_id, by=amina)


def test_a_version_without_known_segments_is_edited_as_a_whole(
    make_lesson, make_unit, amina
):
    lesson = make_lesson(body=BODY, body_format="html")
    unit = make_unit(*GOOD, lesson=lesson, field="body")
    TranslationVersion.objects.update(spans="")
    unit.refresh_from_db()
    text = unit.latest.text.replace("الأم", "الوالدة")

    acts.settle(
        unit, base=unit.latest_id, texts={"whole": text}, by=amina, publish=True
    )

    assert translated(lesson, "body", "ar") == text


def test_line_ends_of_a_browser_are_no_edit(make_lesson, make_unit, amina):
    lesson = make_lesson(body="<p>Kow\nlaba</p>", body_format="html")
    unit = make_unit("واحد\nاثنان", lesson=lesson, field="body")

    acts.edit(unit, base=unit.latest_id, texts={"s1": "واحد\r\nاثنان"}, by=amina)

    assert TranslationVersion.objects.count() == 1


def test_an_edit_ends_its_draft(make_unit, amina):
    unit = make_unit()
    drafts.save_draft(unit, base=unit.latest_id, by=amina, texts={"s1": "x"})

    acts.edit(unit, base=unit.latest_id, texts={"s1": "اختر 3 قواعد فقط"}, by=amina)

    assert not ReviewDraft.objects.exists()


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_of_two_at_the_same_moment_one_is_refused(make_unit, amina, bilal):
    unit = make_unit("اختر 4 قواعد")
    seen = unit.latest_id
    together = Barrier(2)

    texts = {amina: "اختر 3 قواعد فقط", bilal: "اختر 3 قواعد اليوم"}

    def save(user):
        try:
            together.wait(timeout=10)
            acts.settle(
                unit, base=seen, texts={"s1": texts[user]}, by=user, publish=True
            )
        except acts.EditedMeanwhile:
            return "refused"
        finally:
            connection.close()
        return "saved"

    with ThreadPoolExecutor(2) as pool:
        came_to = sorted(pool.map(save, [amina, bilal]))

    assert came_to == ["refused", "saved"]
    assert TranslationVersion.objects.filter(translation=unit).count() == 2
    unit.refresh_from_db()
    assert unit.published_id == unit.latest_id
