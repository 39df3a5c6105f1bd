"""The glossary from rows of a file, and back into one."""

import csv
from collections.abc import Sequence
from typing import Any, ClassVar, Self, TextIO

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from pydantic import field_validator, model_validator

from translations.glossary.models import GlossaryTerm
from translations.glossary.rules import COLUMNS
from translations.glossary.saving import save_term
from translations.importing import BadRow, ContentRow, Importer, Stored

KEY = ("source_term", "source_language", "target_language", "scope")


class GlossaryRow(ContentRow):
    """A row of the glossary; term, languages and scope say which one it is."""

    may_be_empty: ClassVar[frozenset[str]] = frozenset(COLUMNS) - {
        "source_term",
        "rule",
    }

    id: str = ""
    source_language: str = ""
    source_term: str
    source_forms: str | None = None
    target_language: str = ""
    preferred: str | None = None
    forbidden: str | None = None
    rule: str | None = None
    note: str | None = None
    owner: str | None = None
    scope: str = ""

    @field_validator("source_forms", "preferred", "forbidden", mode="before")
    @classmethod
    def _forms_may_be_lists(cls, value: Any) -> Any:
        if isinstance(value, list) and all(isinstance(form, str) for form in value):
            return "|".join(value)
        return value

    @model_validator(mode="after")
    def _id_is_what_it_is_about(self) -> Self:
        self.source_term = self.source_term.strip()
        languages = f"{self.source_language or '*'} → {self.target_language or '*'}"
        self.id = f"{self.source_term} ({languages}) {self.scope}".strip()
        return self


def store_terms(rows: Sequence[tuple[int, GlossaryRow]]) -> Stored:
    stored = Stored()
    keys = {_key(row) for _, row in rows}
    there = {
        tuple(getattr(term, name) for name in KEY): term
        for term in GlossaryTerm.objects.filter(
            source_term__in={key[0] for key in keys}
        )
    }
    for line, row in rows:
        term = there.get(_key(row)) or GlossaryTerm()
        is_new = term.pk is None
        for name in COLUMNS:
            if (value := getattr(row, name)) is not None:
                setattr(term, name, value)
        try:
            is_changed = save_term(term, by="import")
        except ValidationError as err:
            stored.bad.append(_bad_row(line, row, err))
            continue
        stored.created += is_new
        stored.updated += is_changed and not is_new
        stored.unchanged += not is_changed
    return stored


def write_terms(terms: Sequence[GlossaryTerm], to: TextIO) -> None:
    """The glossary as CSV, as it is imported; a cell that a spreadsheet would take
    for a formula is kept from being one."""
    writer = csv.DictWriter(to, COLUMNS)
    writer.writeheader()
    for term in terms:
        writer.writerow({name: _cell(text) for name, text in term.columns().items()})


def _cell(text: str) -> str:
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _key(row: GlossaryRow) -> tuple[str, ...]:
    return tuple(getattr(row, name) for name in KEY)


def _bad_row(line: int, row: GlossaryRow, err: ValidationError) -> BadRow:
    field, problems = next(iter(err.message_dict.items()))
    field = "" if field == NON_FIELD_ERRORS else field
    value = getattr(row, field, "") if field else row.id
    return BadRow(line, field, f"“{value}”", problems[0])


GLOSSARY = Importer(
    "glossary", ("glossary term", "glossary terms"), GlossaryRow, store_terms
)
