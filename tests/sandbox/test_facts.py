"""Conformance tests name the section of docs/provider-facts.md with their fact."""

import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "provider-facts.md"


def sections():
    """Numbers of the document's sections, in its order."""
    headings = re.findall(r"^## (\d+)\. ", DOCUMENT.read_text(), flags=re.MULTILINE)
    return [int(number) for number in headings]


def references():
    """(file name, section) of each reference in these tests."""
    return [
        (path.name, int(number))
        for path in sorted(HERE.glob("*.py"))
        for number in re.findall(r"Provider facts (\d+)", path.read_text())
    ]


def test_every_section_named_by_a_test_is_in_the_document():
    assert [found for found in references() if found[1] not in sections()] == []


@pytest.mark.parametrize("section", [1, 2, 3, 4, 5, 7, 8, 9])
def test_every_section_that_can_be_tested_is_named_by_a_test(section):
    assert section in {number for _, number in references()}


def test_the_sections_keep_their_numbers():
    assert sections() == [1, 2, 3, 4, 5, 6, 7, 8, 9, 12]
