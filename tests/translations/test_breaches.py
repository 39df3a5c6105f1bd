"""A changed term makes out of date what is against it, and nothing else."""

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.urls import reverse
from django.utils import timezone
from django_q.models import OrmQ

from batches.models import ItemRequest
from batches.services.collection import collect_run, start_run
from batches.states import Trigger
from tests.translations.publishing import answer, make_lesson
from translations.coverage import State, coverage
from translations.glossary.breaches import recheck_glossary
from translations.glossary.saving import delete_term, save_term
from translations.models import GlossaryTerm, ReviewStatus, Translation
from translations.prompt import sent_segments
from translations.registry import all_registered
from translations.review.acts import look_again, reject, settle
from translations.spans import spans_of
from translations.tasks import recheck_texts

pytestmark = pytest.mark.django_db

BODY = "<p>Ilmuhu wuu seexdaa.</p><p>Sug 5 daqiiqo.</p>"


@pytest.fixture(autouse=True)
def publish_all(settings):
    settings.TRANSLATION_PUBLISH = "all"


@pytest.fixture
def lesson():
    return make_lesson("Hurdo", body=BODY, body_format="html")


def published(lesson, *texts, field="body"):
    """The field as it was published yesterday, with these texts as its segments."""
    unit = answer(lesson, field)
    version = unit.latest
    said = zip(version.segments, texts, strict=True)
    version.created_at = timezone.now() - timedelta(days=1)
    version.text = "".join(f"<p>{text}</p>" for text in texts)
    version.spans = spans_of(
        version.text, [(s["id"], s["source_hash"], text) for s, text in said]
    )
    version.findings, version.errors, version.warnings, version.score = [], 0, 0, 100
    version.save()
    return unit


def term(**given):
    values = {"source_term": "ilmo", "source_forms": "ilmo|ilmuhu", "preferred": "طفل"}
    values |= {"source_language": "so", "target_language": "ar"} | given
    row = GlossaryTerm.objects.filter(source_term=values["source_term"]).first()
    row = row or GlossaryTerm()
    for name, value in values.items():
        setattr(row, name, value)
    save_term(row, by="amina")
    return row


def reloaded(unit):
    return Translation.objects.select_related("latest").get(pk=unit.pk)


def states():
    lines = coverage(
        languages=["ar"], entry=all_registered()["translations_lessons.lesson"]
    )
    return {s: n for line in lines for s, n in line.counts.items() if n}


def test_only_a_text_that_is_against_the_changed_term_is_out_of_date(lesson):
    against = published(lesson, "ينام الولد.", "انتظر 5 دقائق.")
    other = make_lesson("Ilmo", body=BODY, body_format="html")
    keeps = published(other, "ينام الطفل.", "انتظر 5 دقائق.")
    assert states()[State.PUBLISHED] == 2
    term()

    done = recheck_glossary()

    (breach,) = done.found
    assert (breach.unit.pk, breach.terms, breach.segments) == (
        against.pk,
        ("ilmo",),
        ("s1",),
    )
    unit = reloaded(against)
    assert unit.is_out_of_date and not unit.is_stale
    assert unit.status == ReviewStatus.PUBLISHED  # readers see it until a new one is
    assert [found["code"] for found in unit.latest.findings] == ["glossary_missing"]
    assert not reloaded(keeps).is_out_of_date
    assert (states()[State.STALE], states()[State.PUBLISHED]) == (1, 1)


def test_just_the_segment_with_the_term_is_asked_for(lesson):
    published(lesson, "ينام الولد.", "انتظر 5 دقائق.")
    term()
    recheck_glossary()

    options = {"languages": ["ar"], "fields": ["body"]}
    run = start_run("translation", options, trigger=Trigger.COMMAND, canary=False)
    collect_run(run)

    run.refresh_from_db()
    assert run.items_collected == 1
    assert sent_segments(ItemRequest.objects.get().body) == {
        "s1": "Ilmuhu wuu seexdaa."
    }


def test_a_text_made_or_let_stand_after_the_change_is_left_alone(lesson, admin_user):
    unit = published(lesson, "ينام الولد.", "انتظر 5 دقائق.")
    row = term()
    recheck_glossary()

    look_again(unit, base=unit.latest_id, by=admin_user)

    assert not reloaded(unit).is_out_of_date
    assert recheck_glossary().found == []
    row.preferred = "رضيع"
    save_term(row, by="amina")
    assert [breach.unit.pk for breach in recheck_glossary().found] == [unit.pk]


def test_what_a_person_writes_after_it_is_up_to_date(lesson, admin_user):
    unit = published(lesson, "ينام الولد.", "انتظر 5 دقائق.")
    term()
    recheck_glossary()

    texts = {"s1": "ينام الطفل."}
    settle(unit, base=unit.latest_id, texts=texts, by=admin_user, publish=True)

    assert not reloaded(unit).is_out_of_date
    assert states()[State.PUBLISHED] == 1


def test_whoever_rejects_the_new_text_lets_the_old_one_stand(lesson, admin_user):
    unit = published(lesson, "ينام الولد.", "انتظر 5 دقائق.")
    Translation.objects.filter(pk=unit.pk).update(is_kept=True)
    term()
    recheck_glossary()
    proposal = answer(lesson, "body", word="الطفل")
    assert not proposal.is_out_of_date and proposal.status == "pending_review"

    reject(proposal, base=proposal.latest_id, by=admin_user, reason="style")

    assert reloaded(unit).latest_id == unit.latest_id
    assert not reloaded(unit).is_out_of_date
    assert recheck_glossary().found == []


@pytest.mark.parametrize("is_deleted", [True, False])
def test_a_term_that_is_taken_back_clears_the_mark(lesson, is_deleted):
    unit = published(lesson, "ينام الولد.", "انتظر 5 دقائق.")
    row = term()
    recheck_glossary()

    if is_deleted:
        delete_term(row, by="amina")
    else:
        term(preferred="ولد")
    done = recheck_glossary()

    assert (done.found, done.mended) == ([], 1)
    assert not reloaded(unit).is_out_of_date


def test_a_term_of_other_content_or_languages_marks_nothing(lesson):
    published(lesson, "ينام الولد.", "انتظر 5 دقائق.")
    term(target_language="en")
    term(source_term="Ilmo", scope="gallery.photo")

    assert recheck_glossary().found == []


def test_a_dry_run_names_the_text_and_marks_none(lesson):
    unit = published(lesson, "ينام الولد.", "انتظر 5 دقائق.")
    term()

    out = StringIO()
    call_command("recheck_glossary", dry_run=True, stdout=out)

    assert f"lesson {lesson.pk} body ar: “ilmo” in s1" in out.getvalue()
    assert "1 would be marked" in out.getvalue()
    assert not reloaded(unit).is_out_of_date


def test_a_changed_glossary_is_rechecked_once_by_the_worker(
    lesson, django_capture_on_commit_callbacks
):
    unit = published(lesson, "ينام الولد.", "انتظر 5 دقائق.")

    with django_capture_on_commit_callbacks(execute=True):
        term()
        term(source_term="sug", source_forms="sug", preferred="انتظر")

    funcs = [queued.task["func"] for queued in OrmQ.objects.all()]
    assert funcs == ["translations.tasks.recheck_texts"]
    assert recheck_texts() == "looked at 1: 1 against it, 0 no more"
    assert reloaded(unit).is_out_of_date


def test_a_recheck_that_was_cut_short_goes_on_from_there(lesson, monkeypatch):
    monkeypatch.setattr("translations.glossary.breaches.WINDOW", 1)
    published(lesson, "ينام الولد.", "انتظر 5 دقائق.")
    published(make_lesson("Ilmo", body=BODY, body_format="html"), "الولد.", "5.")
    term()

    first = recheck_glossary(is_over=lambda: True)
    assert (len(first.found), first.cursor) == (1, first.found[0].unit.pk)
    rest = recheck_glossary(after=first.cursor)
    assert (len(rest.found), rest.cursor) == (1, None)


def test_the_page_of_a_term_leads_to_what_is_against_it(
    admin_client, settings, tmp_path
):
    settings.STATIC_ROOT = tmp_path
    row = term()
    given = {**row.columns(), "preferred": "رضيع"}
    url = reverse("admin:translations_glossaryterm_change", args=[row.pk])

    page = admin_client.post(url, given, follow=True).content.decode()

    assert "will be marked as out of date" in page
    assert f'href="{reverse("admin:translations_coverage")}"' in page


def test_the_page_of_review_shows_what_a_text_is_against(
    lesson, admin_client, settings, tmp_path
):
    settings.STATIC_ROOT = tmp_path
    unit = published(lesson, "ينام الولد.", "انتظر 5 دقائق.")
    term()
    recheck_glossary()

    url = reverse("admin:translations_translation_review_one", args=[unit.pk])
    page = admin_client.get(url).content.decode()

    assert "A term of the glossary has changed since" in page
    renew = reverse("admin:translations_lessons_lesson_translate_row", args=[lesson.pk])
    assert f"{renew}?language=ar&amp;field=body" in page
    shelf = admin_client.get(
        reverse("admin:translations_translation_review") + "?shelf=stale"
    )
    assert [row.pk for row in shelf.context["rows"]] == [unit.pk]
