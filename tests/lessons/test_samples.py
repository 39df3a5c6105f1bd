"""The content that is shipped: lessons, references, and the sandbox's segments."""

import json
from pathlib import Path

import pytest

import translations.lessons.content.make_segments as make_segments
from translations.quality import Pair, check_pair, check_segments
from translations.segments import join_pieces, segments_of, split_text

REFERENCES = make_segments.read_jsonl(make_segments.CONTENT / "references.jsonl")
LESSONS = make_segments.read_jsonl(make_segments.CONTENT / "lessons.jsonl")
FAULTS = json.loads((make_segments.SAMPLES / "planted_faults.json").read_text("utf-8"))


def unit(row):
    return row["object_id"], row["field"], row["target_language"]


def shipped_answers():
    return {
        (row["target_language"], row["source"]): row["target"]
        for path in sorted(Path(make_segments.SAMPLES).glob("*.jsonl"))
        for row in make_segments.read_jsonl(path)
    }


def test_every_field_of_every_lesson_has_a_reference_in_both_languages():
    wanted = {
        (lesson["id"], field, language): lesson[field]
        for lesson in LESSONS
        for field in ("title", "description", "body")
        for language in ("en", "ar")
    }

    assert {unit(row): row["source"] for row in REFERENCES} == wanted
    assert len(REFERENCES) == 72


@pytest.mark.parametrize("row", REFERENCES, ids=lambda row: "-".join(unit(row)))
def test_a_reference_has_no_findings(row):
    pair = Pair(
        row["source"], row["target"], "so", row["target_language"], row["format"]
    )

    assert check_pair(pair) == []


def test_the_shipped_segments_are_those_the_script_makes():
    files = make_segments.sample_files(REFERENCES, FAULTS)

    for name, rows in files.items():
        assert make_segments.read_jsonl(make_segments.SAMPLES / name) == rows
    assert {path.name for path in make_segments.SAMPLES.glob("*.jsonl")} == set(files)


def test_exactly_the_three_planted_faults_are_found():
    answers = shipped_answers()
    found = {}
    for row in REFERENCES:
        language, format = row["target_language"], row["format"]
        pieces = split_text(row["source"], format)
        targets = {s.id: answers[language, s.text] for s in segments_of(pieces)}
        findings = check_segments(
            [
                Pair(s.text, targets[s.id], "so", language, format, s.id)
                for s in segments_of(pieces)
            ]
        )
        if findings:
            found[unit(row)] = findings[0].code
        else:
            assert join_pieces(pieces, targets) == row["target"]

    assert found == {unit(fault): fault["finding"] for fault in FAULTS}
    assert len(found) == 3


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"target": "<p>One</p><p>two</p>"}, "1 segments in the source, 2"),
        ({"target": "<p>Two</p>"}, "one answer only"),
    ],
)
def test_the_script_refuses_references_that_do_not_fit(change, problem):
    reference = {
        "object_id": "x",
        "field": "body",
        "format": "html",
        "source_language": "so",
        "target_language": "en",
        "source": "<p>Kow</p>",
        "target": "<p>One</p>",
    }

    with pytest.raises(ValueError, match=problem):
        make_segments.sample_files([reference, {**reference, **change}], [])


def test_the_script_refuses_a_fault_that_has_no_place():
    with pytest.raises(ValueError, match="No segment for the planted faults"):
        make_segments.sample_files([], FAULTS)
