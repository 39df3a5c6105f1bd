"""A version's segments: kept as places in its text, and read back from there."""

import orjson
import pytest
from django.core.management import call_command
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from translations.models import TranslationVersion
from translations.spans import segments_in, spans_of

BEFORE = ("translations", "0008_out_of_date_and_digest")
TABLE = TranslationVersion._meta.db_table
SAID = [
    {"id": "s1", "source_hash": "a" * 16, "text": "نص 👩🏽‍🏫"},
    {"id": "s2", "source_hash": "b" * 16, "text": 'two\nlines & "quotes"'},
    {"id": "s3", "source_hash": "c" * 16, "text": ""},
    {"id": "s4", "source_hash": "d" * 16, "text": "نص 👩🏽‍🏫"},
]
TEXT = "<p>نص 👩🏽‍🏫</p><p>two lines &amp; quotes</p><p></p><p>نص 👩🏽‍🏫</p>"
FINDINGS = [{"code": "tags_mismatch", "severity": "error", "segment": "s2"}]


def in_order(segments):
    return [(s["id"], s["source_hash"], s["text"]) for s in segments]


def test_words_that_stand_in_the_text_are_not_kept_twice():
    spans = spans_of(TEXT, in_order(SAID))

    assert "نص" not in spans and "two" in spans  # it stands there otherwise
    assert segments_in(TEXT, spans) == SAID


def test_a_version_without_known_segments_has_none():
    assert spans_of("whole", []) == ""
    assert segments_in("whole", "") == []


@given(
    st.lists(st.tuples(st.text("sab1"), st.text("ab"), st.text("ab\n😀é"))),
    st.text("ab\n😀é"),
)
def test_whatever_a_text_says_its_segments_come_back(segments, other):
    text = other.join(words for _, _, words in segments[::2])

    found = segments_in(text, spans_of(text, segments))

    assert in_order(found) == segments


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_versions_from_before_keep_their_segments_and_findings():
    try:
        call_command("migrate", *BEFORE, verbosity=0)
        insert_version(1, TEXT, segments=orjson.dumps(SAID).decode())
        insert_version(2, "whole", segments="[]")

        call_command("migrate", "translations", verbosity=0)

        first, second = TranslationVersion.objects.order_by("pk")
        assert first.segments == SAID and first.findings == FINDINGS
        assert second.segments == [] and second.text == "whole"

        call_command("migrate", *BEFORE, verbosity=0)

        with connection.cursor() as cursor:
            cursor.execute(f"SELECT segments, findings FROM {TABLE} ORDER BY id")
            rows = [tuple(map(orjson.loads, row)) for row in cursor.fetchall()]
        assert rows == [(SAID, FINDINGS), ([], FINDINGS)]
    finally:
        call_command("migrate", "translations", verbosity=0)


def insert_version(pk, text, *, segments):
    """As an earlier release wrote it; it needs no unit, for no constraint asks."""
    row = {
        "id": pk,
        "translation_id": 1,
        "number": pk,
        "text": text,
        "segments": segments,
        "source_hash": "e" * 64,
        "origin": "machine",
        "provider": "openai",
        "model": "m",
        "glossary_version": "",
        "is_sandbox": False,
        "findings": orjson.dumps(FINDINGS).decode(),
        "errors": 1,
        "warnings": 0,
        "score": 60,
        "checks_version": 1,
        "created_at": "2026-11-01 00:00:00+00:00",
    }
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {TABLE} ({', '.join(row)}) "
            f"VALUES ({', '.join(['%s'] * len(row))})",
            list(row.values()),
        )
