"""Questions to whoever owns a text, and notes that its next request carries."""

from collections import defaultdict
from collections.abc import Iterable

from django.contrib.auth.models import AbstractBaseUser
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from batches.services.events import audit
from translations.models import (
    ReviewComment,
    ReviewEntry,
    Translation,
)
from translations.review.models import Reason, ReviewAct
from translations.review.rules import ReviewRefused

MOST_NOTES = 5
NOTE_CHARACTERS = 500

# In English, like the instructions; the person's own words stay as they are.
REASONS = {
    Reason.MEANING: "an earlier translation had the wrong meaning",
    Reason.TERM: "an earlier translation used a wrong term",
    Reason.STYLE: "an earlier translation had the wrong style",
    Reason.FORMAT: "an earlier translation had the wrong format",
    Reason.UNSAFE: "an earlier translation was unsafe",
    Reason.OTHER: "an earlier translation was rejected",
}

UnitKey = tuple[str, str, str]  # object id, field, language


def ask(unit: Translation, *, by: AbstractBaseUser, text: str) -> ReviewComment:
    """Leave a question; the text waits for the answer and leaves the queue so long."""
    return _say(unit, by=by, text=text, is_note=False)


def note(unit: Translation, *, by: AbstractBaseUser, text: str) -> ReviewComment:
    """Leave a note for the translator: the next request for this text carries it."""
    return _say(unit, by=by, text=text, is_note=True)


def answer(comment: ReviewComment, *, by: AbstractBaseUser, text: str) -> None:
    """Answer a question; the text is in the queue again. The first answer stands."""
    text = text.strip()
    if not text:
        raise ReviewRefused(_("Write an answer first."))
    waiting = ReviewComment.objects.filter(pk=comment.pk, answered_at__isnull=True)
    name = by.get_username()
    if not waiting.update(answer=text, answered_by=name, answered_at=timezone.now()):
        raise ReviewRefused(_("This question has been answered already."))
    audit(
        "translation:answered",
        actor=name,
        target=f"translation {comment.translation_id}",
        message=text,
    )


def _say(
    unit: Translation, *, by: AbstractBaseUser, text: str, is_note: bool
) -> ReviewComment:
    text = text.strip()
    if not text:
        raise ReviewRefused(_("Write the question or note first."))
    name = by.get_username()
    comment = ReviewComment.objects.create(
        translation=unit, author_id=by.pk, author_name=name, text=text, is_note=is_note
    )
    audit(
        "translation:noted" if is_note else "translation:asked",
        actor=name,
        target=f"translation {unit.pk}",
        message=text,
    )
    return comment


def open_questions() -> QuerySet[ReviewComment]:
    return ReviewComment.objects.filter(is_note=False, answered_at__isnull=True)


def notes_for(content_type_id: int, keys: Iterable[str]) -> dict[UnitKey, list[str]]:
    """What people hold against the texts of these rows, and want of their translator.

    The reasons of rejections since a text was last approved, and its notes; the newest
    last, a few of each text.
    """
    about = {
        "translation__content_type": content_type_id,
        "translation__object_id__in": list(keys),
    }
    unit = [f"translation__{name}" for name in ("object_id", "field", "language")]
    said: defaultdict[UnitKey, list[str]] = defaultdict(list)
    entries = ReviewEntry.objects.filter(
        **about, act__in=(ReviewAct.REJECTED, ReviewAct.APPROVED)
    )
    for *key, act, reason, text in entries.order_by("pk").values_list(
        *unit, "act", "reason", "text"
    ):
        where: UnitKey = (key[0], key[1], key[2])
        if act == ReviewAct.APPROVED:
            said.pop(where, None)
        else:
            said[where].append(": ".join(filter(None, [REASONS[Reason(reason)], text])))
    notes = ReviewComment.objects.filter(**about, is_note=True)
    for object_id, field, language, text in notes.order_by("pk").values_list(
        *unit, "text"
    ):
        said[object_id, field, language].append(text)
    return {
        key: [text[:NOTE_CHARACTERS] for text in texts[-MOST_NOTES:]]
        for key, texts in said.items()
    }
