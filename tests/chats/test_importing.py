"""Chat sessions from files and from programs, row by row."""

import io
import json

import pytest
from django.core.management import CommandError, call_command

from tests.chats.conftest import CONTENT
from translations.chats.importing import CHATS, transcript_names
from translations.chats.models import ChatSession, Message
from translations.importing import import_rows

pytestmark = pytest.mark.django_db

ROW = (
    "s-1,03.02.2025 09:12:40,03.02.2025 09:12:40,192.0.2.17,nl,english,1,happy,yes,,"
    "https://example.com/t/abc.txt?x=1,4.1,6470,0.0009,LEAVE_VACATION,whats up"
)


def load(text, name="chats.csv", **options):
    return import_rows(CHATS, io.BytesIO(text.encode()), name=name, **options)


def jsonl(*rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def problems(stored):
    return [(bad.line, bad.field, bad.value, bad.problem) for bad in stored.bad]


def command(*args, **options):
    out, err = io.StringIO(), io.StringIO()
    try:
        call_command("import_chats", *args, stdout=out, stderr=err, **options)
    except CommandError as refused:
        return out.getvalue() + err.getvalue() + str(refused)
    return out.getvalue()


def with_cell(number, value):
    """The row with one cell set to something else; cells are counted from 1."""
    cells = ROW.split(",")
    cells[number - 1] = value
    return ",".join(cells)


def test_a_row_of_16_columns_without_a_header_is_a_session():
    stored = load(ROW + "\n")

    assert (stored.created, stored.bad) == (1, [])
    session = ChatSession.objects.get(external_id="s-1")
    assert session.source == "legacy"
    assert session.started_at.isoformat() == "2025-02-03T09:12:40+00:00"
    assert session.started_at == session.ended_at
    assert (session.country, session.language) == ("NL", "English")
    assert session.told["escalated"] is True
    assert "forwarded_hr" not in session.told
    assert session.told["tokens"] == 6470
    assert session.told["initial_msg"] == "whats up"
    assert not session.has_transcript


def test_the_same_columns_with_a_header_are_the_same():
    header = ",".join(CHATS.row.bare_columns)

    load(f"{header}\n{ROW}\n")
    assert load(ROW + "\n").unchanged == 1


@pytest.mark.parametrize(
    ("row", "field", "value", "says"),
    [
        (with_cell(2, "31.02.2025 09:00:00"), "started_at", "31.02.2025", "28.02.2025"),
        (with_cell(2, "yesterday"), "started_at", "yesterday", "28.02.2025"),
        (with_cell(3, "02.02.2025 09:00:00"), "ended_at", "2025-02-02", "before the"),
        (with_cell(5, "N1"), "country", "N1", "two or three letters"),
        (with_cell(9, "maybe"), "escalated", "maybe", "neither yes nor no"),
        (with_cell(13, "-3"), "tokens", "-3", "greater than or equal"),
        (with_cell(1, "x" * 101), "id", "xxx", "at most 100"),
        (ROW.rpartition(",")[0], "", "s-1", "15 cells"),
    ],
)
def test_a_row_that_is_not_right_is_named_and_the_others_go_on(row, field, value, says):
    stored = load(f"{row}\n{ROW.replace('s-1', 's-2')}\n")

    ((line, found, shown, problem),) = problems(stored)
    assert (line, found) == (1, field)
    assert value in shown
    assert says in problem
    assert ChatSession.objects.get().external_id == "s-2"


def test_json_lines_with_messages_go_in_and_a_second_time_change_nothing():
    text = (CONTENT / "chats.jsonl").read_text()

    first, second = load(text, "chats.jsonl"), load(text, "chats.jsonl")

    assert (first.created, second.unchanged) == (6, 6)
    assert first.ignored == ["expected"]
    assert Message.objects.count() == 22
    session = ChatSession.objects.get(external_id="chat-06")
    assert [row.role for row in session.messages.order_by("index")] == [
        *("customer", "agent", "customer", "customer")
    ]
    assert set(session.risks) == {"refund", "bank"}


@pytest.mark.parametrize(
    ("row", "field", "says"),
    [
        ({"id": " "}, "id", "every session needs one"),
        (
            {"id": "a", "messages": [{"role": "boss", "text": "x"}]},
            "messages.0.role",
            "",
        ),
        ({"id": "a", "messages": [{"role": "user"}]}, "messages.0.text", "required"),
        ({"id": "a", "messages": [], "transcript": "User: x"}, "transcript", "one of"),
        ({"id": "a", "transcript": "hello"}, "transcript", "Line 1 of the transcript"),
        ({"id": "a", "started_at": "2026-02-30T10:00:00Z"}, "started_at", "no day"),
        ({"id": "a", "language": "a\0b"}, "language", "NUL"),
    ],
)
def test_a_line_that_is_not_right_is_named(row, field, says):
    stored = load(jsonl(row, {"id": "fine"}), "x.jsonl")

    ((line, found, _, problem),) = problems(stored)
    assert (line, found) == (1, field)
    assert says in problem
    assert ChatSession.objects.get().external_id == "fine"


def test_fewer_messages_replace_those_that_were_there():
    row = {"id": "a", "transcript": "User: one\nAssistant: two\nUser: three"}
    load(jsonl(row), "x.jsonl")

    stored = load(jsonl({"id": "a", "transcript": "User: one"}), "x.jsonl")

    assert stored.updated == 1
    assert list(Message.objects.values_list("index", "text")) == [(0, "one")]


def test_a_table_leaves_messages_alone_and_is_no_change_of_their_source():
    load(jsonl({"id": "s-1", "transcript": "User: one"}), "x.jsonl")

    load(ROW + "\n")

    session = ChatSession.objects.get()
    assert session.source == "file"
    assert session.has_transcript
    assert session.messages.count() == 1


def test_the_command_joins_a_table_with_its_transcripts(tmp_path):
    path, texts = str(CONTENT / "sessions.csv"), str(CONTENT / "transcripts")

    planned = command(path, transcripts=texts, dry_run=True)
    assert planned == ("Would import 5 chat sessions: 5 new, 0 changed, 0 unchanged.\n")
    assert not ChatSession.objects.exists()
    command(path, transcripts=texts, account="acme")
    again = json.loads(command(path, transcripts=texts, account="acme", json=True))

    assert (again["unchanged"], again["bad"]) == (5, [])
    session = ChatSession.objects.get(account="acme", external_id="hr-2001")
    assert session.messages_count == 5
    assert "\n" in session.messages.get(index=1).text
    assert ChatSession.objects.get(external_id="hr-2005").messages_count == 0
    assert ChatSession.objects.get(external_id="hr-2004").agent_names == []


def test_a_transcript_that_cannot_be_read_leaves_its_session_out(tmp_path):
    (tmp_path / "s.csv").write_text(f"{ROW}\n{ROW.replace('s-1', 's-2')}\n")
    (tmp_path / "s-1.txt").write_text("[31.02.2025 10:00:00] User: hello")
    (tmp_path / "s-2.txt").write_bytes(b"User: caf\xe9")

    said = command(str(tmp_path / "s.csv"), transcripts=str(tmp_path))

    assert (
        "line 1, transcript: [31.02.2025 10:00:00] – Line 1 of the transcript" in said
    )
    assert "line 2, transcript: s-2.txt – It is not UTF-8 (byte 9)" in said
    assert not ChatSession.objects.exists()


@pytest.mark.parametrize(
    ("file", "options", "says"),
    [
        ("nowhere.csv", {}, "check the path"),
        (str(CONTENT / "sessions.csv"), {"transcripts": "/nowhere"}, "no directory"),
    ],
)
def test_what_the_command_cannot_find_is_named(file, options, says):
    assert says in command(file, **options)


def test_import_content_knows_chats():
    out = io.StringIO()

    call_command("import_content", "chats", str(CONTENT / "chats.jsonl"), stdout=out)

    assert out.getvalue().startswith("Imported 6 chat sessions: 6 new")


@pytest.mark.parametrize(
    ("key", "url", "names"),
    [
        ("a", "", ["a.txt"]),
        ("a", "https://x.example/t/b.txt?c=1", ["a.txt", "b.txt", "b.txt.txt"]),
        ("../a", "https://x.example/..", []),
        ("a/b", "", []),
    ],
)
def test_only_files_of_the_directory_itself_are_looked_for(key, url, names):
    assert transcript_names(key, url) == names
