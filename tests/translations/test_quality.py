"""The automatic checks of translations, and the score."""

import json
from pathlib import Path

import pytest

from translations.quality import (
    CHECKS_VERSION,
    Finding,
    Pair,
    check_pair,
    check_segments,
    has_errors,
    score,
)
from translations.quality.answers import ending
from translations.quality.number_words import spelled
from translations.quality.numbers import digits

CASES = [
    json.loads(line)
    for line in (Path(__file__).parent / "check_cases.jsonl").read_text().splitlines()
]


def codes(source, target, *, to="en", format="text", origin="so"):
    return [
        finding.code for finding in check_pair(Pair(source, target, origin, to, format))
    ]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_a_check_case_gives_exactly_its_codes(case):
    found = codes(
        case["source"],
        case["target"],
        to=case["target_language"],
        format=case["format"],
    )
    found += [finding.code for finding in ending(case["finish_reason"])]

    assert sorted(found) == sorted(case["expected_errors"] + case["expected_warnings"])


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        ("<b>Kow</b> <i>laba</i>", "<b>a</b> <i>b</i>", []),
        ("<b>Kow</b> <i>laba</i>", "<i>a</i> <b>b</b>", ["tags_order"]),
        ("<b>Kow</b>", "a", ["tags_mismatch"]),
        ("<b>Kow</b>", "<b>a", ["markup_malformed", "tags_mismatch"]),
        ("<b>Kow", "<b>a", []),
        ('<a id="a1">Kow</a>', '<a id="a2">a</a>', ["tags_mismatch"]),
        ("<code>x = y</code> Kow", "<code>x = z</code> a", ["tags_mismatch"]),
        ('Qor <code id="code1"/>', 'Write <code id="code1"/>', []),
        ("<br>Kow<br/>", "<br/>a<br>", []),
        ("Kow", "<strong>a</strong>", ["tags_mismatch"]),
    ],
)
def test_tags_of_html(source, target, expected):
    assert codes(source, target, format="html") == expected


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        ("# Cunto\n\n**Biyo**", "# Food\n\n**Water**", []),
        ("# Cunto", "## Food", ["tags_mismatch"]),
        ("`a b` waa", "`a c` is", ["tags_mismatch"]),
        ("**Biyo** *cad*", "*clear* **water**", ["tags_order"]),
        ("[liiska](a1)", "[the list](a1)", []),
        ("[liiska](a1)", "[the list](a2)", ["url_mismatch"]),
        ("Kow\nlaba", "One two", []),
        ("Waa kan", "- This is it", ["tags_mismatch"]),
    ],
)
def test_marks_of_markdown(source, target, expected):
    assert codes(source, target, format="markdown", origin="xx") == expected


@pytest.mark.parametrize(
    "placeholder",
    ["{{ x }}", "{name}", "${x}", "%(day)s", "%s", "{% url 'x' %}", "⟦1⟧", "{a.b}"],
)
def test_a_placeholder_comes_back_as_it_was(placeholder):
    assert codes(f"Waa {placeholder}.", f"It is {placeholder}.") == []
    assert codes(f"Waa {placeholder}.", "It is.") == ["placeholder_mismatch"]


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        ("Fiiri https://a.example/b?c=1.", "See https://a.example/b?c=1.", []),
        ("Fiiri https://a.example/b", "See https://a.example/c", ["url_mismatch"]),
        ("Qor x@a.example.", "Write to x@a.example.", []),
        ("Qor x@a.example.", "Write to y@a.example.", ["url_mismatch"]),
        ("Qor x@a.example.", "Write.", ["url_mismatch"]),
    ],
)
def test_addresses_come_back_as_they_were(source, target, expected):
    assert codes(source, target) == expected


@pytest.mark.parametrize(
    ("source", "target", "to", "expected"),
    [
        ("Dooro 3 xeer", "Choose only three rules", "en", []),
        (
            "Dooro 3 xeer",
            "Choose four rules",
            "en",
            ["number_mismatch", "number_extra"],
        ),
        ("Dooro 3 xeer", "اختر ثلاث قواعد", "ar", []),
        ("Dooro 3 xeer", "اختر القواعد الثلاثة", "ar", []),
        ("2 sano", "سنتان", "ar", []),
        ("1 saac", "ساعة", "ar", []),
        ("2 sano", "years", "en", ["number_mismatch"]),
        ("12 sano", "twelve years", "en", []),
        ("12 sano", "اثنتا عشرة سنة", "ar", []),
        ("13 sano", "thirteen years", "en", ["number_mismatch"]),
        ("10–13", "١٠–١٣", "ar", []),
        ("1,5 kg", "1.5 kg", "en", []),
        ("1,5 kg", "١٫٥ كغ", "ar", []),
        ("1,000 qof", "1000 people", "en", []),
        ("3 iyo 3", "3 and more", "en", ["number_mismatch"]),
        ("Saddex tallaabo", "Three steps", "en", []),
        ("Saddex tallaabo", "3 steps", "en", []),
        ("Labada waalid", "The two parents", "en", []),
        ("Tallaabooyin", "Three steps", "en", ["number_extra"]),
        ("Tallaabooyin", "20 steps", "en", ["number_extra"]),
        ("Qof", "One who waits", "en", []),
        ("Ma ihi", "لست هنا", "ar", []),
        ("3 xeer", "tres reglas", "es", []),
        ("13 xeer", "trece reglas", "es", ["number_mismatch"]),
        ("{x1} https://a.example/5", "{x1} https://a.example/5", "en", []),
        ("9" * 5000, "9" * 5000, "en", []),
    ],
)
def test_numbers(source, target, to, expected):
    assert codes(source, target, to=to) == expected


def test_arabic_numbers_are_found_behind_prefixes_and_marks():
    assert spelled("وبالثلاثةِ، وأربعُ، لستُّ", "ar") == {3: 1, 4: 1}
    assert digits("٣٫٥ و ۱۲") == {"3.5": 1, "12": 1}


def test_an_empty_answer_has_one_finding():
    assert codes("<b>13 {x}</b>", " \n", format="html") == ["empty"]
    assert codes(" ", " ") == []


def test_a_missing_segment_and_one_too_many_are_found():
    pairs = [
        Pair("Kow", "One", "so", "en", "text", "s1"),
        Pair("Laba", None, "so", "en", "text", "s2"),
    ]

    found = check_segments(pairs, ["s1", "s1", "s3"])

    assert [(f.code, f.segment) for f in found] == [
        ("segments_missing", "s2"),
        ("segments_missing", ""),
    ]
    assert found[1].params == {"found": "“s1”, “s3”"}
    assert not check_segments(pairs[:1], ["s1"])


def test_a_finding_names_what_it_found_and_where():
    [finding] = check_pair(Pair("U oggolow {x}.", "Let {y}.", "so", "en", "text", "s4"))

    assert finding.message == "Placeholders differ: lost “{x}”, added “{y}”."
    assert finding.to_json() == {
        "code": "placeholder_mismatch",
        "severity": "error",
        "cost": 40,
        "message": finding.message,
        "template": "Placeholders differ: lost %(lost)s, added %(added)s.",
        "params": {"lost": "“{x}”", "added": "“{y}”"},
        "segment": "s4",
        "span": (4, 7),
        "version": CHECKS_VERSION,
    }
    json.dumps(finding.to_json())


def error(segment=""):
    return Finding("empty", "", segment=segment)


def warning(segment="", code="number_extra"):
    return Finding(code, "", segment=segment)


@pytest.mark.parametrize(
    ("findings", "letters", "expected"),
    [
        ([], None, 100),
        ([warning()], None, 90),
        ([warning(), warning()], None, 90),  # once per code
        ([warning(), warning(code="tags_order")], None, 85),
        ([error()], None, 49),
        ([error()] * 3, None, 0),
        ([], {"s1": 10, "s2": 10}, 100),
        ([warning("s1")], {"s1": 10}, 90),
        ([warning("s1")], {"s1": 10, "s2": 30}, 95),  # 0.7 × 97.5 + 0.3 × 90
        ([error("s1")], {"s1": 10, "s2": 30}, 49),
        ([error("s1")] * 3, {"s1": 10, "s2": 0}, 6),  # 0.7 × 100 / 11
        ([warning()], {"s1": 10, "s2": 30}, 90),  # about the whole text
    ],
)
def test_the_score(findings, letters, expected):
    assert score(findings, letters) == expected


def test_only_errors_block():
    assert has_errors([warning(), error()])
    assert not has_errors([warning()])
