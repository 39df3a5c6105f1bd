"""Tables whose columns have names of their own."""

from io import BytesIO

import pytest

from translations.importing import (
    BadRow,
    ImportRefused,
    first_rows,
    import_rows,
    read_columns,
    suggest_columns,
)
from translations.lessons.importing import LESSONS
from translations.lessons.models import Lesson

TABLE = b"Kood,Course ID,Cinwaan,x\nl1,c1,Biyo,never\nl2,c1,,never\n"
COLUMNS = {"Kood": "id", "Course ID": "course_id", "Cinwaan": "title"}


@pytest.mark.parametrize(
    ("name", "data", "columns"),
    [
        ("a.csv", TABLE, ["Kood", "Course ID", "Cinwaan", "x"]),
        ("a.csv", b"Kood;Cinwaan;x, y\n", ["Kood", "Cinwaan", "x, y"]),
        ("a.csv", "\ufeffid\ttitle\n".encode(), ["id", "title"]),
        ("a.csv", b"", []),
        ("a.jsonl", b'{"id": "l1"}', None),
    ],
)
def test_the_columns_of_a_file_are_those_of_its_header(name, data, columns):
    assert read_columns(LESSONS, BytesIO(data), name) == columns


def test_a_header_with_wrong_quotes_is_refused_in_words():
    with pytest.raises(ImportRefused, match="The first line, which names the columns"):
        read_columns(LESSONS, BytesIO(b'"id,title\n'), "a.csv")


def test_columns_are_suggested_by_name_however_written():
    columns = ["ID", "Course-Id", "TITLE", "title", "Qoraal"]

    assert suggest_columns(LESSONS, columns) == {
        "ID": "id",
        "Course-Id": "course_id",
        "TITLE": "title",
    }


def test_the_first_rows_are_read_without_writing():
    good, bad = first_rows(
        LESSONS, BytesIO(TABLE), name="a.csv", columns=COLUMNS, count=5
    )

    assert (good[0], good[1].title) == (2, "Biyo")
    assert isinstance(bad, BadRow)
    assert (bad.line, bad.field) == (3, "title")


@pytest.mark.django_db
def test_a_table_is_imported_by_the_columns_that_are_named():
    stored = import_rows(LESSONS, BytesIO(TABLE), name="a.csv", columns=COLUMNS)

    lesson = Lesson.objects.get()
    assert (lesson.external_id, lesson.title, lesson.body) == ("l1", "Biyo", None)
    assert (stored.created, len(stored.bad), stored.ignored) == (1, 1, [])


@pytest.mark.django_db
def test_without_a_needed_column_the_table_is_refused():
    columns = {"Kood": "id"}

    with pytest.raises(ImportRefused, match="lacks course_id, title; it is: Kood, "):
        import_rows(LESSONS, BytesIO(TABLE), name="a.csv", columns=columns)
