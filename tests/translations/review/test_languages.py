"""The pages of review speak Arabic and Somali."""

import ast
import gettext
import re

import pytest
from django.urls import reverse
from django.utils import translation

from tests.processes import ROOT

pytestmark = pytest.mark.django_db

PAGES = sorted((ROOT / "templates/admin/translations").glob("review*.html"))
LOCALE = ROOT / "translations/locale"
MARKED = re.compile(r'{% translate "([^"]+)"')


@pytest.fixture(autouse=True)
def own_language():
    """A request leaves its language behind in the thread."""
    with translation.override("en"):
        yield


def catalog(language):
    with (LOCALE / language / "LC_MESSAGES/django.mo").open("rb") as file:
        return gettext.GNUTranslations(file)


@pytest.mark.parametrize("language", ["ar", "so"])
def test_every_sentence_of_the_pages_is_translated(language):
    found = catalog(language)
    sentences = {text for page in PAGES for text in MARKED.findall(page.read_text())}

    left = {text for text in sentences if found.gettext(text) == text}

    assert len(sentences) > 50
    assert left == set()


@pytest.mark.parametrize("language", ["ar", "so"])
def test_what_is_compiled_is_what_is_written(language):
    written = (LOCALE / language / "LC_MESSAGES/django.po").read_text()
    pairs = re.findall(r'^msgid "(.+)"\nmsgstr "(.+)"$', written, re.MULTILINE)
    found = catalog(language)

    assert len(pairs) > 150
    for source, target in pairs:
        assert found.gettext(source.replace('\\"', '"')) == target.replace('\\"', '"')


@pytest.mark.parametrize(
    ("language", "direction", "word"), [("ar", "rtl", "رفض"), ("so", "ltr", "Diid")]
)
def test_a_reviewer_reads_the_own_language(
    client, amina, make_unit, language, direction, word
):
    client.force_login(amina)
    unit = make_unit()
    urls = [
        reverse("admin:translations_translation_review"),
        reverse("admin:translations_translation_review_bulk"),
        reverse("admin:translations_translation_review_asked"),
        reverse("admin:translations_translation_review_one", args=[unit.pk]),
    ]

    for url in urls:
        html = client.get(url, headers={"Accept-Language": language}).content.decode()
        assert f'<html lang="{language}" dir="{direction}">' in html

    assert f">{word}</summary>" in html
    assert 'dir="rtl" lang="ar">اختر 3 قواعد</div>' in html


@pytest.mark.parametrize("language", ["ar", "so"])
def test_what_the_checks_find_is_said_in_the_own_language(language):
    sources = [*(ROOT / "translations/quality").glob("*.py")]
    said = {
        node.args[0].value
        for path in [*sources, ROOT / "translations/judging.py"]
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", "") == "gettext_noop"
        and isinstance(node.args[0], ast.Constant)
    }
    found = catalog(language)

    assert len(said) > 30
    assert {text for text in said if found.gettext(text) == text} == set()
