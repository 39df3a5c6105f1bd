"""Which rows of the glossary go out with a request: those whose term is in its text."""

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import orjson

from translations.glossary.models import GlossaryTerm
from translations.glossary.rules import FORM_COLUMNS
from translations.quality.pair import language, prose
from translations.quality.terms import Term, folded, occurs, term_from_row

# Rows with their columns: forms as lists, no languages, as those are the request's.
Rows = list[dict[str, Any]]


class Glossary:
    """The rows there are, read once for a page of subjects."""

    def __init__(self) -> None:
        self._rows = [
            (term.scope, term_from_row(term.columns()), _row(term))
            for term in GlossaryTerm.objects.order_by("source_term", "pk")
        ]
        self._chosen: dict[tuple[str, str, str], list[tuple[Term, dict[str, Any]]]] = {}

    def rows_in(
        self,
        texts: Sequence[str],
        *,
        scope: str,
        source_language: str,
        target_language: str,
        format: str,
    ) -> Rows:
        """The rows for these languages whose term stands in one of the texts."""
        chosen = self._chosen_for(scope, source_language, target_language)
        if not chosen:
            return []
        tongue = language(source_language)
        text = folded("\n".join(prose(text, format) for text in texts), tongue)
        return [row for term, row in chosen if occurs(term.source_forms, tongue, text)]

    def _chosen_for(
        self, scope: str, source_language: str, target_language: str
    ) -> list[tuple[Term, dict[str, Any]]]:
        key = (scope, source_language, target_language)
        if key not in self._chosen:
            self._chosen[key] = [
                (term, row)
                for wanted, term, row in self._rows
                if wanted in ("", scope)
                and term.is_for(source_language, target_language)
            ]
        return self._chosen[key]


def for_model(rows: Rows) -> Rows:
    """What the model is told of the rows, without what is empty or ours."""
    return [
        {name: value for name, value in row.items() if value and name != "version"}
        for row in rows
    ]


def terms_of(rows: Rows) -> tuple[Term, ...]:
    return tuple(map(term_from_row, rows))


def glossary_version(rows: Rows) -> str:
    """12 hex digits for the rows as they were sent; blank for none."""
    return sha256(orjson.dumps(rows)).hexdigest()[:12] if rows else ""


def _row(term: GlossaryTerm) -> dict[str, Any]:
    lists = {name: getattr(term, name).split("|") for name in FORM_COLUMNS}
    forms = {name: list(filter(None, found)) for name, found in lists.items()}
    return {
        "source_term": term.source_term,
        **forms,
        "rule": term.rule,
        "note": term.note,
        "version": term.version,
    }
