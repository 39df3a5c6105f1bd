"""What filters keep and why not the rest; on the shipped list, and word by word."""

import csv
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

from batches.errors import BadOptions
from tests.processes import ROOT
from translations.dictionary.filtering import filter_words
from translations.dictionary.lemmas import Lemmas
from translations.dictionary.lists import (
    bundled_words,
    function_words,
    stop_words,
)
from translations.dictionary.normalising import REASONS, normalise, objection
from translations.dictionary.presets import ALIASES, PRESETS, get_preset
from translations.dictionary.reading import WordsRefused, open_source

HERE = Path(__file__).parent
MODERATE = get_preset("moderate")


@pytest.fixture(autouse=True)
def cache_dir(settings, tmp_path):
    settings.CACHE_DIR = tmp_path / "cache"
    return settings.CACHE_DIR


def kept(words, preset=MODERATE, **given):
    """{headword: forms} of what is kept of a list of words."""
    found = filter_words([(word, 1) for word in words], preset, **given)
    return {head.text: head.forms for head in found.kept}


def reasons(words, preset=MODERATE, **given):
    found = filter_words([(word, 1) for word in words], preset, **given)
    return {word.text: word.reason for word in found.rejected}


def test_the_stop_words_are_421_and_140_of_them_function_words():
    assert len(stop_words()) == 421
    assert len(function_words()) == 140
    assert function_words() < stop_words()
    assert all(objection(word, "en") == "" for word in stop_words())


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """What each preset keeps of the bundled list."""
    lemmas = Lemmas("simplemma", tmp_path_factory.mktemp("cache"))
    words = [(word, 1) for word in bundled_words()]
    return [filter_words(words, preset, lemmas=lemmas) for preset in PRESETS]


@pytest.mark.slow
def test_each_preset_keeps_its_share_of_the_bundled_list(measured):
    for found in measured:
        assert found.raw == 274_937
        assert found.retention == pytest.approx(found.preset.target, abs=0.015)


@pytest.mark.slow
def test_presets_nest(measured):
    widest, middle, narrowest = ({head.text for head in f.kept} for f in measured)

    assert narrowest < middle < widest


@pytest.mark.slow
def test_no_common_word_is_lost_but_stop_words_and_what_is_folded(measured):
    for found in measured[:2]:
        lost = {
            word.text
            for word in found.rejected
            if (word.zipf or 0) >= 3 and word.reason not in ("folded", "stop_word")
        }
        assert lost == set()


@pytest.mark.slow
def test_every_word_is_kept_or_rejected_with_a_reason(measured):
    for found in measured:
        told = {word.text for word in found.rejected} | {h.text for h in found.kept}
        assert len(told) == found.raw
        assert {word.reason for word in found.rejected} <= REASONS.keys()


@pytest.mark.slow
def test_the_documented_table_is_what_is_measured(measured):
    text = (ROOT / "docs/dictionary.md").read_text()
    rows = re.findall(
        r"^\| (\w+) \| ([\d,]+) \| ([\d.]+) % \| ([\d.]+) % \|", text, re.M
    )

    assert rows == [
        (
            found.preset.name,
            f"{len(found.kept):,}",
            f"{found.retention * 100:.1f}",
            f"{found.reduction * 100:.1f}",
        )
        for found in measured
    ]


@pytest.mark.slow
def test_a_list_by_frequency_is_held_to_the_target_and_nests():
    from wordfreq import top_n_list

    words = [(word, 1) for word in top_n_list("en", 60_000)]
    found = [filter_words(words, preset) for preset in PRESETS]

    for one in found:
        assert one.min_zipf > one.preset.min_zipf
        assert one.retention == pytest.approx(one.preset.target, abs=0.015)
    widest, middle, narrowest = ({head.text for head in f.kept} for f in found)
    assert narrowest < middle < widest


def test_the_sample_words_get_the_expected_headwords():
    with (HERE / "words.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for language in ("en", "so"):
        here = [row for row in rows if row["language"] == language]
        # w-15, `the`, is a stop word, which only this flag keeps.
        found = kept(
            [row["raw_word"] for row in here], language=language, keep_stop_words=True
        )
        heads = {form: head for head, forms in found.items() for form in forms}
        for row in here:
            assert heads.get(row["raw_word"], "") == row["expected_headword"], row
            if row["expected_normalised"]:
                assert normalise(row["raw_word"]) == row["expected_normalised"]


@pytest.mark.parametrize(
    ("word", "base"),
    [
        ("stories", "story"),
        ("boxes", "box"),
        ("knives", "knife"),
        ("running", "run"),
        ("stopped", "stop"),
        ("mice", "mouse"),
    ],
)
def test_forms_are_folded_into_their_headword(word, base):
    assert kept([word, base]) == {base: {word: 1, base: 1}}


@pytest.mark.parametrize(
    ("word", "other"),
    [
        ("news", "new"),
        ("lens", "len"),
        ("species", "specie"),
        ("bus", "bu"),
        ("building", "build"),
        ("better", "good"),
        ("unless", "less"),
        ("return", "turn"),
        ("overcome", "come"),
        ("upbringing", "upbring"),
        ("graffiti", "graffito"),
    ],
)
def test_what_only_looks_like_a_form_stays_a_headword(word, other):
    assert word in kept([word, other], keep_stop_words=True)


def test_only_aggressive_folds_what_is_derived():
    aggressive = get_preset("aggressive")

    assert kept(["kindly", "kind"]).keys() == {"kindly", "kind"}
    assert kept(["kindly", "kind"], aggressive).keys() == {"kind"}
    assert "hardly" in kept(["hardly", "hard"], aggressive, keep_stop_words=True)


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("", "empty"),
        ("'s", "empty"),
        ("xqzt99", "characters"),
        ("21st", "characters"),
        ("café", "characters"),
        ("en coulisses", "characters"),
        ("-ing", "characters"),
        ("b", "single_letter"),
        ("aaa", "repetition"),
        ("x" + "ab" * 150, "too_long"),
        ("The", "stop_word"),
        ("blorptastic", "rare"),
    ],
)
def test_a_bad_word_is_told_with_its_reason_as_it_was_found(word, reason):
    found = reasons([word, "house"])

    expected = word.lower() if reason in ("stop_word", "rare") else word
    assert found == {expected: reason}


def test_a_word_that_comes_twice_is_one_with_its_count():
    assert kept(["House", "house", "house", "house’s"]) == {
        "house": {"House": 1, "house": 2, "house’s": 1}
    }


def test_words_with_hyphens_are_not_taken_for_their_parts():
    assert "mother-in-law" in kept(["mother-in-law"])
    assert reasons(["zymurgy-of-the"]) == {"zymurgy-of-the": "rare"}


def test_words_of_a_text_without_frequencies_are_judged_by_their_count():
    found = filter_words(
        [("hooyo", 3), ("dulqaad", 2), ("su'aal", 4)],
        MODERATE,
        language="so",
        counts_matter=True,
    )

    assert [head.text for head in found.kept] == ["hooyo", "su'aal"]
    assert [(word.text, word.reason) for word in found.rejected] == [
        ("dulqaad", "too_few")
    ]


def test_old_names_of_presets_work_and_unknown_ones_are_refused():
    assert {get_preset(old).name for old in ALIASES} == {"conservative", "moderate"}
    with pytest.raises(BadOptions, match="'strict'; use one of conservative"):
        get_preset("strict")


def test_a_normaliser_that_is_missing_is_replaced_and_said_so(cache_dir):
    lemmas = Lemmas("spacy")

    assert lemmas.name == "simplemma"
    assert "WORD_NORMALISER is spacy" in lemmas.message


def test_what_was_looked_up_is_kept_and_read_again(cache_dir):
    first = Lemmas("simplemma")
    assert (first.lemma("mice"), first.lemma("blorptastic")) == ("mouse", None)
    first.keep()

    (path,) = cache_dir.glob("word_normalizer_*.json")
    again = Lemmas("simplemma")

    assert path.name == "word_normalizer_simplemma_en.json"
    assert again._known == {"mice": "mouse", "blorptastic": ""}
    path.write_text("{broken")
    assert Lemmas("simplemma").lemma("mice") == "mouse"


def test_files_are_a_table_a_list_or_a_text(tmp_path):
    table = tmp_path / "words.csv"
    table.write_text("word,count,language\nhooyo,4,so\nhouse,2,en\n")
    listed = tmp_path / "list.txt"
    listed.write_text("house\nmother-in-law\n")
    text = tmp_path / "story.txt"
    text.write_text("Su’aal waa su’aal.\nHooyo iyo aabbo way yimaadeen.\n")

    assert list(open_source(str(table), language="so").words) == [("hooyo", 4)]
    assert len(list(open_source(str(listed), language="en").words)) == 2
    of_text = open_source(str(text), language="so")
    assert of_text.counts_matter
    assert ("su’aal", 1) in list(of_text.words)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"name\nhouse\n", "no column “word”"),
        (b"word,count\nhouse,many\n", "line 2, count: 'many'"),
        (b"word\n\xff\xfe\n", "is not UTF-8"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_what_is_wrong(
    tmp_path, content, says
):
    path = tmp_path / "words.csv"
    path.write_bytes(content)

    with pytest.raises(WordsRefused, match=says):
        list(open_source(str(path), language="en").words)


# VmHWM is this program's own; ru_maxrss would be its parent's too.
PEAK = """
import re, sys
from django.core.management import execute_from_command_line
execute_from_command_line(["manage.py", *sys.argv[1:]])
peak = re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())
print(peak.group(1), file=sys.stderr)
"""


@pytest.mark.slow
def test_269_309_words_take_at_most_300_megabytes(tmp_path):
    words = random.Random(1).sample(list(bundled_words()), 269_309)  # noqa: S311
    path = tmp_path / "words.txt"
    path.write_text("\n".join(words))
    environment = {
        "DJANGO_SETTINGS_MODULE": "batchsite.settings",
        "DATA_DIR": str(tmp_path),
        "CACHE_DIR": str(tmp_path / "cache"),
        "PATH": "",
        "PYTHONPATH": str(ROOT),
    }
    # The narrowest preset goes through the rules of all three.
    arguments = ["filter_words", "--filter-preset=aggressive", "--json"]

    ran = subprocess.run(
        [sys.executable, "-c", PEAK, *arguments, f"--words-file={path}"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )

    assert '"raw": 269309' in ran.stdout
    assert int(ran.stderr.split()[-1]) <= 300 * 1024
