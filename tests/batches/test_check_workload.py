"""`check_workload` lets good workloads be, and names the method of a broken one."""

from typing import Any

import pytest
from pydantic import BaseModel

from batches.errors import SubjectGone
from batches.models import BatchItem, PromptVersion, Run
from batches.testing import BrokenWorkload, check_workload
from batches.workloads import (
    Answer,
    Page,
    Verdict,
    Workload,
    all_workloads,
    registered,
)
from tests.factories import make_paintings
from tests.gallery.models import Caption, Painting, Photo, Sketch
from tests.gallery.workloads import CaptionWorkload
from translations.dictionary.models import Word

pytestmark = pytest.mark.django_db

MODELS = {"painting": Painting, "photo": Photo, "sketch": Sketch}


class Fine(CaptionWorkload):
    """The workload of the gallery, to be broken in one place at a time."""

    key = "fine"


def broken(method: str) -> type[Workload]:
    def raises(self: Any, *args: Any, **named: Any) -> Any:
        raise RuntimeError(f"a bug in {method}")

    return type("Broken", (Fine,), {method: raises})


def objection(workload: type[Workload], **options: Any) -> str:
    with registered(workload), pytest.raises(BrokenWorkload) as told:
        check_workload("fine", **options)
    return str(told.value)


# --- what is right --------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("kind", MODELS)
def test_keys_of_numbers_uuids_and_slugs_pass_and_nothing_is_left(kind):
    for number in range(4):
        given = {"slug": f"s-{number}"} if kind == "sketch" else {}
        MODELS[kind].objects.create(title=f"title {number}", **given)

    check_workload("captions", kind=kind)

    assert MODELS[kind].objects.count() == 4
    assert not Caption.objects.exists()
    assert not Run.objects.exists()
    assert not BatchItem.objects.exists()
    assert not PromptVersion.objects.filter(workload="captions").exists()


@pytest.mark.slow
def test_the_check_waits_for_follow_ups_too():
    make_paintings("one", "two")

    check_workload("captions", follow_ups=1)


# --- what raises ----------------------------------------------------------------------

EARLY = (
    "read_options",
    "response_format",
    "nouns",
    "subjects",
    "targets",
    "trait",
    "wholes",
    "build_request",
    "usual_output",
    "scope",
)
LATE = ("warm_up", "judge", "judge_one", "split", "store", "explain_result")


@pytest.mark.parametrize("method", EARLY)
def test_a_method_that_raises_is_named(method):
    all_workloads()
    make_paintings("one", "two")

    said = objection(broken(method))

    assert method in said.partition(" ")[0]
    assert f"a bug in {method}" in said


@pytest.mark.slow
@pytest.mark.parametrize("method", LATE)
def test_a_method_that_raises_over_an_answer_is_named(method):
    all_workloads()
    make_paintings("one", "two")

    said = objection(broken(method))

    assert method.removesuffix("_one") in said.partition(" ")[0]
    assert f"a bug in {method}" in said


# --- what is wrong otherwise ----------------------------------------------------------


def test_without_a_row_the_check_says_what_to_do():
    assert "Make rows that need work" in objection(Fine)


def test_an_option_that_is_refused_is_named():
    with pytest.raises(BrokenWorkload, match=r"read_options\(\) raised .*'statue'"):
        check_workload("captions", kind="statue")


def test_a_result_that_strict_mode_refuses_is_told():
    class Loose(BaseModel):
        anything: dict[str, str]

    class WithLoose(Fine):
        result = Loose

    make_paintings("one")

    said = objection(WithLoose)

    assert "response_format() raised" in said
    assert "names every property" in said


def test_a_request_without_a_bound_on_its_output_is_told():
    class Unbounded(Fine):
        def build_request(self, *args):
            request = super().build_request(*args)
            del request.body["max_completion_tokens"]
            return request

    make_paintings("one")

    assert "must bound its output" in objection(Unbounded)


def test_a_request_that_differs_each_time_is_told():
    class Counting(Fine):
        asked = 0

        def build_request(self, *args):
            type(self).asked += 1
            request = super().build_request(*args)
            request.context["asked"] = self.asked
            return request

    make_paintings("one")

    assert "another request when repeated" in objection(Counting)


def test_pages_that_leave_rows_out_are_told():
    class Skipping(Fine):
        def subjects(self, options, after, limit):
            page = super().subjects(options, after, limit)
            if page.cursor:
                page = Page(page.subjects, str(int(page.cursor) + 1))
            return page

    make_paintings("one", "two", "three")

    assert "the cursor must lead to the next row" in objection(Skipping)


def test_a_cursor_that_stands_still_is_told():
    class Standing(Fine):
        def subjects(self, options, after, limit):
            return (
                Page([], after or "x")
                if limit == 1
                else super().subjects(options, after, limit)
            )

    make_paintings("one", "two")

    assert "stands still" in objection(Standing)


@pytest.mark.slow
def test_a_judge_that_asks_the_database_is_told():
    class Asking(Fine):
        def judge_one(self, answer: Answer) -> Verdict:
            Word.objects.exists()
            return super().judge_one(answer)

    make_paintings("one")

    assert "asks the database" in objection(Asking)


@pytest.mark.slow
def test_a_store_that_adds_the_same_twice_is_told():
    class Adding(Fine):
        def store(self, verdicts):
            for verdict in verdicts:
                Painting.objects.create(title=verdict.result.caption)
            return []

    make_paintings("one")

    assert "adds rows to gallery.Painting" in objection(Adding)


@pytest.mark.slow
def test_a_store_that_forgets_deleted_subjects_is_told():
    class Forgetting(Fine):
        def store(self, verdicts):
            for verdict in verdicts:
                rows = Painting.objects.filter(pk=verdict.answer.object_id)
                rows.update(title=verdict.result.caption)
            return []

    make_paintings("one")

    assert "its answer is lost from sight" in objection(Forgetting)


@pytest.mark.slow
def test_a_store_that_raises_over_deleted_subjects_is_told():
    class Raising(Fine):
        def store(self, verdicts):
            for verdict in verdicts:
                Painting.objects.get(pk=verdict.answer.object_id)
            return []

    make_paintings("one")

    said = objection(Raising)

    assert "does not expect that subjects are deleted" in said
    assert SubjectGone.__name__ in said
