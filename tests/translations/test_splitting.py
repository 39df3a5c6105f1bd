"""Answers cut off at their limit: once more with a higher one, then in halves."""

import json
from itertools import permutations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batches.admin.display import row_url
from batches.models import BatchItem, ItemAttempt, ItemRequest, OpenItem
from batches.sandbox.responders.script import pseudo_text
from batches.services.collection import collect_run, start_run
from batches.services.recount import recount
from batches.services.requeue import requeue
from batches.services.steering import pause_run, resume_run
from batches.states import AttemptOutcome, ItemStatus, RunStatus, Trigger
from batches.workloads import Answer
from tests.driving import work_off
from tests.translations.test_segments import FORMATS, TEXTS
from translations.judging import Judged
from translations.lessons.models import Course, Lesson
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
from translations.storing import store_judged
from translations.targets import split_target, target_key, wholes_of

HTML = """\
<h2>Maxay ku saabsan tahay?</h2>
<p>Ilmahaagu wuxuu u baahan yahay <strong>dhegaysi</strong>, ee maaha canaan.
Akhri <a href="/buug?a=1&amp;b=2" title="Buugga waalidka">buugga</a> marka hore.</p>
<ul class="talo"><li>Fadhiiso agtiisa oo eeg</li><li>Su'aal <em>hal mar</em> weydii
<ol><li>Sug jawaabta</li><li>Ku celi <code>hadalkiisa</code></li></ol></li></ul>
<table><tr><th>Da'da</th><th>Hurdada</th></tr>
<tr><td>Laba sano</td><td>12 saacadood</td></tr></table>
<pre>waa kood</pre><img src="/a.png" alt="Hooyo iyo ilmaheeda">
<p>Maalin kasta waxaa jirta fursad cusub.</p>
"""
MARKDOWN = """\
# Cuntada carruurta

Ilmuhu wuxuu cunaa **waxa uu arko**, ee maaha waxa [loo sheego](https://a.example/x).

- Biyo badan sii
- Miro kala duwan
  1. Tufaax la jarjaray
  2. Muus

| Da'da | Talo |
|-------|------|
| Laba sano | Caano iyo `rooti` |

> Ha ku qasbin inuu cuno.
> Sug oo isku day mar kale.

```
kood
```

Dhammaad wanaagsan.
"""
TEXT = "Salaan, waalid.\r\n\r\nWaan ku faraxnay imaatinkaaga.\nMaamulka iskuulka\n"
BODIES = [("html", HTML), ("markdown", MARKDOWN), ("text", TEXT)]
LONG = "".join(f"<p>{n}. {'Hooyo macaan. ' * 60}</p>" for n in range(6))

pytestmark = pytest.mark.django_db


@pytest.fixture
def make_lesson():
    course = Course.objects.create(external_id="course-1", title="Akadeemiyadda")

    def make(body, format="html"):
        return Lesson.objects.create(
            course=course,
            external_id=f"lesson-{Lesson.objects.count()}",
            title="Cinwaan",
            body=body,
            body_format=format,
        )

    return make


def collect(**options):
    """A run over the bodies of all lessons, collected."""
    given = {
        "languages": ["ar"],
        "content": ["translations_lessons.lesson"],
        "fields": ["body"],
    }
    run = start_run("translation", given | options, trigger=Trigger.COMMAND)
    collect_run(run)
    return run


def item_of(target):
    return BatchItem.objects.get(target=target)


def cut_off(sandbox, *items, times=2):
    """Have the next answers to each of these items cut off at their limit."""
    keys = [str(item.pk) for item in items]
    fault = {"rate": 1.0, "custom_ids": keys, "times": times * len(keys)}
    sandbox.faults(truncated_answers=fault)


def refuse(sandbox, *items):
    """Have these items fail for good."""
    keys = [str(item.pk) for item in items]
    sandbox.faults(failed_lines={"rate": 1.0, "status": 400, "custom_ids": keys})


def work_until_split(target):
    """Work until what this target came to as halves waits."""
    work_off(until=OpenItem.objects.filter(target=target).exists)


def body_unit():
    return Translation.objects.get(field="body")


def pseudo(text, format="html"):
    """What the sandbox makes of a whole text that it has no sample of."""
    pieces = split_text(text, format)
    answers = {s.id: pseudo_text(s.text, "ar") for s in segments_of(pieces)}
    return join_pieces(pieces, answers)


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


def check_figures(run, *, follow_ups):
    """The run is done, and everything that was billed is in its figures."""
    run.refresh_from_db()
    assert run.status == RunStatus.COMPLETED
    assert sum(share.follow_ups for share in run.shares.all()) == follow_ups
    costs = ItemAttempt.objects.filter(item__run=run).values_list("cost_nanos")
    assert sum(cost for (cost,) in costs) == sum(
        share.cost_nanos for share in run.shares.all()
    )
    assert recount(repair=False) == []


# --- cut off --------------------------------------------------------------------------


def test_an_answer_cut_off_once_comes_whole_with_twice_the_limit(sandbox, make_lesson):
    make_lesson(HTML)
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
    sandbox, make_lesson, format, body
):
    make_lesson(body, format)
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


def test_halves_are_asked_for_like_the_whole(sandbox, make_lesson):
    make_lesson(HTML)
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


def test_one_part_of_several_is_split_and_the_others_are_not(sandbox, make_lesson):
    make_lesson(LONG)
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


def test_a_half_is_split_again(sandbox, make_lesson):
    make_lesson(HTML)
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


def test_a_segment_that_is_alone_fails(sandbox, make_lesson):
    make_lesson('<p>Akhri <a href="/x" title="Buugga waalidka">buugga</a> hore.</p>')
    collect()
    item = item_of("body:ar")
    cut_off(sandbox, item)

    work_off()

    item.refresh_from_db()
    assert (item.status, item.error_code) == (ItemStatus.FAILED, "truncated")
    assert BatchItem.objects.count() == 1
    assert not Translation.objects.exists()
    assert recount(repair=False) == []


def test_what_one_half_has_pretended_marks_the_whole(sandbox, make_lesson):
    make_lesson("<p>Tan lama yaqaan.</p><p>Hurdada carruurta</p>")
    collect()
    cut_off(sandbox, item_of("body:ar"))

    work_off()

    version = TranslationVersion.objects.get()
    assert "نوم الأطفال" in version.text  # the last half's, which is a sample
    assert [finding["code"] for finding in version.findings] == ["sandbox_text"]


# --- while halves wait ----------------------------------------------------------------


def test_what_waits_in_halves_is_not_asked_for_again(sandbox, make_lesson):
    make_lesson(HTML)
    make_lesson(LONG)
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


def test_a_part_with_both_halves_there_is_not_asked_for_again(sandbox, make_lesson):
    make_lesson(LONG)
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
    sandbox, make_lesson, body, target
):
    make_lesson(body)
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


def test_a_half_that_is_under_way_elsewhere_is_not_asked_for(sandbox, make_lesson):
    make_lesson(HTML)
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


def test_a_source_that_changes_while_halves_wait_does_no_harm(sandbox, make_lesson):
    lesson = make_lesson(HTML)
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
    sandbox, make_lesson, admin_client, settings, tmp_path
):
    settings.STATIC_ROOT = tmp_path
    make_lesson(HTML)
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
def test_whatever_comes_first_the_parts_join_once(make_lesson, order):
    lesson = make_lesson("x")

    for path in order:
        arrives(lesson, 1, path)
        assert not TranslationVersion.objects.exists()
    arrives(lesson, 2, "")

    version = TranslationVersion.objects.get()
    assert version.text == "[1a][1b][1c][2a][2b][2c]"
    assert len(version.segments) == 6
    assert not DraftPart.objects.exists()


def test_a_whole_text_leaves_no_halves_behind(make_lesson):
    lesson = make_lesson("x")
    arrives(lesson, 1, "1", parts=1)

    arrives(lesson, 1, "", parts=1)

    assert TranslationVersion.objects.get().text == "[1a][1b][1c]"
    assert not DraftPart.objects.exists()
    assert body_unit().parts_total == 0


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


def test_halves_of_what_is_partly_known_ask_for_the_rest_alone(sandbox, make_lesson):
    known = ["Hooyo", "Aabbe", "Walaal", "Ayeeyo"]
    lesson = make_lesson("".join(f"<p>{text}</p>" for text in known))
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
