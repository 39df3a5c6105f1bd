"""Each check of translations by itself: what it lets be, and what it finds."""

import pytest

from tests.translations.faults_and_right import CHILD, CLEAN, FOUND, IN_ENGLISH, LIKED
from translations.quality import CHECKS_VERSION, Background, Pair, check_pair, score
from translations.quality.answers import ending, uncertain
from translations.quality.checks import STRUCTURE
from translations.quality.findings import ERRORS, NOTES, WARNING_COSTS
from translations.quality.terms import term_from_row


def findings(source, target, languages, format, background):
    origin, to = languages.split()
    pair = Pair(source, target, origin, to, format, background=Background(**background))
    return check_pair(pair)


@pytest.mark.parametrize(
    ("code", "case"),
    [(row[0], row[1:]) for row in FOUND],
    ids=lambda value: str(value)[:40],
)
def test_a_fault_is_found(code, case):
    found = {finding.code: finding for finding in findings(*case)}

    assert code in found
    assert "%(" not in found[code].message
    assert found[code].version == CHECKS_VERSION
    if found[code].span and case[1]:
        start, end = found[code].span
        assert 0 <= start < end <= len(case[1])


@pytest.mark.parametrize(
    ("code", "case"),
    [(row[0], row[1:]) for row in CLEAN],
    ids=lambda value: str(value)[:40],
)
def test_what_is_right_is_let_be(code, case):
    found = [(finding.code, finding.message) for finding in findings(*case)]

    assert found == [], code


def test_every_code_is_tried_both_ways():
    """What the provider, the model or the sandbox says is no comparison of texts."""
    said = {"truncated", "refused", "uncertain", "sandbox_text"}
    never_clean = {"empty", "segments_missing", "partly_untranslated", "mixed_script"}
    codes = (ERRORS | WARNING_COSTS.keys() | NOTES) - said

    assert {row[0] for row in FOUND} == codes
    assert {row[0] for row in CLEAN} >= codes - never_clean - {"tags_order"}


def test_half_a_text_in_the_right_language_is_a_warning_and_not_the_wrong_one():
    found = findings(
        "Markaad ilmahaagu caroodo ha qaylin. Marka uu dego, kala hadal waxa dhacay.",
        "When your child gets angry do not shout. Marka uu dego, kala hadal waxa "
        "dhacay.",
        "so en",
        "text",
        {},
    )

    assert [finding.code for finding in found] == ["partly_untranslated"]
    assert score(found) == 85


@pytest.mark.parametrize(
    ("reason", "codes"),
    [
        ("length", ["truncated"]),
        ("content_filter", ["refused"]),
        ("stop", []),
        ("", []),
    ],
)
def test_how_an_answer_ended(reason, codes):
    assert [finding.code for finding in ending(reason)] == codes


def test_a_doubt_of_the_model_costs_five_points():
    doubt = uncertain("source_error", "12 is meant", "s3")

    assert doubt.message == (
        "The model is unsure (the source seems to be wrong): 12 is meant"
    )
    assert (doubt.segment, doubt.severity) == ("s3", "warning")
    assert score([doubt]) == 95


def test_a_preferred_term_costs_less_than_a_required_one():
    required = findings("Ilmaha", "Boy", "so en", "text", {"terms": (IN_ENGLISH,)})
    liked = findings("Tarbiyadda", "Care", "so en", "text", {"terms": (LIKED,)})

    assert (score(required), score(liked)) == (85, 95)
    assert liked[0].to_json()["cost"] == 5


def test_a_language_that_nothing_can_tell_is_said_so_and_costs_nothing():
    [note] = findings("Jooji hadda", "አሁን አቁም", "so am", "text", {})

    assert note.severity == "note"
    assert note.message == (
        "Whether this is Amharic is not checked: the language detector does not "
        "know it."
    )
    assert score([note]) == 100


def test_only_structure_is_checked_where_asked():
    pair = Pair("Dooro 3 xeer", "Dooro 4 xeer", "so", "ar")

    codes = [finding.code for finding in check_pair(pair, STRUCTURE)]

    assert codes == ["number_mismatch", "number_extra"]


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"source_term": "ilme", "rule": "always"}, "rule 'always' is none of"),
        ({"source_term": 5}, "source_term is 5 and no text"),
        (
            {"source_term": "ilme", "preferred": "child", "forbidden": 5},
            "forbidden is 5",
        ),
        ({"rule": "required"}, "neither source_term"),
        ({"source_term": "ilme"}, "neither preferred nor forbidden"),
    ],
)
def test_a_glossary_row_that_cannot_be_used_says_why(row, problem):
    with pytest.raises(ValueError, match=problem):
        term_from_row(row)


def test_a_glossary_row_is_for_its_own_languages():
    term = term_from_row(
        CHILD | {"preferred": "child", "source_language": "so", "target_language": "en"}
    )

    assert term.is_for("so", "en-GB")
    assert not term.is_for("so", "ar")
    assert not findings("Ilmaha", "طفل", "so ar", "text", {"terms": (term,)})
