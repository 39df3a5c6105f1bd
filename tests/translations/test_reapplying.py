"""Stored translations judged and stored again: one wording stays one version."""

import pytest
from django.forms.models import model_to_dict

from batches import workloads
from batches.models import BatchItem, ConfigOverride, ItemAttempt
from batches.services.collection import collect_run, start_run
from batches.services.reapply import reapply
from batches.services.recount import recount
from batches.states import ItemStatus, RunStatus, Trigger
from tests.driving import work_off
from translations.lessons.models import Lesson
from translations.models import (
    DraftPart,
    Origin,
    ReviewStatus,
    Translation,
    TranslationVersion,
)
from translations.quality import CHECKS_VERSION
from translations.workloads import TranslationWorkload

pytestmark = pytest.mark.django_db

KNOWN = "Hurdada carruurta"  # the sandbox has a sample of its translation


class BrokenStore(TranslationWorkload):
    def store(self, verdicts):
        raise RuntimeError("the store has a bug")


class Shouting(TranslationWorkload):
    """One whose reading of the same answers gives another wording."""

    def judge_one(self, answer):
        verdict = super().judge_one(answer)
        verdict.result.text = verdict.result.text.upper()
        return verdict


@pytest.fixture
def deploy(monkeypatch):
    def install(workload):
        monkeypatch.setitem(workloads._registered, "translation", workload())

    return install


def make_lesson(course, title=KNOWN, **fields):
    given = {"description": None, "body": None, "body_format": "html"} | fields
    number = Lesson.objects.count()
    return Lesson.objects.create(
        course=course, external_id=f"lesson-{number}", title=title, **given
    )


def translate(*languages):
    options = {"languages": languages, "content": ["translations_lessons.lesson"]}
    run = start_run("translation", options, trigger=Trigger.COMMAND, canary=False)
    collect_run(run)
    work_off(seconds=60)
    run.refresh_from_db()
    return run


def reapply_all():
    return reapply(BatchItem.objects.all(), by="amina")


def edit(unit, text="A person's words"):
    """What a person writes: a version of theirs, published and kept."""
    unit.versions_made += 1
    mine = TranslationVersion.objects.create(
        translation=unit,
        number=unit.versions_made,
        text=text,
        source_hash=unit.source_hash,
        origin=Origin.PERSON,
        score=100,
        checks_version=CHECKS_VERSION,
    )
    unit.latest = unit.published = mine
    unit.status, unit.is_kept = ReviewStatus.PUBLISHED, True
    unit.save()
    return mine


def states():
    return [model_to_dict(unit) for unit in Translation.objects.order_by("pk")]


@pytest.mark.slow
def test_a_thousand_translations_outlive_a_bug(sandbox, course, deploy, settings):
    settings.BATCH_MAX_REQUESTS = 400
    Lesson.objects.bulk_create(
        Lesson(
            course=course,
            external_id=f"lesson-{number}",
            title=KNOWN if number % 2 else f"Cashar {number}",
            body_format="html",
        )
        for number in range(500)
    )
    deploy(BrokenStore)
    run = translate("en", "ar")
    billed = sandbox.ledger()
    assert run.status == RunStatus.FAILED
    assert not Translation.objects.exists()
    deploy(TranslationWorkload)

    done = reapply_all()

    assert done.completed == Translation.objects.count() == 1_000
    assert TranslationVersion.objects.count() == 1_000
    run.refresh_from_db()
    assert run.status == RunStatus.COMPLETED
    assert sandbox.ledger() == billed
    assert recount(repair=False) == []
    # what the sandbox made up is marked as on its first way
    marked = TranslationVersion.objects.filter(errors=1)
    assert {v.findings[0]["code"] for v in marked} == {"sandbox_text"}
    assert marked.count() == 500


def test_the_same_wording_makes_no_second_version(sandbox, course):
    make_lesson(course)
    make_lesson(course, "Cashar aan la aqoon")
    translate("en", "ar")
    before = states(), list(TranslationVersion.objects.order_by("pk").values())

    done = reapply_all()

    assert done.stored_again == 4
    after = states(), list(TranslationVersion.objects.order_by("pk").values())
    assert after == before
    assert recount(repair=False) == []


def test_newer_checks_say_something_else_of_the_same_wording(sandbox, course):
    make_lesson(course)
    translate("en")
    TranslationVersion.objects.update(
        findings=[{"code": "empty", "severity": "error"}],
        errors=1,
        score=9,
        checks_version=0,
    )
    ConfigOverride.objects.create(name="TRANSLATION_PUBLISH", value="clean")

    reapply_all()

    version = TranslationVersion.objects.get()
    assert (version.findings, version.errors, version.score) == ([], 0, 100)
    assert version.checks_version == CHECKS_VERSION
    unit = Translation.objects.get()
    assert (unit.status, unit.published_id) == (ReviewStatus.PUBLISHED, version.pk)


@pytest.mark.parametrize("status", [ReviewStatus.REJECTED, ReviewStatus.APPROVED])
def test_what_a_reviewer_decided_of_a_wording_stays(sandbox, course, status):
    ConfigOverride.objects.create(name="TRANSLATION_PUBLISH", value="all")
    make_lesson(course)
    translate("en")
    Translation.objects.update(status=status, published=None)

    reapply_all()

    unit = Translation.objects.get()
    assert (unit.status, unit.published) == (status, None)


def test_another_wording_becomes_a_version_once(sandbox, course, deploy):
    make_lesson(course)
    translate("en")
    deploy(Shouting)

    reapply_all()
    reapply_all()

    texts = TranslationVersion.objects.order_by("number").values_list("text", flat=True)
    assert list(texts) == ["Children's sleep", "CHILDREN'S SLEEP"]
    unit = Translation.objects.get()
    assert (unit.latest.number, unit.status) == (2, ReviewStatus.PENDING_REVIEW)


def test_a_person_s_edit_is_not_touched_by_the_same_wording(sandbox, course):
    ConfigOverride.objects.create(name="TRANSLATION_PUBLISH", value="all")
    make_lesson(course)
    translate("en")
    edit(Translation.objects.get())
    before = states()

    assert reapply_all().stored_again == 1

    assert states() == before
    assert TranslationVersion.objects.count() == 2


def test_beside_a_person_s_edit_another_wording_is_a_proposal(sandbox, course, deploy):
    ConfigOverride.objects.create(name="TRANSLATION_PUBLISH", value="all")
    make_lesson(course)
    translate("en")
    mine = edit(Translation.objects.get())
    deploy(Shouting)

    reapply_all()

    unit = Translation.objects.get()
    assert unit.published == mine
    assert (unit.latest.text, unit.latest.origin) == (
        "CHILDREN'S SLEEP",
        Origin.MACHINE,
    )
    assert unit.status == ReviewStatus.PENDING_REVIEW
    mine.refresh_from_db()
    assert mine.text == "A person's words"


def test_an_answer_that_had_failed_is_a_proposal_beside_what_a_person_wrote(
    sandbox, course, deploy
):
    ConfigOverride.objects.create(name="TRANSLATION_PUBLISH", value="all")
    make_lesson(course)
    translate("en")
    mine = edit(Translation.objects.get())
    Translation.objects.update(is_stale=True)
    deploy(BrokenStore)
    translate("en")
    deploy(TranslationWorkload)

    done = reapply_all()

    assert done.completed == 1
    unit = Translation.objects.get()
    assert unit.published == mine
    assert unit.latest.item == BatchItem.objects.last()


def test_what_was_pretended_stays_marked_in_another_wording(sandbox, course, deploy):
    make_lesson(course, "Cashar aan la aqoon")
    translate("en")
    deploy(Shouting)

    reapply_all()

    codes = [finding["code"] for finding in Translation.objects.get().latest.findings]
    assert "sandbox_text" in codes


def test_a_source_that_changed_meanwhile_is_still_told(sandbox, course, deploy):
    ConfigOverride.objects.create(name="TRANSLATION_PUBLISH", value="all")
    lesson = make_lesson(course)
    deploy(BrokenStore)
    translate("en")
    Lesson.objects.filter(pk=lesson.pk).update(title="Wax kale")
    deploy(TranslationWorkload)

    reapply_all()

    unit = Translation.objects.get()
    assert (unit.is_stale, unit.published) == (True, None)


# --- long texts -----------------------------------------------------------------------

LONG = "".join(f"<p>{'Hooyo macaan. ' * 60}</p>" for _ in range(6))


def test_a_long_text_whose_part_failed_becomes_whole(sandbox, course, deploy):
    class BrokenForOne(TranslationWorkload):
        def store(self, verdicts):
            if any(verdict.answer.target == "body:en#2" for verdict in verdicts):
                raise RuntimeError("the store has a bug")
            return super().store(verdicts)

    make_lesson(course, body=LONG)
    deploy(BrokenForOne)
    translate("en")
    draft = Translation.objects.get(field="body")
    assert draft.parts_done == draft.parts_total - 1
    deploy(TranslationWorkload)

    done = reapply_all()

    assert (done.completed, done.failing) == (1, {})
    draft.refresh_from_db()
    assert draft.status == ReviewStatus.PENDING_REVIEW
    assert draft.latest.text.count("<p>") == 6
    assert not DraftPart.objects.exists()
    assert recount(repair=False) == []


def test_a_long_text_that_is_whole_stays_whole(sandbox, course):
    make_lesson(course, body=LONG)
    translate("en")
    before = states()

    done = reapply(BatchItem.objects.filter(target="body:en#1"), by="amina")

    assert done.stored_again == 1
    assert states() == before
    assert not DraftPart.objects.exists()


def test_parts_of_a_draft_are_stored_again_in_it(sandbox, course, deploy):
    make_lesson(course, body=LONG)
    lost = "body:en#2"

    class Loses(TranslationWorkload):
        def judge_one(self, answer):
            if '"part":2' in answer.context:
                raise RuntimeError("the judge has a bug")
            return super().judge_one(answer)

    deploy(Loses)
    translate("en")
    DraftPart.objects.update(text="out of order")

    done = reapply_all()

    assert done.failing == {"apply_error": 1}
    assert not DraftPart.objects.filter(text="out of order").exists()
    draft = Translation.objects.get(field="body")
    assert draft.parts_done == draft.parts_total - 1
    assert BatchItem.objects.get(status=ItemStatus.FAILED).target == lost
    assert ItemAttempt.objects.exclude(error_code="").count() == 1
