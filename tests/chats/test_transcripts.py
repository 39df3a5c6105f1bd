"""Transcripts as text, read line by line."""

from datetime import datetime

import pytest

from translations.chats.transcripts import TranscriptRefused, read_transcript


def test_times_roles_of_any_case_and_several_lines_are_read():
    found = read_transcript(
        "\ufeff[03.02.2025 09:12:40] User: one\r\ntwo\r\n\r\nASSISTANT: three\n"
        "system: four: five\nNote: six\n"
    )

    assert [(said.role, said.text) for said in found] == [
        ("customer", "one\ntwo"),
        ("agent", "three"),
        ("system", "four: five\nNote: six"),
    ]
    assert found[0].sent_at == datetime(2025, 2, 3, 9, 12, 40)
    assert found[1].sent_at is None


@pytest.mark.parametrize("text", ["", "\n \n", "\ufeff"])
def test_a_transcript_may_have_no_messages(text):
    assert read_transcript(text) == []


@pytest.mark.parametrize(
    ("text", "line", "value", "says"),
    [
        ("hello\nUser: x", 1, "hello", "begins with no role"),
        ("User: a\n[31.02.2025 10:00:00] User: b", 2, "[31.02.2025", "28.02.2025"),
    ],
)
def test_what_cannot_be_read_is_named(text, line, value, says):
    with pytest.raises(TranscriptRefused, match=says) as refused:
        read_transcript(text)

    assert refused.value.line == line
    assert refused.value.value.startswith(value)
