"""What a row of the glossary may say, alone and beside the others."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from django.utils.translation import gettext as _

from translations.languages import is_known
from translations.quality.pair import language
from translations.quality.terms import Term, folded, term_from_row
from translations.registry import all_registered

if TYPE_CHECKING:
    from translations.glossary.models import GlossaryTerm

FORM_COLUMNS = ("source_forms", "preferred", "forbidden")
COLUMNS = (
    "source_language",
    "source_term",
    "source_forms",
    "target_language",
    "preferred",
    "forbidden",
    "rule",
    "note",
    "owner",
    "scope",
)


def tidied(forms: str) -> str:
    """Forms with bars between them, each once, without blanks around them."""
    found = (form.strip() for form in forms.split("|"))
    return "|".join(dict.fromkeys(form for form in found if form))


def problems(row: "GlossaryTerm") -> dict[str, str]:
    """What is wrong with a row by itself: {field: sentence}."""
    found = {}
    for name in ("source_language", "target_language"):
        tag = getattr(row, name)
        if tag and not is_known(tag):
            found[name] = _(
                "%(tag)s is no language tag such as so, en or pt-BR; correct it."
            ) % {"tag": f"“{tag}”"}
    labels = all_registered()
    if row.scope and row.scope not in labels:
        found["scope"] = _(
            "%(scope)s is no kind of content that is translated; there are %(there)s."
        ) % {"scope": f"“{row.scope}”", "there": ", ".join(labels) or "–"}
    if row.rule != "keep" and not row.preferred and not row.forbidden:
        found["preferred"] = _(
            "Say what the term is called, or what it must not be called."
        )
    both = _shared(row.preferred, row.forbidden, row.target_language)
    if both:
        found["forbidden"] = _(
            "%(form)s is to be used and not to be used; choose one."
        ) % {"form": f"“{both[0]}”"}
    return found


def conflict(row: "GlossaryTerm", others: Iterable["GlossaryTerm"]) -> str:
    """Why a row cannot stand beside one of the others, naming both; blank if it can.

    Two rows meet where they are for the same content and languages and share a form of
    the term. They then must not both be binding and want different words, nor may one
    forbid what the other wants.
    """
    term = term_of(row)
    mine = _forms(term.source_forms, row.source_language)
    for other in others:
        if not _meet(row, other):
            continue
        theirs = term_of(other)
        shared = mine & _forms(theirs.source_forms, other.source_language)
        if not shared:
            continue
        said = {
            "form": sorted(shared)[0],
            "row": str(row),
            "other": f"{other} (row {other.pk})",
        }
        if _demand(row) and _demand(other) and _demand(row) != _demand(other):
            return (
                _(
                    "Both %(row)s and %(other)s say what “%(form)s” must be called, "
                    "and not the same. Change one of them, or make it “preferred”."
                )
                % said
            )
        clash = _shared(row.preferred, other.forbidden, row.target_language) or _shared(
            other.preferred, row.forbidden, row.target_language
        )
        if clash:
            return _(
                "“%(word)s” for “%(form)s” is wanted by one of %(row)s and "
                "%(other)s, and forbidden by the other. Take it out of one."
            ) % {**said, "word": clash[0]}
    return ""


def term_of(row: "GlossaryTerm") -> Term:
    return term_from_row(row.columns())


def _meet(one: "GlossaryTerm", other: "GlossaryTerm") -> bool:
    return (
        (not one.scope or not other.scope or one.scope == other.scope)
        and _same_language(one.source_language, other.source_language)
        and _same_language(one.target_language, other.target_language)
    )


def _same_language(one: str, other: str) -> bool:
    """Whether there is a language that both are for; `ar` is for ar-EG as well."""
    one, other = one.lower(), other.lower()
    return (
        not one
        or not other
        or one == other
        or one.startswith(f"{other}-")
        or other.startswith(f"{one}-")
    )


def _demand(row: "GlossaryTerm") -> frozenset[str] | None:
    """What a row insists on; None where it only wishes or forbids."""
    if row.rule == "keep":
        return frozenset({"\0kept"})
    if row.rule != "required" or not row.preferred:
        return None
    return _forms(row.preferred.split("|"), row.target_language)


def _forms(forms: Iterable[str], tag: str) -> frozenset[str]:
    return frozenset(folded(form, language(tag)) for form in forms)


def _shared(one: str, other: str, tag: str) -> list[str]:
    """Forms that two texts with bars have both."""
    mine = _forms(filter(None, one.split("|")), tag)
    return sorted(mine & _forms(filter(None, other.split("|")), tag))
