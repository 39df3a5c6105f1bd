"""What people do to translations: edited, approved, published, rejected, restored."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.db import connection

from batches.models import AuditEntry
from translations.lessons.models import Lesson
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

BODY = "<p>Hooyo iyo aabo.</p><p>Sug 5 daqiiqo.</p>"
GOOD = ("الأم والأب.", "انتظر 5 دقائق.")


def latest_of(unit):
    unit.refresh_from_db()
    return unit.latest


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


def test_fixed_approved_and_published_at_once(make_lesson, make_unit, amina):
    lesson = make_lesson()
    unit = make_unit("اختر 4 قواعد", lesson=lesson)

    acts.settle(
        unit,
        base=unit.latest_id,
        texts={"s1": "اختر 3 قواعد"},
        by=amina,
        publish=True,
    )

    assert translated(lesson, "title", "ar") == "اختر 3 قواعد"
    done = list(ReviewEntry.objects.order_by("pk").values_list("act", flat=True))
    assert done == ["edited", "approved", "published"]
    unit.refresh_from_db()
    assert (unit.status, unit.is_kept) == (ReviewStatus.PUBLISHED, True)


def test_an_error_blocks_approval_and_the_edit_is_kept(make_unit, amina):
    unit = make_unit("اختر 4 قواعد")

    with pytest.raises(rules.OpenErrors, match="number_mismatch") as caught:
        acts.settle(
            unit,
            base=unit.latest_id,
            texts={"s1": "اختر 9 قواعد"},
            by=amina,
            publish=True,
        )

    assert caught.value.codes == ["number_mismatch"]
    assert latest_of(unit).text == "اختر 9 قواعد"
    assert (unit.status, unit.published) == (ReviewStatus.PENDING_REVIEW, None)


def test_an_error_that_newer_checks_find_blocks_too(make_unit, amina):
    unit = make_unit("اختر 4 قواعد")  # stored with no finding and 100 points

    with pytest.raises(rules.OpenErrors):
        acts.approve_version(unit, base=unit.latest_id, by=amina)


def test_a_title_that_its_field_cannot_hold_is_blocked(make_unit, amina):
    unit = make_unit()
    length = Lesson._meta.get_field("title").max_length

    with pytest.raises(rules.OpenErrors, match="too_long"):
        acts.settle(
            unit,
            base=unit.latest_id,
            texts={"s1": "اختر 3 قواعد " + "نعم لا " * length},
            by=amina,
            publish=True,
        )


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


def test_an_error_is_waived_with_a_reason(make_unit, amina):
    unit = make_unit("اختر 4 قواعد")

    acts.approve_version(
        unit, base=unit.latest_id, by=amina, publish=True, waiver="the source is wrong"
    )

    unit.refresh_from_db()
    assert unit.status == ReviewStatus.PUBLISHED
    assert ReviewEntry.objects.get(act="approved").text == "the source is wrong"


@pytest.mark.parametrize("text", ["", "<b>اختر 3 قواعد"])
def test_what_is_empty_or_broken_is_never_waived(make_lesson, make_unit, amina, text):
    lesson = make_lesson(body="<p><b>Dooro</b> 3 xeer</p>", body_format="html")
    unit = make_unit("<b>اختر</b> 3 قواعد", lesson=lesson, field="body")

    with pytest.raises(rules.OpenErrors, match="Mend the text"):
        acts.settle(
            unit,
            base=unit.latest_id,
            texts={"s1": text},
            by=amina,
            publish=True,
            waiver="so it shall be",
        )


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


def test_text_of_the_sandbox_is_not_approved_beside_a_real_provider(
    make_unit, amina, settings
):
    settings.BATCH_PROVIDER, settings.OPENAI_API_KEY = "openai", "sk-x"
    unit = make_unit(is_sandbox=True)

    with pytest.raises(acts.ReviewRefused, match="a real provider is active"):
        acts.approve_version(unit, base=unit.latest_id, by=amina)


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


def test_what_is_out_of_date_is_not_approved(make_lesson, make_unit, amina):
    lesson = make_lesson()
    unit = make_unit(lesson=lesson)
    lesson.title = "Dooro 3 xeer oo cad"
    lesson.save()

    with pytest.raises(acts.ReviewRefused, match="The source has changed"):
        acts.approve_version(unit, base=unit.latest_id, by=amina)


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


def test_a_published_text_is_taken_back_and_published_again(
    make_lesson, make_unit, amina
):
    lesson = make_lesson()
    unit = make_unit(lesson=lesson)
    acts.approve_version(unit, base=unit.latest_id, by=amina, publish=True)

    acts.unpublish(unit, by=amina)
    unit.refresh_from_db()
    assert unit.status == ReviewStatus.APPROVED
    assert translated(lesson, "title", "ar") == lesson.title
    acts.publish_version(unit, base=unit.latest_id, by=amina)

    assert translated(lesson, "title", "ar") == "اختر 3 قواعد"
    with pytest.raises(acts.ReviewRefused, match="only approved text is published"):
        acts.publish_version(unit, base=unit.latest_id, by=amina)


def test_taking_back_needs_something_published(make_unit, amina):
    with pytest.raises(acts.ReviewRefused, match="Nothing of this text"):
        acts.unpublish(make_unit(), by=amina)


def test_an_edit_of_a_published_text_waits_while_the_old_one_is_shown(
    make_lesson, make_unit, amina
):
    lesson = make_lesson()
    unit = make_unit(lesson=lesson)
    acts.approve_version(unit, base=unit.latest_id, by=amina, publish=True)

    acts.edit(unit, base=unit.latest_id, texts={"s1": "اختر 3 قواعد فقط"}, by=amina)

    unit.refresh_from_db()
    assert unit.status == ReviewStatus.PENDING_REVIEW
    assert translated(lesson, "title", "ar") == "اختر 3 قواعد"


def test_a_version_is_restored_as_a_new_one(make_unit, amina):
    unit = make_unit("اختر 3 قواعد")
    first = unit.latest
    acts.edit(unit, base=first.pk, texts={"s1": "اختر 4 قواعد"}, by=amina)
    unit.refresh_from_db()

    made = acts.restore(unit, base=unit.latest_id, version=first, by=amina)

    assert (made.number, made.text, made.parent) == (3, first.text, first)
    assert made.segments == first.segments
    assert latest_of(unit) == made
    assert ReviewEntry.objects.filter(act="restored", version=made).exists()


def test_a_version_of_another_text_is_not_restored(make_unit, amina):
    unit, other = make_unit(), make_unit()

    with pytest.raises(acts.ReviewRefused):
        acts.restore(unit, base=unit.latest_id, version=other.latest, by=amina)


def test_a_rejection_needs_a_reason(make_unit, amina):
    unit = make_unit()

    for reason in ("", "because"):
        with pytest.raises(acts.ReviewRefused, match="choose a reason"):
            acts.reject(unit, base=unit.latest_id, by=amina, reason=reason)
    acts.reject(unit, base=unit.latest_id, by=amina, reason="style", text="too stiff")

    unit.refresh_from_db()
    assert unit.status == ReviewStatus.REJECTED
    entry = ReviewEntry.objects.get()
    assert (entry.reason, entry.text) == ("style", "too stiff")
    with pytest.raises(acts.ReviewRefused, match="only what waits for review"):
        acts.reject(unit, base=unit.latest_id, by=amina, reason="style")


def test_a_rejected_text_comes_back_by_an_edit(make_unit, amina):
    unit = make_unit()
    acts.reject(unit, base=unit.latest_id, by=amina, reason="style")

    acts.edit(unit, base=unit.latest_id, texts={"s1": "اختر 3 قواعد فقط"}, by=amina)

    unit.refresh_from_db()
    assert unit.status == ReviewStatus.PENDING_REVIEW


def test_a_rejected_proposal_gives_way_to_what_a_person_keeps(
    make_lesson, make_unit, answer_again, amina
):
    lesson = make_lesson()
    unit = make_unit(lesson=lesson)
    acts.approve_version(unit, base=unit.latest_id, by=amina, publish=True)
    kept = latest_of(unit)
    proposal = answer_again(unit, "انتق 3 قواعد")

    acts.reject(unit, base=proposal.pk, by=amina, reason="wrong_term")

    assert latest_of(unit) == kept
    assert (unit.status, unit.is_kept) == (ReviewStatus.PUBLISHED, True)
    assert translated(lesson, "title", "ar") == kept.text


def test_approved_text_that_was_not_published_is_kept_too(
    make_unit, answer_again, amina
):
    unit = make_unit()
    acts.approve_version(unit, base=unit.latest_id, by=amina)
    kept = latest_of(unit)
    proposal = answer_again(unit, "انتق 3 قواعد")

    acts.reject(unit, base=proposal.pk, by=amina, reason="style")

    assert latest_of(unit) == kept
    assert unit.status == ReviewStatus.APPROVED


def test_an_approved_proposal_takes_the_place_of_the_kept_text(
    make_lesson, make_unit, answer_again, amina
):
    lesson = make_lesson()
    unit = make_unit(lesson=lesson)
    acts.approve_version(unit, base=unit.latest_id, by=amina, publish=True)
    proposal = answer_again(unit, "انتق 3 قواعد")

    acts.approve_version(unit, base=proposal.pk, by=amina, publish=True)

    assert translated(lesson, "title", "ar") == "انتق 3 قواعد"


def test_the_author_of_an_edit_does_not_approve_it_under_two_people(
    make_unit, amina, bilal, settings
):
    settings.REVIEW_TWO_PEOPLE = True
    unit = make_unit("اختر 4 قواعد")

    with pytest.raises(acts.NeedsAnother, match="somebody else has to approve"):
        acts.settle(
            unit,
            base=unit.latest_id,
            texts={"s1": "اختر 3 قواعد"},
            by=amina,
            publish=True,
        )
    unit.refresh_from_db()
    acts.approve_version(unit, base=unit.latest_id, by=bilal, publish=True)

    unit.refresh_from_db()
    assert unit.status == ReviewStatus.PUBLISHED


def test_a_machines_text_takes_one_person_under_two_people(make_unit, amina, settings):
    settings.REVIEW_TWO_PEOPLE = True
    unit = make_unit()

    acts.approve_version(unit, base=unit.latest_id, by=amina, publish=True)

    unit.refresh_from_db()
    assert unit.status == ReviewStatus.PUBLISHED


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
