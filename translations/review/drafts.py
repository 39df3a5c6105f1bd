"""What somebody is typing, kept on the server; and who else has the text open."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.utils import timezone

from translations.models import ReviewDraft, Translation, TranslationVersion

# A page says every 15 seconds that it is open.
GONE_AFTER = timedelta(seconds=45)
MOST_CHARACTERS = 2_000_000


@dataclass(frozen=True)
class Editing:
    """Somebody has the text open, since when."""

    name: str
    since: datetime


def save_draft(
    unit: Translation,
    *,
    base: int,
    by: AbstractBaseUser,
    texts: Mapping[str, str] | None = None,
) -> ReviewDraft:
    """Say that somebody is there, and keep what they typed on version `base` (a key).

    Without `texts` nothing of the draft changes. What was typed on another version is
    set aside, never written over. ValueError where `base` is no version of the unit.
    """
    now = timezone.now()
    with transaction.atomic():
        if not TranslationVersion.objects.filter(pk=base, translation=unit).exists():
            raise ValueError(f"{base} is no version of translation {unit.pk}")
        draft, is_new = ReviewDraft.objects.select_for_update().get_or_create(
            translation=unit, editor_id=by.pk, defaults={"base_id": base}
        )
        if is_new:
            _forget_visits(by, now)
        elif draft.seen_at < now - GONE_AFTER:
            draft.opened_at = now
        draft.seen_at = now
        if texts is not None:
            _take(draft, base, dict(texts), now)
        draft.save()
    return draft


def _forget_visits(by: AbstractBaseUser, now: datetime) -> None:
    """Drop the rows that only said that somebody was there."""
    gone = ReviewDraft.objects.filter(editor_id=by.pk, seen_at__lt=now - GONE_AFTER)
    gone.filter(texts={}, set_aside={}).delete()


def _take(draft: ReviewDraft, base: int, texts: dict[str, str], now: datetime) -> None:
    if draft.base_id == base:
        draft.texts = texts
    elif base > draft.base_id:  # a page that shows a newer version
        draft.set_aside = {**draft.set_aside, **draft.texts}
        draft.base_id, draft.texts = base, texts
    else:  # a page that was open before another one was
        draft.set_aside = {**draft.set_aside, **texts}
    draft.saved_at = now


def drop_set_aside(unit: Translation, *, by: AbstractBaseUser) -> None:
    """Forget what was typed on an earlier version."""
    mine = ReviewDraft.objects.filter(translation=unit, editor_id=by.pk)
    mine.update(set_aside={})
    mine.exclude(base_id=unit.latest_id).update(texts={})


def others_editing(
    unit: Translation, *, besides: AbstractBaseUser, now: datetime | None = None
) -> list[Editing]:
    """Who else has the text open now, the earliest first."""
    since = (now or timezone.now()) - GONE_AFTER
    rows = (
        ReviewDraft.objects.filter(translation=unit, seen_at__gte=since)
        .exclude(editor_id=besides.pk)
        .select_related("editor")
        .order_by("opened_at")
    )
    return [Editing(_name(row.editor), row.opened_at) for row in rows]


def _name(user: AbstractBaseUser) -> str:
    full_name = getattr(user, "get_full_name", str)()
    return full_name or user.get_username()
