"""The mail to editors: what waits for their review, the riskiest first.

It goes to whoever may edit or review translations, unless they turned it off; to a
superuser who asked for it. Only where there is a mail server (EMAIL_URL) and an address
for its links (SITE_URL), never twice on a day, and never about nothing.
"""

import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from smtplib import SMTPException
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.contenttypes.models import ContentType
from django.core.mail import EmailMultiAlternatives
from django.db.models import Q
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from batches import config
from translations.languages import direction, language_name
from translations.registry import Registered, all_registered
from translations.review.models import DigestChoice
from translations.review.queue import Filters, to_review

log = logging.getLogger(__name__)

EDIT, REVIEW = "translations.edit_translation", "translations.review_translation"
BACKEND = "django.contrib.auth.backends.ModelBackend"
LOGGED_MAIL = "django.core.mail.backends.console.EmailBackend"
KEYS_AT_ONCE = 1_000


@dataclass(frozen=True)
class Waiting:
    """Texts of one group of content and one pair of languages that wait for review.

    `author_id` is who edited them last: under REVIEW_TWO_PEOPLE that one does not
    approve them.
    """

    label: str
    group_key: str
    group: str
    source_language: str
    language: str
    author_id: int | None
    count: int
    errors: int  # texts with an error
    lowest: int  # of their scores
    oldest: datetime

    @property
    def filters(self) -> Filters:
        kind = f"{self.label}:{self.group_key}" if self.group_key else self.label
        return Filters(pair=f"{self.source_language}>{self.language}", kind=kind)


@dataclass
class Sent:
    """Names of those who got the mail, and of those whom it did not reach."""

    names: list[str]
    failed: list[str]


def is_on() -> bool:
    """Whether there is a mail server, and an address for the links."""
    return bool(settings.SITE_URL) and settings.EMAIL_BACKEND != LOGGED_MAIL


def send_digests(*, now: datetime | None = None, dry_run: bool = False) -> Sent:
    """Mail each editor what waits for them; safe to repeat on the same day."""
    now = now or timezone.now()
    today = now.astimezone(ZoneInfo(settings.SCHEDULE_TIME_ZONE)).date()
    sent = Sent([], [])
    waiting = waiting_texts()
    for editor, choice in _editors() if waiting else ():
        mine = waiting_for(editor, choice, waiting)
        if not mine or (choice.sent_on is not None and choice.sent_on >= today):
            continue
        name = editor.get_username()
        if dry_run:
            sent.names.append(name)
        elif _claim(choice, today):
            try:
                _mail(editor, choice, mine, now=now).send()
            except (OSError, SMTPException) as err:
                log.error("[Batch Worker] No digest to %s: %s", name, err)
                DigestChoice.objects.filter(pk=choice.pk).update(sent_on=choice.sent_on)
                sent.failed.append(name)
                continue
            sent.names.append(name)
    return sent


def waiting_texts() -> list[Waiting]:
    """All that waits for review, by course, pair of languages and last author."""
    units = to_review().values_list(
        *("content_type_id", "object_id", "source_language", "language"),
        *("latest__author_id", "latest__errors", "latest__score", "updated_at"),
    )
    by_kind: defaultdict[int, list[Any]] = defaultdict(list)
    for kind, *told in units.order_by().iterator():
        by_kind[kind].append(told)
    found: dict[tuple[object, ...], Waiting] = {}
    registered = all_registered()
    for kind, rows in by_kind.items():
        model = ContentType.objects.get_for_id(kind).model_class()
        entry = registered.get(model._meta.label_lower) if model else None
        if entry is None:
            continue
        groups = _groups(entry, {row[0] for row in rows})
        for object_id, source, language, author, errors, score, at in rows:
            group_key, group = groups.get(object_id, ("", ""))
            key = (entry.label, group_key, source, language, author)
            one = Waiting(*key[:2], group, *key[2:], 1, int(errors > 0), score, at)
            found[key] = _together(found[key], one) if key in found else one
    return list(found.values())


def waiting_for(
    editor: Any, choice: DigestChoice, waiting: Sequence[Waiting]
) -> list[Waiting]:
    """What of it an editor may see and wants to hear of, the riskiest first."""
    languages = choice.languages.split()
    is_two_people = config.get("REVIEW_TWO_PEOPLE")
    may_see = {
        label: editor.has_perm("{}.view_{}".format(*label.split(".")))
        for label in all_registered()
    }
    mine: dict[tuple[object, ...], Waiting] = {}
    for one in waiting:
        if not may_see.get(one.label) or (languages and one.language not in languages):
            continue
        if is_two_people and one.author_id == editor.pk:
            continue
        key = (one.label, one.group_key, one.source_language, one.language)
        mine[key] = _together(mine[key], one) if key in mine else one
    return sorted(mine.values(), key=lambda one: (-one.errors, one.lowest, one.oldest))


def digest_page(choice: DigestChoice) -> str:
    """The queue, with nothing in it but the languages that an editor chose."""
    return queue_address(Filters(languages=",".join(choice.languages.split())))


def queue_address(filters: Filters) -> str:
    """Where a part of the queue stands, for a mail: the login leads there too."""
    path = reverse("admin:translations_translation_review")
    query = urlencode(filters.as_query)
    return f"{settings.SITE_URL.rstrip('/')}{path}{'?' if query else ''}{query}"


# --- inside -------------------------------------------------------------------------


def _groups(entry: Registered, keys: set[str]) -> dict[str, tuple[str, str]]:
    """{object id: (key, name)} of the courses that rows are in."""
    if not entry.group:
        return {}
    column: Any = entry.model._meta.get_field(entry.group)
    of: dict[str, object] = {}
    ordered = sorted(keys)
    for start in range(0, len(ordered), KEYS_AT_ONCE):
        rows = entry.model._default_manager.filter(
            pk__in=ordered[start : start + KEYS_AT_ONCE]
        )
        of |= {str(pk): group for pk, group in rows.values_list("pk", column.attname)}
    there = column.related_model._default_manager.in_bulk(set(of.values()) - {None})
    return {key: (str(pk), str(there[pk])) for key, pk in of.items() if pk in there}


def _together(one: Waiting, other: Waiting) -> Waiting:
    return replace(
        one,
        count=one.count + other.count,
        errors=one.errors + other.errors,
        lowest=min(one.lowest, other.lowest),
        oldest=min(one.oldest, other.oldest),
    )


def _editors() -> Iterator[tuple[Any, DigestChoice]]:
    """Those who get the mail, with what they chose."""
    users = get_user_model()
    manager = users._default_manager
    named = Q()
    for permission in (EDIT, REVIEW):
        may = manager.with_perm(permission, include_superusers=False, backend=BACKEND)
        named |= Q(pk__in=may.values("pk"))
    choices = {choice.pk: choice for choice in DigestChoice.objects.all()}
    asked = [pk for pk, choice in choices.items() if choice.is_on]
    named |= Q(pk__in=asked, is_superuser=True, is_active=True)
    field = users.get_email_field_name()
    for user in manager.filter(named, is_staff=True).order_by("pk"):
        choice = choices.get(user.pk) or DigestChoice(editor=user)
        if choice.is_on and getattr(user, field):
            yield user, choice


def _claim(choice: DigestChoice, today: date) -> bool:
    """Whether today's mail is ours to send: another process may be at it."""
    DigestChoice.objects.get_or_create(editor_id=choice.editor_id)
    left = DigestChoice.objects.filter(editor_id=choice.editor_id)
    not_yet = Q(sent_on__isnull=True) | Q(sent_on__lt=today)
    return bool(left.filter(not_yet).update(sent_on=today))


def _mail(
    editor: Any, choice: DigestChoice, waiting: Sequence[Waiting], *, now: datetime
) -> EmailMultiAlternatives:
    language = choice.mail_language or settings.LANGUAGE_CODE
    with translation.override(language):
        count = sum(one.count for one in waiting)
        subject = ngettext(
            "%(count)s text waits for your review",
            "%(count)s texts wait for your review",
            count,
        ) % {"count": count}
        own = reverse("admin:translations_translation_review_mail")
        context = {
            "subject": subject,
            "language": language,
            "direction": direction(language),
            "lines": [_line(one, now) for one in waiting],
            "queue_url": digest_page(choice),
            "own_url": f"{settings.SITE_URL.rstrip('/')}{own}",
        }
        text = render_to_string("translations/digest.txt", context)
        html = render_to_string("translations/digest.html", context)
    mail = EmailMultiAlternatives(
        f"[Batchsite] {subject}",
        text,
        to=[getattr(editor, editor.get_email_field_name())],
        headers={
            "Auto-Submitted": "auto-generated",
            "List-Unsubscribe": f"<{context['own_url']}>",
        },
    )
    mail.attach_alternative(html, "text/html")
    return mail


def _line(one: Waiting, now: datetime) -> dict[str, Any]:
    entry = all_registered()[one.label]
    days = (now - one.oldest).days
    said = [
        ngettext("%(count)s text", "%(count)s texts", one.count) % {"count": one.count}
    ]
    if one.errors:
        text = ngettext(
            "%(count)s with an error", "%(count)s with an error", one.errors
        )
        said.append(text % {"count": one.errors})
    if days < 1:
        said.append(_("the oldest of today"))
    else:
        text = ngettext(
            "the oldest waits %(count)s day", "the oldest waits %(count)s days", days
        )
        said.append(text % {"count": days})
    pair = f"{language_name(one.source_language)} → {language_name(one.language)}"
    return {
        "pair": pair,
        "group": one.group or str(entry.model._meta.verbose_name_plural),
        "said": _(", ").join(said),
        "url": queue_address(one.filters),
    }
