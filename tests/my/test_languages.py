"""The pages for everybody speak Arabic and Somali."""

import ast
import gettext
import re

import pytest
from django.urls import reverse

from tests.processes import ROOT

LANGUAGES = ["ar", "so"]
MODULES = [
    *sorted((ROOT / "batches/my").glob("*.py")),
    ROOT / "batches/admin/costs.py",
    ROOT / "batches/admin/waiting.py",
    ROOT / "translations/dictionary/pages.py",
]
TEMPLATES = [
    *sorted((ROOT / "templates/my").glob("*.html")),
    ROOT / "templates/admin/batches/live_panels.html",
]
MARKS = {"_", "gettext", "gettext_lazy", "ngettext"}
MARKED = re.compile(r"""(?:translate |_\()"([^"]+)\"""")
# What a job waits for; these pages name no jobs.
OF_JOBS = {
    "the provider works on it",
    "its results are being read",
    "it is about to be sent",
    "Job %(key)s (%(status)s): %(reason)s",
}
BLOCK = re.compile(r"\{% blocktranslate[^%]*%\}(.+?)\{% endblocktranslate %\}")
VARIABLE = re.compile(r"\{\{ (\w+) \}\}")
PLACEHOLDER = re.compile(r"%\(\w+\)[sd]")


def catalog(language: str) -> gettext.GNUTranslations:
    path = ROOT / "translations/locale" / language / "LC_MESSAGES/django.mo"
    with path.open("rb") as file:
        return gettext.GNUTranslations(file)


def said() -> set[str]:
    """What the pages say; of a text for one and for many, the one."""
    calls = (
        node
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in MARKS
    )
    found = {
        call.args[0].value for call in calls if isinstance(call.args[0], ast.Constant)
    }
    for path in TEMPLATES:
        html = path.read_text()
        found.update(MARKED.findall(html))
        found.update(VARIABLE.sub(r"%(\1)s", text) for text in BLOCK.findall(html))
    return found - OF_JOBS


def entries(language: str) -> dict:
    """Translations by their text; one for one and for many has a key a form."""
    return catalog(language)._catalog


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_sentence_of_the_pages_is_translated(language):
    known = {key[0] if isinstance(key, tuple) else key for key in entries(language)}
    sentences = said()

    assert len(sentences) > 100
    assert sentences - known == set()


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_translation_has_the_placeholders_of_its_source(language):
    """Forms for none, one and two may say the number in words."""
    strange = {}
    for key, text in entries(language).items():
        source = key[0] if isinstance(key, tuple) else key
        wanted, given = (set(PLACEHOLDER.findall(of)) for of in (source, text))
        left_out = wanted - given if not isinstance(key, tuple) else set()
        if given - wanted or left_out:
            strange[key] = text

    assert strange == {}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("language", "direction", "words"),
    [
        ("ar", "rtl", ["عملياتي", "قيد الانتظار", "ما تنتظره", "إلغاء…", "المتوقع"]),
        (
            "so",
            "ltr",
            ["Hawlahayga", "Sugaysa", "Waxa ay sugayso", "Jooji…", "La filayo"],
        ),
    ],
)
def test_a_run_is_read_in_the_own_language(
    mine, amina, ask, language, direction, words
):
    run = ask(amina, "patience")

    answer = mine.get(
        reverse("my:run", args=[run.public_id]), headers={"Accept-Language": language}
    )

    html = answer.content.decode()
    assert f'<html lang="{language}" dir="{direction}">' in html
    assert [word for word in words if word not in html] == []
