"""Each check with an entry that it objects to, beside one that passes all."""

import copy
import json
from pathlib import Path

import pytest

from batches.wire_schema import strict_schema
from translations.dictionary.checks import Asked, check_entry
from translations.dictionary.findings import (
    ERRORS,
    PRETENDED,
    WARNING_COSTS,
    Finding,
    error_codes,
    score,
)
from translations.dictionary.shapes import DictionaryEntry

HERE = Path(__file__).parent
EXAMPLES = [
    json.loads(line)
    for line in (HERE / "example_outputs.jsonl").read_text().splitlines()
]
GOOD = EXAMPLES[0]["output"]
PATIENCE = Asked("patience", "en", 4.3, ("patience",))


def found(output, asked=PATIENCE):
    return check_entry(DictionaryEntry.model_validate(output), asked)


def codes(output, asked=PATIENCE):
    return {finding.code for finding in found(output, asked)}


def changed(path, value):
    """The good entry with one place set to something else."""
    output = copy.deepcopy(GOOD)
    *way, last = path
    place = output
    for step in way:
        place = place[step]
    place[last] = value
    return output


FIRST = ("meanings", 0)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example["note"])
def test_the_shipped_answers_get_exactly_the_expected_codes(example):
    findings = found(example["output"])

    assert {f.code for f in findings if f.severity == "error"} == set(
        example["expected_errors"]
    )
    assert {f.code for f in findings if f.severity == "warning"} == set(
        example["expected_warnings"]
    )


FAILING = {
    "headword_mismatch": [
        (("headword",), "patient", PATIENCE),
        (("language",), "so", PATIENCE),
    ],
    "no_meaning": [(("meanings",), [], PATIENCE), (("is_word",), False, PATIENCE)],
    "circular_definition": [
        ((*FIRST, "definition"), "the quality of having patience", PATIENCE),
        ((*FIRST, "definition"), "having patiences of many kinds", PATIENCE),
    ],
    "example_without_headword": [
        ((*FIRST, "examples"), ["She waited for a long time."], PATIENCE)
    ],
    "example_too_short": [((*FIRST, "examples"), ["Patience, dear."], PATIENCE)],
    "example_too_long": [
        ((*FIRST, "examples"), ["Patience is " + "very " * 25 + "good."], PATIENCE)
    ],
    "example_unfinished": [
        ((*FIRST, "examples"), ["she has a lot of patience"], PATIENCE),
        ((*FIRST, "examples"), ["She has a lot of patience"], PATIENCE),
    ],
    "example_count": [
        ((*FIRST, "examples"), [], PATIENCE),
        ((*FIRST, "examples"), ["He has a lot of patience."] * 4, PATIENCE),
    ],
    "meaning_count": [(("meanings",), GOOD["meanings"][:1] * 7, PATIENCE)],
    "bad_ipa": [
        (("pronunciations", 0, "ipa"), "PAY-shuns", PATIENCE),
        (("pronunciations", 0, "ipa"), "/ˈPeɪʃəns/", PATIENCE),
        (("pronunciations", 0, "ipa"), "/ˈpeɪʃ3ns/", PATIENCE),
        (("pronunciations", 0, "ipa"), "//", PATIENCE),
    ],
    "synonym_is_headword": [((*FIRST, "synonyms"), ["Patience"], PATIENCE)],
    "synonym_antonym_clash": [((*FIRST, "synonyms"), ["impatience"], PATIENCE)],
    "duplicate_sense": [
        (("meanings", 1, "definition"), GOOD["meanings"][0]["definition"], PATIENCE)
    ],
    "definition_length": [
        ((*FIRST, "definition"), "calm waiting", PATIENCE),
        ((*FIRST, "definition"), "calm " * 31, PATIENCE),
    ],
    "wrong_language": [
        ((*FIRST, "definition"), "awoodda aad ku sugto adigoo deggan", PATIENCE)
    ],
    "wrong_script": [
        ((*FIRST, "definition"), "القدرة على الانتظار بهدوء", PATIENCE),
        ((*FIRST, "translations", 1, "text"), "sabr", PATIENCE),
    ],
    "etymology_unsure": [(("etymology", "confidence"), "low", PATIENCE)],
    "cefr_odd": [
        ((*FIRST, "cefr"), "A1", Asked("patience", "en", 3.0)),
        ((*FIRST, "cefr"), "C2", Asked("patience", "en", 5.5)),
    ],
    "rare_real_word": [(("is_word",), True, Asked("patience", "en", 0.0))],
    "unsafe": [
        ((*FIRST, "register"), "offensive", PATIENCE),
        ((*FIRST, "examples"), ["Her damn patience was at its end."], PATIENCE),
    ],
}


def test_every_code_has_a_case_that_fails():
    assert FAILING.keys() == (ERRORS - {PRETENDED}) | WARNING_COSTS.keys()


@pytest.mark.parametrize(
    ("code", "path", "value", "asked"),
    [(code, *case) for code, cases in FAILING.items() for case in cases],
)
def test_a_check_finds_what_it_is_for(code, path, value, asked):
    assert code not in codes(GOOD)
    assert code in codes(changed(path, value), asked)


@pytest.mark.parametrize(
    ("headword", "example"),
    [
        ("run", "They were running to school every single day."),
        ("child", "Both children were asleep when we came home."),
        ("mother-in-law", "My mother-in-law brought bread for all of us."),
        ("study", "He studies until late in the evening."),
    ],
)
def test_a_form_of_the_headword_is_the_headword(headword, example):
    output = changed((*FIRST, "examples"), [example])
    output["headword"] = headword
    output["meanings"] = output["meanings"][:1]

    assert codes(output, Asked(headword, "en", 4.5)) == set()


def test_words_of_other_languages_are_known_by_their_forms_and_the_editors_folds():
    output = changed((*FIRST, "definition"), "dad yar oo aan weli koreyn")
    output |= {"headword": "carruur", "language": "so"}
    output["meanings"] = output["meanings"][:1]
    output["meanings"][0]["examples"] = ["Carruurta ayaa ku ciyaaraya guriga hortiisa."]

    assert codes(output, Asked("carruur", "so")) == set()


def test_an_error_caps_the_score_and_a_warning_counts_once():
    error = Finding("bad_ipa", "")
    warning = Finding("example_too_short", "")

    assert score([]) == 100
    assert score([warning, warning]) == 95
    assert score([error]) == 49
    assert score([error, error, error]) == 0
    assert error_codes([error, warning, Finding(PRETENDED, "")]) == "bad_ipa"


def test_the_schema_that_is_sent_is_the_one_that_was_agreed():
    agreed = json.loads((HERE / "entry_schema.json").read_text())

    assert strict_schema(DictionaryEntry) == agreed
