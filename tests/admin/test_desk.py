"""The first page: what is going on, and what to do next."""

import pytest
from django.contrib.auth.models import Permission
from django.urls import reverse

from batches.admin.display import list_url
from batches.states import ItemStatus, JobStatus, RunStatus
from translations.lessons.models import Lesson
from translations.models import ReviewStatus

pytestmark = pytest.mark.django_db

INDEX = "/admin/"


def test_an_empty_site_is_told_to_import(page):
    html = page(INDEX)

    assert "Next step<" in html
    assert "There are no lessons yet." in html
    assert f'href="{reverse("admin:translations_lessons_lesson_import")}"' in html


def test_lessons_without_translations_are_to_be_translated(page, make_lesson):
    make_lesson()
    make_lesson()

    html = page(INDEX)

    assert "There are 2 lessons, and none was ever translated" in html
    assert f'href="{list_url(Lesson)}">Choose lessons' in html


def test_what_waits_for_a_reviewer_is_said(page, make_lesson, make_translation):
    unit = make_translation(make_lesson())
    unit.status = ReviewStatus.PENDING_REVIEW
    unit.save()

    html = page(INDEX)

    assert "Translations to review: 1." in html
    assert reverse("admin:translations_translation_review") in html
    assert "none was ever translated" not in html


def test_when_all_is_done_there_is_no_next_step(page, make_lesson, make_translation):
    make_translation(make_lesson())

    assert "Next step" not in page(INDEX)


def test_it_counts_what_is_under_way(page, make_run, make_job, make_item):
    run = make_run()
    make_run(RunStatus.COMPLETED)
    make_job(JobStatus.PENDING, runs=[run])
    make_job(JobStatus.IN_PROGRESS, runs=[run])
    make_job(JobStatus.COMPLETED, runs=[run])
    make_job(JobStatus.PROCESSED, runs=[run], items_total=4, items_failed=3)
    make_item(ItemStatus.PENDING, run=run)

    html = page(INDEX)

    def shown(label):
        return html.split(f"<dt>{label}</dt><dd><bdi>")[1].split("</bdi>")[0]

    assert ">1</a>" in shown("Runs under way")
    assert shown("Jobs to send") == "1"
    assert ">1</a>" in shown("Jobs at the provider")
    assert shown("Jobs to read") == "1"
    assert ">1</a>" in shown("Items waiting for a job")
    assert ">3</a>" in shown("Items failed in 24 hours")


def test_it_shows_only_what_a_person_may_see(client, django_user_model, make_lesson):
    make_lesson()
    user = django_user_model.objects.create_user("sahra", is_staff=True)
    client.force_login(user)

    nothing = client.get(INDEX).content.decode()
    user.user_permissions.add(Permission.objects.get(codename="view_translation"))
    some = client.get(INDEX).content.decode()

    assert "panel-now" not in nothing
    assert "panel-next" not in nothing
    assert "Translations to review" in some
    assert "Runs under way" not in some


def test_it_takes_few_queries(
    admin_client, make_lesson, django_assert_num_queries, still_clock
):
    make_lesson()
    admin_client.get(INDEX)

    # session, user, holds, alerts twice, two counts of the engine, the pool, the
    # reviews, the proposals, the entries, urgent chats, whether there are lessons,
    # translations and runs, how many lessons; recent actions; the look in the audit
    # log
    with django_assert_num_queries(18):
        admin_client.get(INDEX)
