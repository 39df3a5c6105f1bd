"""Analyses as tables, with the fields that the earlier system had."""

import csv
import io
import json

import pytest
from django.core.management import call_command

from tests.chats.test_pipeline import EXAMPLES, PLAIN, ask, asking, store
from translations.chats.export import COLUMNS, derived
from translations.chats.models import Analysis

pytestmark = pytest.mark.django_db


def exported(tmp_path, **options):
    path = tmp_path / "out"
    call_command("export_chats", output=str(path), verbosity=0, **options)
    return path.read_text("utf-8-sig")


def test_a_row_has_what_the_model_said_and_what_follows_from_it(
    sandbox, samples, tmp_path
):
    ask()
    store(samples[0], EXAMPLES["chat-01"])

    (row,) = map(json.loads, exported(tmp_path, format="jsonl").splitlines())

    assert tuple(row) == COLUMNS
    assert (row["sentiment"], row["sentiment_detail"]) == ("NEGATIVE", "negative")
    assert (row["escalated"], row["forwarded_hr"]) == (True, True)
    assert row["messages_sent"] == 2
    assert row["start_time"] == "2026-03-01T09:05:00+00:00"
    assert row["end_time"] == "2026-03-01T09:11:00+00:00"
    assert row["avg_response_seconds"] == 120.0
    assert row["session_id"] == "chat-01"


@pytest.mark.parametrize(
    ("sentiment", "level", "resolution", "expected"),
    [
        ("very_negative", "urgent", "unresolved", ("NEGATIVE", True, True)),
        ("neutral", "low", "unclear", ("NEUTRAL", False, True)),
        ("very_positive", "low", "resolved", ("POSITIVE", False, False)),
        ("positive", "none", "unresolved", ("POSITIVE", False, False)),
    ],
)
def test_the_earlier_fields_are_derived(sentiment, level, resolution, expected):
    content = {
        "sentiment": sentiment,
        "escalation": {"level": level, "reasons": []},
        "resolution": resolution,
    }

    assert tuple(derived(Analysis(content=content)).values()) == expected


def test_no_cell_is_a_formula(sandbox, make_sessions, tmp_path):
    (session,) = make_sessions(
        {"id": "=1+1", "messages": [{"role": "user", "text": "When does it start?"}]}
    )
    ask()
    bad = {**PLAIN, "summary": "=HYPERLINK(1)", "questions": [asking("+1?")]}
    store(session, bad)

    (row,) = csv.DictReader(io.StringIO(exported(tmp_path)))

    assert row["session_id"] == "'=1+1"
    assert row["summary"] == "'=HYPERLINK(1)"
    assert json.loads(row["questions"]) == ["+1?"]
    plain = json.loads(exported(tmp_path, format="jsonl"))
    assert plain["summary"] == "=HYPERLINK(1)"


def test_only_what_is_analysed_of_the_account_is_there(
    sandbox, make_sessions, tmp_path
):
    said = [{"role": "user", "text": "When does it start?"}]
    one, two, _ = make_sessions(
        {"id": "a", "account": "x", "messages": said},
        {"id": "b", "account": "y", "messages": said},
        {"id": "c", "account": "x", "messages": said},
    )
    ask()
    store(one, PLAIN)
    store(two, PLAIN)

    rows = exported(tmp_path, format="jsonl", account="x").splitlines()

    assert [json.loads(row)["session_id"] for row in rows] == ["a"]
