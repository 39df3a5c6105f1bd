"""How translations were received, by prompt version."""

import pytest
from django.contrib.auth.models import User

from batches.models import BatchItem, PromptVersion
from batches.monitoring.arms import compare_runs
from batches.services.collection import collect_run, start_run
from batches.states import Trigger
from batches.workloads import Reception, get_workload
from tests.driving import work_off
from translations.lessons.models import Course, Lesson
from translations.models import Translation
from translations.review.models import ReviewAct, ReviewEntry

pytestmark = pytest.mark.django_db

TITLES = ["Hurdada carruurta", "Nafaqada ilmaha", "Ciyaarta", "Akhriska"]


@pytest.fixture
def run(sandbox):
    course = Course.objects.create(external_id="course-1", title="Akadeemiyadda")
    for number, title in enumerate(TITLES):
        Lesson.objects.create(
            course=course, external_id=f"lesson-{number}", title=title
        )
    options = {
        "languages": ["en"],
        "content": ["translations_lessons.lesson"],
        "fields": ["title"],
    }
    run = start_run("translation", options, trigger=Trigger.COMMAND, canary=False)
    collect_run(run)
    work_off(seconds=60)
    return run


def decide(unit, act, version=None, **given):
    reviewer, _ = User.objects.get_or_create(username="amina")
    ReviewEntry.objects.create(
        translation=unit,
        version=version or unit.latest,
        act=act,
        actor=reviewer,
        actor_name="amina",
        **given,
    )


def edit(unit):
    """A person's version beside the machine's, as the review desk writes it."""
    made = unit.latest
    made.pk, made.parent_id, made.number = None, unit.latest_id, 2
    made.origin, made.item_id, made.prompt_version_id = "person", None, None
    made.save()


def test_each_result_is_approved_edited_rejected_or_undecided(run):
    approved, edited, rejected, _ = Translation.objects.order_by("pk")
    decide(approved, ReviewAct.APPROVED)
    edit(edited)
    decide(rejected, ReviewAct.APPROVED)
    decide(rejected, ReviewAct.REJECTED, reason="style")

    items = BatchItem.objects.filter(run=run)
    found = get_workload("translation").receptions(items)

    scores = [unit.latest.score for unit in Translation.objects.order_by("pk")]
    version = PromptVersion.objects.get(workload="translation")
    assert found == {version.pk: Reception(4, sum(scores), 1, 1, 1)}
    assert found[version.pk].undecided == 1
    (arm,) = compare_runs("translation", [run]).arms
    assert arm.reception == found[version.pk]
    assert arm.reception.score == sum(scores) / 4
