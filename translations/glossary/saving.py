"""Writing rows of the glossary: checked, versioned, and logged."""

from functools import partial

from django.db import transaction
from django.utils import timezone

from batches.services.events import audit
from batches.tasks import request_once
from translations.glossary.models import GlossaryTerm
from translations.glossary.rules import COLUMNS

RECHECK = "translations.tasks.recheck_texts"


def save_term(term: GlossaryTerm, *, by: str) -> bool:
    """Save a row that is new or changed; returns whether it was either.

    ValidationError names the row that it cannot stand beside. A change raises the
    row's version.
    """
    with transaction.atomic():
        before = GlossaryTerm.objects.select_for_update().filter(pk=term.pk).first()
        term.full_clean()
        if before is not None:
            if before.columns() == term.columns():
                return False
            term.version = before.version + 1
        term.updated_at = timezone.now()
        term.save()
        changed = [
            name
            for name in COLUMNS
            if before is None or getattr(before, name) != getattr(term, name)
        ]
        audit(
            "glossary.change" if before else "glossary.add",
            actor=by,
            target=f"glossary term {term.pk}",
            message=f"{term}: {', '.join(changed)}",
        )
        _have_rechecked()
    return True


def delete_term(term: GlossaryTerm, *, by: str) -> None:
    with transaction.atomic():
        audit(
            "glossary.delete",
            actor=by,
            target=f"glossary term {term.pk}",
            message=str(term),
        )
        term.delete()
        _have_rechecked()


def _have_rechecked() -> None:
    """Have what was translated before held against the glossary as it is now."""
    ask = partial(request_once, RECHECK, 0, name="glossary recheck")
    transaction.on_commit(ask, robust=True)  # the command does the same by hand
