"""What people translated well is not held against them."""

import json
from pathlib import Path

import pytest

from tests.translations.catalogues import LANGUAGES, is_long, measured_pairs
from translations.quality import Pair, check_pair, has_errors

RIGHT = [
    json.loads(line)
    for line in (Path(__file__).parent / "right_pairs.jsonl").read_text().splitlines()
]


@pytest.mark.parametrize("row", RIGHT, ids=lambda row: row["target"][:40])
def test_a_right_translation_has_no_findings(row):
    found = check_pair(Pair(**row))

    assert [(finding.code, finding.message) for finding in found] == []


def test_of_real_catalogues_fewer_than_two_in_a_hundred_have_an_error():
    pairs = measured_pairs()

    wrong = [pair for pair in pairs if has_errors(check_pair(pair))]

    assert len(pairs) >= 500
    assert 2 * sum(map(is_long, pairs)) == len(pairs)
    assert {pair.target_language for pair in pairs} == {*LANGUAGES}
    shown = [(pair.source, pair.target) for pair in wrong]
    assert len(wrong) < 0.02 * len(pairs), shown
