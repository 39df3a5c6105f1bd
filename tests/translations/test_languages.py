"""Tags of BCP 47, and the scripts that go with them."""

import pytest

from translations.languages import NAMES, direction, is_known, language_name
from translations.scripts import count_in, letters_in, scripts_of


@pytest.mark.parametrize(
    "tag", ["so", "pt-BR", "zh-Hans", "sr-Latn-RS", "es-419", "ckb", "ca-valencia"]
)
def test_a_tag_is_known(tag):
    assert is_known(tag)
    assert language_name(tag) != tag


@pytest.mark.parametrize(
    "tag", ["", "x", "xx", "english", "EN", "pt-br", "en_GB", "zz-ZZ", "en-" + "a" * 40]
)
def test_a_tag_is_not_known(tag):
    assert not is_known(tag)


@pytest.mark.parametrize(
    ("tag", "expected"),
    [("ar", "rtl"), ("ckb", "rtl"), ("uz-Arab", "rtl"), ("so", "ltr"), ("ku", "ltr")],
)
def test_the_direction_follows_language_and_script(tag, expected):
    assert direction(tag) == expected


@pytest.mark.parametrize(
    ("tag", "text"),
    [
        ("so", "Ilmaha"),
        ("vi", "Trẻ em được"),
        ("ar-EG", "طفلٌ"),
        ("ru", "Ребёнок"),
        ("sr", "dete дете"),
        ("sr-Cyrl", "дете"),
        ("zh-Hant", "孩子"),
        ("ja", "子どもカナ"),
        ("ko", "아이"),
        ("hi", "बच्चा"),
        ("am", "ልጅ"),
        ("th", "เด็ก"),
        ("el", "παιδί"),
        ("he", "יֶלֶד"),
    ],
)
def test_all_letters_of_a_text_are_in_the_scripts_of_its_language(tag, text):
    script = letters_in(scripts_of(tag))

    assert count_in(script, text) == sum(map(str.isalpha, text))
    assert count_in(letters_in(scripts_of("ka")), text) == 0


def test_every_language_has_a_script():
    for code in NAMES:
        assert letters_in(scripts_of(code)).pattern
