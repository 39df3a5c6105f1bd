"""An answer with errors is asked for once more; the better of both is shown."""

import orjson
import pytest

from batches import workloads
from batches.models import BatchItem, ItemRequest
from batches.services.collection import collect_run, start_run
from batches.services.recount import recount
from batches.states import ItemStatus, RunStatus, Trigger
from tests.driving import work_off
from translations.lessons.models import Course, Lesson
from translations.models import Translation
from translations.workloads import TranslationWorkload

pytestmark = pytest.mark.django_db

GROW = "Hurdo fiican waxay ka caawisaa ilmaha inuu koro, wax barto oo uu degganaado."
EAT = "Ilmuhu wuxuu u baahan yahay cunto kala duwan si uu u koro."
SLEEP = "Hurdada carruurta"


def spoilt(text, source):
    """An answer whose segment for a source has a placeholder that nobody asked for."""
    answer = orjson.loads(text)
    segment = answer["segments"][source]
    segment["text"] = f"{{name}} {segment['text']}"
    return orjson.dumps(answer).decode()


class WrongOnce(TranslationWorkload):
    """As if the model put a placeholder into its first answer's second segment."""

    def judge_one(self, answer):
        if "is_repair" not in orjson.loads(answer.context):
            answer.text = spoilt(answer.text, -1)
        return super().judge_one(answer)


class WrongTwice(TranslationWorkload):
    """As if the second answer were worse than the first."""

    def judge_one(self, answer):
        answer.text = spoilt(answer.text, -1)
        if "is_repair" in orjson.loads(answer.context):
            said = orjson.loads(answer.text)
            said["segments"][-1]["text"] += " 17 <b>"
            answer.text = orjson.dumps(said).decode()
        return super().judge_one(answer)


@pytest.fixture
def lesson():
    course = Course.objects.create(external_id="course-1", title="Akadeemiyadda")
    return Lesson.objects.create(
        course=course,
        external_id="lesson-1",
        title=SLEEP,
        body=f"<p>{GROW}</p><p>{EAT}</p>",
        body_format="html",
    )


@pytest.fixture
def deploy(monkeypatch):
    def install(workload):
        monkeypatch.setitem(workloads._registered, "translation", workload())

    return install


def translate(language="en", field="body"):
    options = {
        "languages": [language],
        "content": ["translations_lessons.lesson"],
        "fields": [field],
    }
    run = start_run("translation", options, trigger=Trigger.COMMAND, canary=False)
    collect_run(run)
    work_off(seconds=60)
    run.refresh_from_db()
    return run


def codes(version):
    return [finding["code"] for finding in version.findings]


def test_an_answer_with_an_error_is_asked_for_once_more(
    sandbox, lesson, deploy, settings
):
    settings.TRANSLATION_PUBLISH = "all"
    deploy(WrongOnce)

    run = translate()

    first, second = BatchItem.objects.order_by("pk")
    assert (second.parent_id, second.job_id == first.job_id) == (first.pk, False)
    asked = orjson.loads(ItemRequest.objects.get(item=second).body)
    message = orjson.loads(asked["messages"][1]["content"])
    assert [segment["id"] for segment in message["segments"]] == ["s2"]
    (failed,) = message["failed_checks"]
    assert (failed["segment"], failed["check"]) == ("s2", "placeholder_mismatch")
    assert message["earlier"][0]["text"].startswith("{name} ")
    unit = Translation.objects.get()
    one, two = unit.versions.order_by("number")
    assert codes(one) == ["placeholder_mismatch"] and codes(two) == []
    assert two.segments[0] == one.segments[0]
    assert unit.latest == unit.published == two
    assert run.status == RunStatus.COMPLETED
    assert recount(repair=False) == []


def test_a_text_that_came_in_parts_is_repaired_as_a_whole(sandbox, lesson, deploy):
    lesson.body = f"<p>{GROW}</p><p>{EAT}</p>" * 15
    lesson.save()
    deploy(WrongOnce)

    translate()

    one, two, repair = BatchItem.objects.order_by("pk")
    assert [one.target, two.target] == ["body:en#1", "body:en#2"]
    assert (repair.target, repair.parent_id in (one.pk, two.pk)) == ("body:en", True)
    body = orjson.loads(ItemRequest.objects.get(item=repair).body)
    asked = orjson.loads(body["messages"][1]["content"])["segments"]
    assert len(asked) == 2 and asked[1]["id"] == "s30"
    unit = Translation.objects.get()
    first, second = unit.versions.order_by("number")
    assert (first.errors, second.errors) == (2, 0)
    assert unit.latest == second and len(second.segments) == 30


def test_a_repair_that_is_worse_stays_behind_and_is_not_repaired(
    sandbox, lesson, deploy
):
    deploy(WrongTwice)

    translate()

    assert BatchItem.objects.filter(status=ItemStatus.COMPLETE).count() == 2
    unit = Translation.objects.get()
    one, two = unit.versions.order_by("number")
    assert two.score < one.score
    assert (unit.latest, unit.versions_made) == (one, 2)


def test_it_is_asked_once_only_where_the_switch_is_off(
    sandbox, lesson, deploy, settings
):
    settings.TRANSLATION_REPAIR = False
    deploy(WrongOnce)

    translate()

    assert BatchItem.objects.count() == 1
    assert codes(Translation.objects.get().latest) == ["placeholder_mismatch"]


def test_what_the_sandbox_made_up_is_not_repaired(sandbox, lesson, deploy):
    deploy(WrongOnce)

    translate(language="de")  # no sample

    assert BatchItem.objects.count() == 1
    assert "sandbox_text" in codes(Translation.objects.get().latest)


def test_an_answer_for_a_source_that_changed_is_not_repaired(sandbox, lesson, deploy):
    class Late(WrongOnce):
        def judge_one(self, answer):
            Lesson.objects.update(body="<p>Cunto</p>")
            return super().judge_one(answer)

    deploy(Late)

    translate()

    assert BatchItem.objects.count() == 1
    assert Translation.objects.get().is_stale
