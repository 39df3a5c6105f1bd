"""What a model, a file or a person wrote is shown as text, never run."""

import pytest

from batches.admin.display import list_url, row_url
from batches.models import BatchItem, BatchJob, ItemAttempt, Run, StrayLine
from translations.lessons.models import Lesson
from translations.models import Translation, TranslationVersion

pytestmark = pytest.mark.django_db

EVIL = "<script>alert('x')</script>"
SHOWN = "&lt;script&gt;alert("


@pytest.fixture
def evil(
    make_run,
    make_job,
    make_lesson,
    make_item,
    make_failure,
    make_attempt,
    make_request,
    make_translation,
):
    """Script in every place that others write."""
    run = make_run(skipped={EVIL: 1}, options={"x": EVIL})
    job = make_job(
        runs=[run],
        share={"sent": 2, "failed": 1},
        waiting_reason=EVIL,
        provider_answer=EVIL,
        provider_status=EVIL[:32],
    )
    lesson = make_lesson(EVIL, body=EVIL)
    failed = make_failure(run=run, job=job, subject=lesson, message=EVIL)
    make_request(failed, body=EVIL, context=EVIL)
    done = make_item(run=run, job=job, subject=lesson)
    attempt = make_attempt(done, answer=EVIL, raw_line=EVIL)
    StrayLine.objects.create(
        job=job, file_id="f", line=1, kind="unknown", custom_id=EVIL, raw_line=EVIL
    )
    unit = make_translation(
        lesson,
        text=EVIL,
        findings=[
            {
                "code": EVIL,
                "severity": "error",
                "template": "It says %(what)s.",
                "params": {"what": EVIL},
                "message": EVIL,
                "segment": EVIL,
            }
        ],
    )
    return {
        "run": row_url(Run, run.pk),
        "job": row_url(BatchJob, job.pk),
        "items": list_url(BatchItem),
        "failed item": row_url(BatchItem, failed.pk),
        "done item": row_url(BatchItem, done.pk),
        "attempt": row_url(ItemAttempt, attempt.pk),
        "stray lines": list_url(StrayLine),
        "lessons": list_url(Lesson),
        "lesson": row_url(Lesson, lesson.pk),
        "translations": list_url(Translation),
        "translation": row_url(Translation, unit.pk),
        "version": row_url(TranslationVersion, unit.latest_id),
    }


@pytest.mark.parametrize(
    "name",
    [
        "run",
        "job",
        "items",
        "failed item",
        "done item",
        "attempt",
        "stray lines",
        "lessons",
        "lesson",
        "translations",
        "translation",
        "version",
    ],
)
def test_script_is_shown_and_not_run(page, evil, name):
    html = page(evil[name])

    assert SHOWN in html
    assert "<script>alert" not in html


def test_tags_of_markup_are_isolated_and_escaped(page, make_lesson, make_translation):
    unit = make_translation(make_lesson(), text="<p onclick=x()>أهلا</p>")
    Translation.objects.filter(pk=unit.pk).update(format="html")

    html = page(row_url(Translation, unit.pk))

    assert '<bdi class="tag" dir="ltr">&lt;p onclick=x()&gt;</bdi>أهلا' in html
    assert "<p onclick" not in html


def test_what_is_searched_for_is_escaped(page, evil):
    for query in ({"q": EVIL}, {"error": EVIL}, {"run": EVIL}, {"job": EVIL}):
        assert "<script>alert" not in page(list_url(BatchItem, **query))
