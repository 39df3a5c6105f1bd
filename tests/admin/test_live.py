"""Pages that follow what happens: the JSON that their script asks for."""

import pytest
from django.contrib.auth.models import Permission
from django.urls import reverse

from batches.admin.display import row_url
from batches.admin.live import QUICK_SECONDS, SLOW_SECONDS
from batches.models import BatchJob, JobShare, Run
from batches.states import ItemStatus, JobStatus, RunStatus
from translations.lessons.models import Lesson

pytestmark = pytest.mark.django_db


def live_url(row, key=None):
    options = row._meta
    name = f"admin:{options.app_label}_{options.model_name}_live"
    return reverse(name, args=[key or row.pk])


def test_the_page_of_a_run_says_where_to_ask(page, make_run):
    run = make_run(items_collected=72)

    html = page(row_url(Run, run.pk))

    assert f'data-live-url="{live_url(run)}" data-live-seconds="2"' in html
    assert 'role="status" aria-live="polite"' in html
    assert "Running: 0 of 72." in html
    assert 'src="/static/batches/live.js" defer' in html


def test_the_answer_is_what_the_page_shows(admin_client, make_run, make_job):
    run = make_run(items_collected=72)
    make_job(runs=[run], share={"sent": 70, "complete": 12, "failed": 3})

    said = admin_client.get(live_url(run)).json()

    assert said["sentence"] == "Running: 15 of 72, 3 of them failed."
    assert said["seconds"] == QUICK_SECONDS
    assert set(said["acts"]) == {"cancel", "pause", "recall", "retry", "set_priority"}
    for key in ("figures", "waits", "jobs", "failures", "events", "request"):
        assert f'data-panel="{key}"' in said["html"]
    assert "15 of 72" in said["html"]
    page = admin_client.get(row_url(Run, run.pk)).content.decode()
    assert said["html"].strip() in page


def test_what_has_not_changed_is_not_sent_again(admin_client, make_run, make_job):
    run = make_run(items_collected=2)
    job = make_job(runs=[run], share={"sent": 2})
    first = admin_client.get(live_url(run))

    same = admin_client.get(live_url(run), headers={"If-None-Match": first["ETag"]})
    JobShare.objects.filter(job=job).update(complete=1)
    other = admin_client.get(live_url(run), headers={"If-None-Match": first["ETag"]})

    assert (same.status_code, same.content) == (304, b"")
    assert other.status_code == 200
    assert other["ETag"] != first["ETag"]


@pytest.mark.parametrize("status", RunStatus)
def test_a_run_that_is_final_is_asked_about_no_more(admin_client, make_run, status):
    run = make_run(status)
    is_final = bool(run.finished_at)

    said = admin_client.get(live_url(run)).json()

    assert said["seconds"] == (0 if is_final else QUICK_SECONDS)


@pytest.mark.parametrize(
    ("status", "seconds", "acts"),
    [
        (
            JobStatus.PENDING,
            QUICK_SECONDS,
            ["cancel", "pause", "recall", "submit"],
        ),
        (
            JobStatus.IN_PROGRESS,
            QUICK_SECONDS,
            ["cancel", "check_status", "recall"],
        ),
        (JobStatus.COMPLETED, QUICK_SECONDS, ["process_results"]),
        (JobStatus.PROCESSED, 0, []),
    ],
)
def test_a_job_is_followed_too(admin_client, make_job, status, seconds, acts):
    job = make_job(status, items_total=4)

    said = admin_client.get(live_url(job)).json()

    assert (said["seconds"], said["acts"]) == (seconds, acts)
    assert said["sentence"].startswith(str(status.label))


def test_a_lesson_is_followed_quickly_while_work_on_it_is_under_way(
    admin_client, make_lesson, make_item, make_translation
):
    lesson = make_lesson()
    idle = admin_client.get(live_url(lesson)).json()
    make_item(ItemStatus.PENDING, subject=lesson)
    make_translation(lesson, language="ar", text="نوم الطفل")

    busy = admin_client.get(live_url(lesson)).json()

    assert (idle["seconds"], idle["sentence"]) == (SLOW_SECONDS, "")
    assert "It has not been translated." in idle["html"]
    assert busy["seconds"] == QUICK_SECONDS
    assert busy["sentence"] == "1 request for translations is under way."
    assert 'lang="ar" dir="rtl">نوم الطفل</span>' in busy["html"]


def test_the_beginning_of_a_marked_up_text_is_shown_without_tags(
    admin_client, make_lesson, make_translation
):
    lesson = make_lesson()
    unit = make_translation(
        lesson,
        field="body",
        text="<h2>نوم</h2><p>الطفل &amp; <b>x</b></p>" + "y" * 5_000,
    )
    unit.format = "html"
    unit.save()

    html = admin_client.get(live_url(lesson)).json()["html"]

    assert ">نوم الطفل &amp; x yy" in html
    assert "y" * 121 not in html


def test_the_answer_takes_as_many_queries_for_one_job_as_for_many(
    admin_client, make_run, make_job, make_failure, django_assert_max_num_queries
):
    run = make_run()
    for _ in range(8):
        job = make_job(runs=[run], share={"sent": 3, "failed": 1})
        make_failure(run=run, job=job)
    admin_client.get(live_url(run))

    # as the page itself takes
    with django_assert_max_num_queries(13):
        admin_client.get(live_url(run))


def test_a_lesson_takes_few_queries_however_many_translations_it_has(
    admin_client, make_lesson, make_translation, django_assert_num_queries
):
    lesson = make_lesson()
    for field in ("title", "description", "body"):
        for language in ("en", "ar", "fr"):
            make_translation(lesson, field=field, language=language)
    admin_client.get(live_url(lesson))

    # session, user, lesson, what is under way, translations
    with django_assert_num_queries(5):
        admin_client.get(live_url(lesson))


@pytest.mark.parametrize("key", ["999999", "x", "9" * 30, "../..", "%27"])
def test_an_id_that_is_none_is_not_found(admin_client, make_run, key):
    make_run()

    for name in ("batches/run", "batches/batchjob", "translations_lessons/lesson"):
        response = admin_client.get(f"/admin/{name}/{key}/live/")
        assert response.status_code == 404


def test_it_is_found_under_the_public_id(admin_client, make_run):
    run = make_run()

    assert admin_client.get(live_url(run, run.public_id)).status_code == 200


@pytest.mark.parametrize("model", [Run, BatchJob, Lesson])
def test_it_needs_the_view_permission(
    client, django_user_model, make_run, make_job, make_lesson, model
):
    row = {Run: make_run, BatchJob: make_job, Lesson: make_lesson}[model]()
    user = django_user_model.objects.create_user("sahra", is_staff=True)

    anonymous = client.get(live_url(row))
    client.force_login(user)
    before = client.get(live_url(row))
    codename = f"view_{model._meta.model_name}"
    user.user_permissions.add(Permission.objects.get(codename=codename))
    after = client.get(live_url(row))

    assert anonymous.status_code == 302
    assert (before.status_code, after.status_code) == (403, 200)
