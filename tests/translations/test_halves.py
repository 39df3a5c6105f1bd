"""Halves of an answer: while one is missing, and when both are there."""

from itertools import permutations

import pytest

from batches.admin.display import row_url
from batches.models import BatchItem, OpenItem
from batches.services.recount import recount
from batches.services.requeue import requeue
from batches.services.steering import pause_run, resume_run
from batches.states import ItemStatus
from batches.workloads import Answer
from tests.driving import work_off
from tests.translations.halving import (
    HTML,
    LONG,
    body_unit,
    check_figures,
    collect,
    cut_off,
    item_of,
    pseudo,
    refuse,
    work_until_split,
)
from translations.judging import Judged
from translations.lessons.models import Lesson
from translations.models import DraftPart, ReviewStatus, Translation, TranslationVersion
from translations.storing import store_judged

pytestmark = pytest.mark.django_db


# --- while halves wait ----------------------------------------------------------------


def test_what_waits_in_halves_is_not_asked_for_again(sandbox, lesson_with):
    lesson_with(HTML)
    lesson_with(LONG)
    collect()
    cut_off(sandbox, item_of("body:ar"), item_of("body:ar#2"))
    work_until_split("body:ar#2.1")
    cut_off(sandbox, item_of("body:ar#1.1"))

    again = [collect()]
    work_until_split("body:ar#1.11")
    again.append(collect())
    work_off()

    assert [run.items_collected for run in again] == [0, 0]
    assert [run.skipped for run in again] == [{"under_way": 2}, {"under_way": 1}]
    assert TranslationVersion.objects.count() == 2
    assert not DraftPart.objects.exists()


def test_a_part_with_both_halves_there_is_not_asked_for_again(sandbox, lesson_with):
    lesson_with(LONG)
    collect()
    cut_off(sandbox, item_of("body:ar#1"))
    refuse(sandbox, item_of("body:ar#3"))
    work_off()
    unit = body_unit()
    assert unit.parts_done == unit.parts_total - 1
    assert {part.place for part in DraftPart.objects.all()} > {"1.1", "1.2"}
    sandbox.clear_faults()

    again = collect()
    work_off()

    assert again.items_collected == 1
    assert BatchItem.objects.last().target == "body:ar#3"
    assert TranslationVersion.objects.get().text == pseudo(LONG)
    assert recount(repair=False) == []


@pytest.mark.parametrize(("body", "target"), [(HTML, "body:ar"), (LONG, "body:ar#1")])
def test_a_part_that_lacks_a_half_is_asked_for_as_a_whole(
    sandbox, lesson_with, body, target
):
    lesson_with(body)
    collect()
    lost = lose_second_half(sandbox, item_of(target))
    unit = body_unit()
    assert unit.parts_done == unit.parts_total - 1
    assert unit.status == ReviewStatus.DRAFT
    assert unit.latest is None

    again = collect()
    work_off()

    assert lost.status == ItemStatus.FAILED
    assert again.items_collected == 1
    assert BatchItem.objects.last().target == target
    assert TranslationVersion.objects.get().text == pseudo(body)
    assert not DraftPart.objects.exists()
    assert body_unit().parts_total == 0


def lose_second_half(sandbox, item):
    """Work off; this item is split, and the second half of it fails."""
    cut_off(sandbox, item)
    key = item.target if "#" in item.target else f"{item.target}#1"
    work_until_split(f"{key}.2")
    half = item_of(f"{key}.2")
    refuse(sandbox, half)
    work_off()
    sandbox.clear_faults()
    half.refresh_from_db()
    return half


def test_a_half_that_is_under_way_elsewhere_is_not_asked_for(sandbox, lesson_with):
    lesson_with(HTML)
    first = collect()
    half = lose_second_half(sandbox, item_of("body:ar"))
    second = collect()
    whole = BatchItem.objects.get(run=second)
    assert requeue(BatchItem.objects.filter(pk=half.pk), by="amina").requeued == 1
    pause_run(first, by="amina")
    cut_off(sandbox, whole)
    work_off(until=lambda: OpenItem.objects.filter(run=second).count() == 0)

    children = BatchItem.objects.filter(parent=whole)
    assert [child.target for child in children] == ["body:ar#1.1"]
    assert body_unit().latest is None
    resume_run(first, by="amina")
    work_off()

    assert TranslationVersion.objects.get().text == pseudo(HTML)
    assert not DraftPart.objects.exists()
    check_figures(first, follow_ups=2)
    check_figures(second, follow_ups=1)


def test_a_source_that_changes_while_halves_wait_does_no_harm(sandbox, lesson_with):
    lesson = lesson_with(HTML)
    collect()
    cut_off(sandbox, item_of("body:ar"))
    work_until_split("body:ar#1.1")
    lesson.body = "<p>Wax kale</p>"
    lesson.save()

    work_off()

    unit = body_unit()
    assert (unit.latest.text, unit.is_stale) == (pseudo(HTML), True)
    assert collect().items_collected == 1


def test_a_draft_shows_which_halves_are_there(
    sandbox, lesson_with, admin_client, settings, tmp_path
):
    settings.STATIC_ROOT = tmp_path
    lesson_with(HTML)
    collect()
    lose_second_half(sandbox, item_of("body:ar"))

    html = admin_client.get(row_url(Translation, body_unit().pk)).content.decode()

    assert str(DraftPart.objects.get()) == "part 1.1 of 1"
    assert "Part 1.1 of 1: Arabic" in html
    assert "0 of 1 parts are there." in html


# --- drafts ---------------------------------------------------------------------------


def arrives(lesson, part, path, *, parts=2):
    """Store the answer to a part, or to half of one; its text says which it is."""
    kind = Translation._meta.get_field("content_type").related_model
    answer = Answer(
        item_id=part * 10 + len(path),
        provider="openai",
        model="m",
        is_sandbox=False,
        text="",
        content_type_id=kind.objects.get_for_model(Lesson).pk,
        object_id=str(lesson.pk),
    )
    # Three segments a part; the second half has two of them.
    names = {"": "abc", "1": "a", "2": "bc", "21": "b", "22": "c"}[path]
    segments = [
        {"id": f"{part}{name}", "source": "x", "text": f"[{part}{name}]"}
        for name in names
    ]
    text = "".join(segment["text"] for segment in segments)
    judged = Judged(
        field="body",
        language="ar",
        source_language="so",
        format="text",
        source_hash="h",
        part=part,
        parts=parts,
        path=path,
        text=text,
        segments=segments,
    )
    store_judged([(answer, judged)])


@pytest.mark.parametrize("order", list(permutations(["", "1", "2", "21", "22"])))
def test_whatever_comes_first_the_parts_join_once(lesson_with, order):
    lesson = lesson_with("x")

    for path in order:
        arrives(lesson, 1, path)
        assert not TranslationVersion.objects.exists()
    arrives(lesson, 2, "")

    version = TranslationVersion.objects.get()
    assert version.text == "[1a][1b][1c][2a][2b][2c]"
    assert len(version.segments) == 6
    assert not DraftPart.objects.exists()


def test_a_whole_text_leaves_no_halves_behind(lesson_with):
    lesson = lesson_with("x")
    arrives(lesson, 1, "1", parts=1)

    arrives(lesson, 1, "", parts=1)

    assert TranslationVersion.objects.get().text == "[1a][1b][1c]"
    assert not DraftPart.objects.exists()
    assert body_unit().parts_total == 0
