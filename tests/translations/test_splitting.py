"""Answers cut off at their limit: once more with a higher one, then in halves."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batches.models import BatchItem, ItemAttempt, ItemRequest
from batches.sandbox.responders.script import pseudo_text
from batches.services.recount import recount
from batches.states import AttemptOutcome, ItemStatus
from tests.driving import work_off
from tests.translations.halving import (
    BODIES,
    HTML,
    LONG,
    body_unit,
    check_figures,
    collect,
    cut_off,
    item_of,
    pseudo,
    work_until_split,
)
from tests.translations.test_segments import FORMATS, TEXTS
from translations.models import DraftPart, ReviewStatus, Translation, TranslationVersion
from translations.prompt import SYSTEM_PROMPT, build_body, narrowed_body
from translations.quality import STRUCTURE, Pair, check_segments
from translations.segments import (
    from_json,
    halves,
    join_pieces,
    parts,
    segments_of,
    split_text,
    to_json,
)
from translations.targets import split_target, target_key, wholes_of

pytestmark = pytest.mark.django_db


def codes_of_whole(text, format):
    """What the checks find in the sandbox's answer to a whole text."""
    pairs = [
        Pair(s.text, pseudo_text(s.text, "ar"), "so", "ar", format, s.id)
        for s in segments_of(split_text(text, format))
    ]
    return [finding.code for finding in check_segments(pairs, checks=STRUCTURE)]


def user_message(item):
    body = json.loads(ItemRequest.objects.get(item=item).body)
    return json.loads(body["messages"][1]["content"])


# --- cut off --------------------------------------------------------------------------


def test_an_answer_cut_off_once_comes_whole_with_twice_the_limit(sandbox, lesson_with):
    lesson_with(HTML)
    run = collect()
    item = item_of("body:ar")
    cut_off(sandbox, item, times=1)

    work_off()

    limit = json.loads(item.request.body)["max_completion_tokens"]
    first, second = ItemAttempt.objects.filter(item=item).order_by("pk")
    assert (first.outcome, first.raised_limit) == (AttemptOutcome.RETRIED, None)
    assert (second.outcome, second.raised_limit) == (AttemptOutcome.APPLIED, 2 * limit)
    assert body_unit().latest.text == pseudo(HTML)
    assert BatchItem.objects.count() == 1
    check_figures(run, follow_ups=0)


@pytest.mark.parametrize(("format", "body"), BODIES)
def test_an_answer_cut_off_twice_comes_in_halves_that_are_the_whole(
    sandbox, lesson_with, format, body
):
    lesson_with(body, format)
    run = collect()
    item = item_of("body:ar")
    cut_off(sandbox, item)

    work_off()

    item.refresh_from_db()
    assert item.status == ItemStatus.COMPLETE
    outcomes = ItemAttempt.objects.filter(item=item).order_by("pk")
    assert [attempt.outcome for attempt in outcomes] == ["retried", "split"]
    children = BatchItem.objects.filter(parent=item).order_by("pk")
    assert [child.target for child in children] == ["body:ar#1.1", "body:ar#1.2"]
    version = TranslationVersion.objects.get()
    assert version.text == pseudo(body, format)
    pieces = split_text(body, format)
    assert [s["id"] for s in version.segments] == [s.id for s in segments_of(pieces)]
    codes = [finding["code"] for finding in version.findings]
    assert codes == [*codes_of_whole(body, format), "sandbox_text"]
    unit = body_unit()
    assert (unit.parts_total, unit.status) == (0, ReviewStatus.PENDING_REVIEW)
    assert not DraftPart.objects.exists()
    costs = ItemAttempt.objects.values_list("cost_nanos", flat=True)
    assert [cost > 0 for cost in costs] == [True] * 4
    check_figures(run, follow_ups=2)


def test_halves_are_asked_for_like_the_whole(sandbox, lesson_with):
    lesson_with(HTML)
    collect()
    item = item_of("body:ar")
    cut_off(sandbox, item)
    work_off()

    whole = user_message(item)
    asked = [user_message(item_of(f"body:ar#1.{half}")) for half in (1, 2)]

    assert asked[0]["segments"] + asked[1]["segments"] == whole["segments"]
    for half in (1, 2):
        child = item_of(f"body:ar#1.{half}")
        parent_body, body = (
            json.loads(ItemRequest.objects.get(item=i).body) for i in (item, child)
        )
        message = user_message(child)
        characters = sum(len(segment["text"]) for segment in message["segments"])
        assert body.pop("max_completion_tokens") == 400 + characters
        assert {**message, "segments": whole["segments"]} == whole
        assert body["messages"][0] == parent_body["messages"][0]
        assert body["response_format"] == parent_body["response_format"]
        assert (body["model"], body["temperature"]) == ("gpt-4o-mini", 0.2)
        assert child.prompt_version_id == item.prompt_version_id


def test_one_part_of_several_is_split_and_the_others_are_not(sandbox, lesson_with):
    lesson_with(LONG)
    run = collect()
    item = item_of("body:ar#2")
    assert item_of("body:ar#3")
    cut_off(sandbox, item)

    work_off()

    children = BatchItem.objects.filter(parent=item).order_by("pk")
    assert [child.target for child in children] == ["body:ar#2.1", "body:ar#2.2"]
    assert TranslationVersion.objects.get().text == pseudo(LONG)
    assert not DraftPart.objects.exists()
    check_figures(run, follow_ups=2)


def test_a_half_is_split_again(sandbox, lesson_with):
    lesson_with(HTML)
    run = collect()
    cut_off(sandbox, item_of("body:ar"))
    work_until_split("body:ar#1.2")
    cut_off(sandbox, item_of("body:ar#1.2"))

    work_off()

    assert set(BatchItem.objects.values_list("target", flat=True)) == {
        "body:ar",
        "body:ar#1.1",
        "body:ar#1.2",
        "body:ar#1.21",
        "body:ar#1.22",
    }
    assert TranslationVersion.objects.get().text == pseudo(HTML)
    assert not DraftPart.objects.exists()
    check_figures(run, follow_ups=4)


def test_a_segment_that_is_alone_fails(sandbox, lesson_with):
    lesson_with('<p>Akhri <a href="/x" title="Buugga waalidka">buugga</a> hore.</p>')
    collect()
    item = item_of("body:ar")
    cut_off(sandbox, item)

    work_off()

    item.refresh_from_db()
    assert (item.status, item.error_code) == (ItemStatus.FAILED, "truncated")
    assert BatchItem.objects.count() == 1
    assert not Translation.objects.exists()
    assert recount(repair=False) == []


def test_what_one_half_has_pretended_marks_the_whole(sandbox, lesson_with):
    lesson_with("<p>Tan lama yaqaan.</p><p>Hurdada carruurta</p>")
    collect()
    cut_off(sandbox, item_of("body:ar"))

    work_off()

    version = TranslationVersion.objects.get()
    assert "نوم الأطفال" in version.text  # the last half's, which is a sample
    assert [finding["code"] for finding in version.findings] == ["sandbox_text"]


# --- cutting --------------------------------------------------------------------------


def size(pieces):
    return sum(len(segment.text) for segment in segments_of(pieces))


def hosts(pieces):
    """How many segments stand by themselves, and in no other's tag."""
    return sum(segment.inside is None for segment in segments_of(pieces))


@pytest.mark.parametrize("format", FORMATS)
# In a fresh clone the first texts are slow: tables of characters are made for them.
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(text=TEXTS, mark=st.sampled_from(["", "→", "a | b\nc", '"']))
def test_the_joined_halves_are_the_joined_whole(format, text, mark):
    pieces = split_text(text, format)
    targets = {s.id: mark + s.text for s in segments_of(pieces)}

    cut = halves(pieces)

    assert len(cut) == (2 if hosts(pieces) > 1 else 0)
    if cut:
        assert [piece for half in cut for piece in half] == pieces
        for texts in ({}, targets):
            joined = "".join(join_pieces(half, texts) for half in cut)
            assert joined == join_pieces(pieces, texts)
        assert all(hosts(half) for half in cut)
        assert segments_of(cut[1])[0].inside is None
        own = {s.id: s.text for s in segments_of(pieces)}
        stored = [from_json(json.loads(json.dumps(to_json(h))), own) for h in cut]
        assert stored == cut


def test_halves_are_about_equal():
    pieces = split_text("\n".join("waa " * n for n in (1, 1, 1, 9, 3, 3, 6)), "text")

    first, second = halves(pieces)

    assert abs(size(first) - size(second)) < size(pieces) / 5


@pytest.mark.parametrize(("format", "body"), BODIES)
def test_a_body_narrowed_to_all_of_its_pieces_is_the_same(format, body):
    pieces = split_text(body, format)
    asked = build_body(
        prompt=SYSTEM_PROMPT,
        response_format={"type": "json_object"},
        object_type="lesson",
        field="body",
        format=format,
        source_language="so",
        target_language="ar",
        context={"course": "Akadeemiyadda"},
        pieces=pieces,
    )

    assert narrowed_body(json.dumps({**asked, "model": "m"}), pieces) == asked


@pytest.mark.parametrize(
    ("target", "parts", "wholes"),
    [
        ("body:ar", ("body", "ar", ""), set()),
        ("body:zh-Hant#11", ("body", "zh-Hant", "11"), set()),
        ("body:ar#1.2", ("body", "ar", "1.2"), {"body:ar", "body:ar#1"}),
        ("body:ar#11.2", ("body", "ar", "11.2"), {"body:ar#11"}),
        ("body:ar#2.12", ("body", "ar", "2.12"), {"body:ar#2", "body:ar#2.1"}),
    ],
)
def test_a_target_says_what_it_is_part_of(target, parts, wholes):
    assert split_target(target) == parts
    assert set(wholes_of(target)) == wholes


@pytest.mark.parametrize(
    ("key", "target"),
    [
        ((1, 1, ""), "body:ar"),
        ((1, 1, "2"), "body:ar#1.2"),
        ((2, 3, ""), "body:ar#2"),
        ((2, 3, "12"), "body:ar#2.12"),
    ],
)
def test_a_target_names_part_and_half(key, target):
    assert target_key("body", "ar", *key) == target


def test_halves_of_what_is_partly_known_ask_for_the_rest_alone(sandbox, lesson_with):
    known = ["Hooyo", "Aabbe", "Walaal", "Ayeeyo"]
    lesson = lesson_with("".join(f"<p>{text}</p>" for text in known))
    collect()
    work_off()
    texts = ["Hooyo", "Guri", "Aabbe", "Walaal", "Albaab", "Ayeeyo"]
    lesson.body = "".join(f"<p>{text}</p>" for text in texts)
    lesson.save()
    collect()
    item = BatchItem.objects.latest("pk")

    cut_off(sandbox, item)
    work_off()

    asked = [
        [s["text"] for s in user_message(child)["segments"]]
        for child in BatchItem.objects.filter(parent=item).order_by("pk")
    ]
    assert asked == [["Guri"], ["Albaab"]]
    assert body_unit().latest.text == pseudo(lesson.body)
    assert not DraftPart.objects.exists()


def test_what_is_known_counts_neither_for_parts_nor_for_halves():
    texts = [f"<p>{n} {'Hooyo macaan. ' * 30}</p>" for n in range(12)]
    pieces = split_text("".join(texts), "html")
    known = {f"s{n}" for n in range(1, 13)} - {"s2", "s9"}

    (part,) = parts(pieces, known)
    first, second = halves(part, known)

    assert part == pieces
    assert join_pieces(first + second, {}) == "".join(texts)
    assert {s.id for s in segments_of(first)} - known == {"s2"}
    assert {s.id for s in segments_of(second)} - known == {"s9"}
    assert parts(pieces, {f"s{n}" for n in range(1, 13)}) == []
    assert halves(pieces, known | {"s2"}) == []
