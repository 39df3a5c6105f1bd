"""Glossary rows, and where their terms stand in a text.

A row has the columns of the glossary's CSV: `source_term`, `source_forms`,
`source_language`, `target_language`, `preferred`, `forbidden`, `rule`. Forms are lists,
or texts with a bar between the forms.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

RULES = ("required", "preferred", "keep")

_ARABIC_MARKS = re.compile(r"[\u0610-\u061a\u064b-\u065f\u0670\u0640]")
_ARABIC_LETTERS = str.maketrans("أإآٱى", "ااااي")
# And, so; by, for, like; the: glued to the word that follows.
ARABIC_PREFIX = r"[وف]?(?:ال|لل|[بلك]ال|[بلك])?"
_ARABIC_ENDING = r"(?:ها|هما|هم|هن|ه|كما|كم|كن|ك|نا|ني|ي)?"


@dataclass(frozen=True, slots=True)
class Term:
    """A row of the glossary for one pair of languages.

    `rule`: `required` wants a preferred form wherever a source form occurs, `preferred`
    would like one, `keep` wants the source form itself.
    """

    name: str
    source_forms: tuple[str, ...]
    preferred: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = ()
    rule: str = "required"
    source_language: str = ""
    target_language: str = ""

    def is_for(self, source_language: str, target_language: str) -> bool:
        """A row that names no language is for all; `ar` is for ar-EG as well."""
        return _covers(self.source_language, source_language) and _covers(
            self.target_language, target_language
        )


def term_from_row(row: Mapping[str, Any]) -> Term:
    """ValueError says what is wrong with a row."""
    name = _text(row, "source_term")
    forms = _forms(row, "source_forms") or ((name,) if name else ())
    preferred, forbidden = _forms(row, "preferred"), _forms(row, "forbidden")
    rule = _text(row, "rule") or "required"
    if rule not in RULES:
        raise ValueError(f"rule {rule!r} is none of {', '.join(RULES)}")
    if not forms and not forbidden:
        raise ValueError("it has neither source_term nor source_forms nor forbidden")
    if rule != "keep" and not preferred and not forbidden:
        raise ValueError("it has neither preferred nor forbidden forms")
    return Term(
        name=name or (forms or forbidden)[0],
        source_forms=forms,
        preferred=preferred,
        forbidden=forbidden,
        rule=rule,
        source_language=_text(row, "source_language"),
        target_language=_text(row, "target_language"),
    )


def terms_for(
    terms: Iterable[Term], source_language: str, target_language: str
) -> tuple[Term, ...]:
    return tuple(t for t in terms if t.is_for(source_language, target_language))


def folded(text: str, language: str) -> str:
    """As terms are compared: in small letters, and Arabic without its marks.

    Arabic loses characters; elsewhere positions stay, but for rare letters whose small
    form is longer.
    """
    text = unicodedata.normalize("NFC", text).replace("’", "'")
    if language == "ar":
        text = _ARABIC_MARKS.sub("", text).translate(_ARABIC_LETTERS)
    return text.lower()


@lru_cache(maxsize=4096)
def pattern_of(forms: tuple[str, ...], language: str) -> re.Pattern[str]:
    """Finds any of the forms as whole words in a folded text.

    In Arabic behind و ف ب ل ك ال, and with a pronoun at the end.
    """
    parts = sorted({_form(form, language) for form in forms}, key=len, reverse=True)
    prefix = ARABIC_PREFIX if language == "ar" else ""
    return re.compile(rf"(?<!\w){prefix}(?:{'|'.join(parts)})(?!\w)")


def occurs(forms: tuple[str, ...], language: str, text: str) -> bool:
    """Whether any of the forms stands in a folded text, as a whole word."""
    if not any(stem in text for stem in _stems(forms, language)):
        return False  # much quicker, and so it is for most terms
    return pattern_of(forms, language).search(text) is not None


@lru_cache(maxsize=4096)
def _stems(forms: tuple[str, ...], language: str) -> tuple[str, ...]:
    """The first word of each form, without the letter that an ending changes."""
    firsts = (folded(form, language).split()[0] for form in forms)
    return tuple({word.removesuffix("ة") for word in firsts})


def _form(form: str, language: str) -> str:
    words = folded(form, language).split()
    if language != "ar":
        return r"\s+".join(map(re.escape, words))
    between = rf"\s+{ARABIC_PREFIX}"
    *first, last = words
    return between.join([*map(re.escape, first), _with_ending(last)])


def _with_ending(word: str) -> str:
    if word.endswith("ة"):  # before a pronoun it is written open
        return f"{re.escape(word[:-1])}(?:ة|ه|ت{_ARABIC_ENDING})"
    return f"{re.escape(word)}{_ARABIC_ENDING}"


def _covers(wanted: str, tag: str) -> bool:
    wanted, tag = wanted.lower().replace("_", "-"), tag.lower().replace("_", "-")
    return not wanted or tag == wanted or tag.startswith(f"{wanted}-")


def _text(row: Mapping[str, Any], column: str) -> str:
    value = row.get(column)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ValueError(f"{column} is {value!r} and no text")
    return value.strip()


def _forms(row: Mapping[str, Any], column: str) -> tuple[str, ...]:
    value = row.get(column)
    if value is None:
        return ()
    if isinstance(value, str):
        value = value.split("|")
    if not isinstance(value, list) or not all(isinstance(form, str) for form in value):
        raise ValueError(f"{column} is {value!r} and no list of forms")
    return tuple(form.strip() for form in value if form.strip())
