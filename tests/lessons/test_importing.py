"""`import_content` and the services behind it."""

import io
import json
import sys

import pytest
from django.contrib.contenttypes.models import ContentType
from django.core.management import CommandError, call_command

from translations.importing import ImportRefused, get_importer, import_rows
from translations.lessons.content.make_segments import CONTENT
from translations.lessons.models import Course, Lesson, Module, Quiz, QuizQuestion
from translations.models import ReviewStatus, Translation
from translations.segments import source_hash

pytestmark = pytest.mark.django_db

LESSON = {"id": "l-1", "course_id": "c-1", "title": "Hordhac"}
QUESTION = {
    "id": "q-1",
    "lesson_id": "l-1",
    "question": "Kee?",
    "options": ["Haa", "Maya"],
    "correct_answer": 1,
}


def jsonl(*rows):
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def run(kind, data, name="lessons.jsonl", **options):
    return import_rows(get_importer(kind), io.BytesIO(data), name=name, **options)


def problems(stored):
    return [(bad.line, bad.field) for bad in stored.bad]


def command(*args, **options):
    out, err = io.StringIO(), io.StringIO()
    call_command("import_content", *args, stdout=out, stderr=err, **options)
    return out.getvalue().strip()


def test_the_sample_lessons_go_in_and_a_second_time_change_nothing():
    path = str(CONTENT / "lessons.jsonl")

    assert (
        command("lessons", path)
        == "Imported 12 lessons: 12 new, 0 changed, 0 unchanged."
    )
    assert (
        command("lessons", path)
        == "Imported 12 lessons: 0 new, 0 changed, 12 unchanged."
    )
    lesson = Lesson.objects.get(external_id="lesson-03")
    assert (lesson.body_format, lesson.source_language) == ("markdown", "so")
    assert lesson.course.title == "Akadeemiyadda Waalidka: Aasaaska Tarbiyadda"


def test_the_sample_quizzes_go_in_after_their_lessons():
    command("lessons", str(CONTENT / "lessons.jsonl"))

    output = command("quizzes", str(CONTENT / "quizzes.jsonl"))

    assert output == "Imported 6 quiz questions: 6 new, 0 changed, 0 unchanged."
    question = QuizQuestion.objects.get(external_id="quiz-05")
    assert question.options == ["8–10", "10–12", "10–13", "11–14"]
    assert question.correct_answer == 2
    assert question.quiz.lesson.external_id == "lesson-02"


def test_a_changed_row_changes_its_lesson_only():
    run("lessons", jsonl(LESSON, {**LESSON, "id": "l-2", "body": "<p>Kow</p>"}))
    before = Lesson.objects.get(external_id="l-2").updated_at

    stored = run(
        "lessons", jsonl(LESSON, {**LESSON, "id": "l-2", "body": "<p>Laba</p>"})
    )

    assert (stored.created, stored.updated, stored.unchanged) == (0, 1, 1)
    changed = Lesson.objects.get(external_id="l-2")
    assert (changed.body, changed.body_format) == ("<p>Laba</p>", "html")
    assert changed.updated_at > before


def test_a_changed_row_makes_its_translations_stale():
    run("lessons", jsonl(LESSON))
    lesson = Lesson.objects.get()
    for field in ("title", "description"):
        unit = Translation.objects.create(
            content_type=ContentType.objects.get_for_model(Lesson),
            object_id=str(lesson.pk),
            field=field,
            language="en",
            status=ReviewStatus.PENDING_REVIEW,
            latest_id=1,
            source_hash=source_hash(getattr(lesson, field) or "", "text"),
        )
        assert not unit.is_stale

    run("lessons", jsonl({**LESSON, "title": "Hordhac cusub"}))

    stale = Translation.objects.filter(is_stale=True)
    assert [unit.field for unit in stale] == ["title"]


def test_null_and_empty_stay_apart_and_a_missing_key_changes_nothing():
    run(
        "lessons",
        jsonl({**LESSON, "description": None, "body": "", "duration": "5 min"}),
    )
    lesson = Lesson.objects.get()
    assert (lesson.description, lesson.body) == (None, "")

    run("lessons", jsonl(LESSON))

    lesson.refresh_from_db()
    assert (lesson.description, lesson.body, lesson.duration) == (None, "", "5 min")


def test_modules_are_made_by_their_titles():
    rows = [
        {**LESSON, "module_title": "Qaybta 1aad"},
        {**LESSON, "id": "l-2", "module_title": "Qaybta 1aad"},
        {**LESSON, "id": "l-3"},
    ]

    run("lessons", jsonl(*rows))

    assert Module.objects.get().lessons.count() == 2
    assert Lesson.objects.get(external_id="l-3").module is None


def test_a_csv_with_bom_semicolons_and_line_breaks_in_cells():
    data = (
        "\ufeffid;course_id;title;body;position;is_free\r\n"
        'l-1;c-1;Kow;"<p>a\r\nb</p>";2;yes\r\n'
        "l-2;c-1;Laba;;;\r\n"
    ).encode()

    stored = run("lessons", data, "lessons.csv")

    assert (stored.created, stored.bad) == (2, [])
    lesson = Lesson.objects.get(external_id="l-1")
    assert (lesson.body, lesson.position, lesson.is_free) == ("<p>a\r\nb</p>", 2, True)
    assert Lesson.objects.get(external_id="l-2").body == ""


def test_a_field_of_hundred_thousand_characters_goes_through_a_csv():
    body = "Waa jumlad. " * 20_000

    run("lessons", f'id,course_id,title,body\nl-1,c-1,Kow,"{body}"\n'.encode(), "a.csv")

    assert Lesson.objects.get().body == body


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"title": 5}, "title"),
        ({"title": None}, "title"),
        ({"title": " "}, "title"),
        ({"title": "x" * 301}, "title"),
        ({"course_id": "c 1"}, "course_id"),
        ({"format": "rtf"}, "format"),
        ({"source_language": "klingon"}, "source_language"),
        ({"position": "1"}, "position"),
        ({"position": -1}, "position"),
        ({"body": {"questions": []}}, "body"),
        ({"body": "a\0b"}, "body"),
        ({"lesson_type": "game"}, "lesson_type"),
        ({"video_url": "javascript:alert(1)"}, "video_url"),
        ({"live_timezone": "Mars/Base"}, "live_timezone"),
        ({"unlock_date": "tomorrow"}, "unlock_date"),
        ({"is_live": "perhaps"}, "is_live"),
    ],
)
def test_a_bad_row_is_named_and_the_good_ones_go_in(change, field):
    stored = run("lessons", jsonl(LESSON, {**LESSON, "id": "l-2", **change}))

    assert problems(stored) == [(2, field)]
    assert [lesson.external_id for lesson in Lesson.objects.all()] == ["l-1"]


def test_lines_that_are_no_rows_are_named():
    data = jsonl(LESSON) + b"\nnot json\n[1]\n" + jsonl(LESSON, {"id": "l-3"})

    stored = run("lessons", data)

    assert problems(stored) == [(3, ""), (4, ""), (5, "id"), (6, "course_id")]
    assert "stands on line 1 already" in stored.bad[2].problem
    assert stored.created == 1


def test_rows_of_a_csv_with_too_few_cells_or_wrong_quotes_are_named():
    data = b'id,course_id,title\nl-1,c-1\nl-2,c-1,"a"b\nl-3,c-1,Saddex\n'

    stored = run("lessons", data, "lessons.csv")

    assert problems(stored) == [(2, ""), (3, "")]
    assert Lesson.objects.get().external_id == "l-3"


@pytest.mark.parametrize(
    ("name", "data", "problem"),
    [
        (
            "a.csv",
            "id,course_id,title\nl-1,c-1,Café\n".encode("latin-1"),
            "0xe9 on line 2",
        ),
        ("a.jsonl", jsonl(LESSON) + b"\xff", "is not UTF-8: byte 0xff on line 2"),
        ("a.csv", b"id,course_id,titel\nl-1,c-1,Kow\n", "header of a.csv lacks title"),
        ("a.csv", b"id,id,course_id,title\n", "has id twice"),
        ("a.json", b"[\n" + jsonl(LESSON) + b"]", "is one JSON array"),
    ],
)
def test_a_file_that_cannot_be_read_changes_nothing(name, data, problem):
    with pytest.raises(ImportRefused, match=problem) as refusal:
        run("lessons", data, name)

    assert "othing was imported" in str(refusal.value)
    assert not Course.objects.exists()


def test_a_dry_run_says_what_would_be_and_leaves_nothing():
    path = str(CONTENT / "lessons.jsonl")

    output = command("lessons", path, dry_run=True)

    assert output == "Would import 12 lessons: 12 new, 0 changed, 0 unchanged."
    assert not Course.objects.exists()


def test_bad_rows_are_listed_and_end_with_status_1(tmp_path, capsys):
    path = tmp_path / "lessons.jsonl"
    path.write_bytes(jsonl(LESSON, {**LESSON, "id": "l-2", "format": "rtf"}))

    with pytest.raises(CommandError, match="1 row is not imported") as refusal:
        call_command("import_content", "lessons", str(path))

    captured = capsys.readouterr()
    assert refusal.value.returncode == 1
    assert captured.out == "Imported 1 lesson: 1 new, 0 changed, 0 unchanged.\n"
    assert (
        captured.err == "line 2, format: “rtf” – It is none of text, html, markdown.\n"
    )


def test_the_result_as_json(tmp_path):
    path = tmp_path / "lessons.jsonl"
    path.write_bytes(jsonl({**LESSON, "colour": "red"}))

    assert json.loads(command("lessons", str(path), json=True)) == {
        "kind": "lessons",
        "dry_run": False,
        "created": 1,
        "updated": 0,
        "unchanged": 0,
        "bad": [],
        "ignored": ["colour"],
    }


def test_standard_input_is_read(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(jsonl(LESSON))))

    assert command("lessons", "-").startswith("Imported 1 lesson: 1 new")


@pytest.mark.parametrize(
    ("args", "problem"),
    [
        (
            ("lesons", "x.csv"),
            "no kind of content “lesons”; use one of chats, glossary, lessons, quizzes",
        ),
        (("lessons", "/nowhere/x.csv"), "/nowhere/x.csv cannot be read"),
    ],
)
def test_what_cannot_be_found_is_named(args, problem):
    with pytest.raises(CommandError, match=problem):
        command(*args)


def test_nothing_to_import_is_no_error(tmp_path):
    path = tmp_path / "empty.csv"
    path.write_bytes(b"")

    assert (
        command("lessons", str(path)) == "The file has no lessons: nothing to import."
    )


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, (["Haa", "Maya"], 1)),
        ({"options": '["Haa", "Maya"]'}, (["Haa", "Maya"], 1)),
        (
            {
                "options": [{"id": "a", "text": "Haa"}, {"id": "b", "text": "Maya"}],
                "correct_answer": None,
                "correct_option_ids": ["a"],
            },
            (["Haa", "Maya"], 0),
        ),
        (
            {"question_type": "open_ended", "options": None, "correct_answer": None},
            (None, None),
        ),
    ],
)
def test_options_come_in_several_shapes(change, expected):
    run("lessons", jsonl(LESSON))

    stored = run("quizzes", jsonl({**QUESTION, **change}))

    assert stored.bad == []
    question = QuizQuestion.objects.get()
    assert (question.options, question.correct_answer) == expected
    assert question.quiz.title == "Hordhac"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"lesson_id": "l-9"}, "lesson_id"),
        ({"options": "[Haa"}, "options"),
        ({"options": ["Haa"]}, "options"),
        ({"correct_answer": 2}, "correct_answer"),
        ({"correct_answer": None}, "correct_answer"),
        ({"correct_answer": None, "correct_option_ids": ["x"]}, "correct_option_ids"),
        ({"question_type": "open_ended"}, "question_type"),
        ({"question": ""}, "question"),
    ],
)
def test_a_bad_question_is_named(change, field):
    run("lessons", jsonl(LESSON))

    stored = run("quizzes", jsonl({**QUESTION, **change}))

    assert problems(stored) == [(1, field)]
    assert not QuizQuestion.objects.exists()


def test_a_question_moves_to_the_quiz_it_names():
    run("lessons", jsonl(LESSON))
    run("quizzes", jsonl(QUESTION))

    stored = run("quizzes", jsonl({**QUESTION, "quiz_id": "z", "passing_score": 80}))

    assert stored.updated == 1
    assert QuizQuestion.objects.get().quiz == Quiz.objects.get(external_id="z")
    assert Quiz.objects.get(external_id="z").passing_score == 80


def test_batches_are_stored_in_a_number_of_queries_that_does_not_grow(
    django_assert_max_num_queries,
):
    rows = [{**LESSON, "id": f"l-{number}"} for number in range(400)]
    run("lessons", jsonl(*rows))

    with django_assert_max_num_queries(8):
        run("lessons", jsonl(*rows))
