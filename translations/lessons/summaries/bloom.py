"""Verbs of learning objectives by Bloom's levels: English, Somali and Arabic.

A language without a table is not checked. To change what is accepted, edit the tables.
"""

from collections.abc import Iterable
from functools import cache

from translations.quality.pair import language
from translations.quality.terms import folded

LEVELS: dict[str, dict[str, str]] = {
    "remember": {
        "en": "name, list, recall",
        "so": "magacow, tiri, xasuuso",
        "ar": "اذكر, عدّد, سمِّ",
    },
    "understand": {
        "en": "explain, describe, summarise, summarize",
        "so": "sharax, tilmaan, soo koob",
        "ar": "اشرح, صِف, لخّص",
    },
    "apply": {
        "en": "use, show, practise, practice",
        "so": "adeegso, tus, ku celceli",
        "ar": "استخدم, طبّق, مارس",
    },
    "analyze": {
        "en": "compare, sort, tell apart",
        "so": "isbarbardhig, kala saar, falanqee",
        "ar": "قارن, صنّف, حلّل",
    },
    "evaluate": {
        "en": "judge, choose, choose and justify, justify",
        "so": "qiimee, dooro, sababee",
        "ar": "قيّم, اختر, برّر",
    },
    "create": {
        "en": "plan, design, write",
        "so": "qorshee, samee, qor",
        "ar": "خطّط, صمّم, اكتب",
    },
}
# What nobody can observe.
VAGUE = {
    "en": "understand, know, learn, be aware",
    "so": "faham, ogow, baro",
    "ar": "افهم, اعرف, تعلّم",
}


def is_vague(verb: str, tag: str) -> bool:
    return _begins(verb, tag, _forms(VAGUE.get(language(tag), ""), language(tag)))


def fits(verb: str, level: str, tag: str) -> bool:
    """Whether a verb is one of its level; every verb is, where there is no table."""
    known = LEVELS[level].get(language(tag), "")
    return not known or _begins(verb, tag, _forms(known, language(tag)))


def begins_with(text: str, verb: str, tag: str) -> bool:
    return bool(verb.strip()) and _begins(text, tag, [_folded(verb, tag)])


def _begins(text: str, tag: str, forms: Iterable[str]) -> bool:
    words = f"{_folded(text, tag)} "
    return any(words.startswith(f"{form} ") for form in forms)


def _folded(text: str, tag: str) -> str:
    text = folded(text, language(tag))
    return " ".join(
        "".join(c if c.isalnum() or c in "'-" else " " for c in text).split()
    )


@cache
def _forms(listed: str, code: str) -> tuple[str, ...]:
    return tuple(_folded(form, code) for form in listed.split(",") if form)
