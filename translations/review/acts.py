"""What people do to translations; every function writes, and writes who did it.

A version's wording never changes: an edit is a new version. Each act names the version
that its author saw, and is refused where the unit has another latest one by now.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from batches import config
from batches.services.events import audit
from translations.judging import checked_columns
from translations.memory.remembering import remember
from translations.models import (
    Origin,
    ReviewDraft,
    ReviewEntry,
    ReviewStatus,
    Translation,
    TranslationVersion,
)
from translations.review.models import Reason, ReviewAct
from translations.review.rules import (
    EditedMeanwhile,
    NeedsAnother,
    ReviewRefused,
    check_each_is_seen,
    check_now,
    reading_of,
)
from translations.review.texts import (
    Reading,
    judge_texts,
    read_version,
    source_of,
    stored_spans,
)
from translations.signals import announce_published
from translations.staleness import current_hashes


def edit(
    unit: Translation,
    *,
    base: int,
    texts: Mapping[str, str],
    by: AbstractBaseUser,
    confirmed: Collection[str] = (),
    approve: bool = False,
    publish: bool = False,
    waiver: str = "",
) -> TranslationVersion:
    """Make a version of what somebody wrote, and approve and publish it if asked.

    `texts` is {segment id: text} of the segments that differ from version `base` (a
    key); `confirmed` are those that are right although their source has changed. The
    version is kept even where it has errors; it is then not approved, and ReviewRefused
    says why after it is saved. Without a change only the rest is done.
    """
    with transaction.atomic():
        unit, latest = _locked(unit, base)
        reading = reading_of(unit, latest)
        changed = reading.changed(texts)
        is_renewed = reading.is_stale and (changed or approve)
        if is_renewed:
            check_each_is_seen(reading, {*changed, *confirmed})
        if changed or is_renewed:
            latest = _new_version(reading, changed, by=by, act=ReviewAct.EDITED)
            unit.status = ReviewStatus.PENDING_REVIEW
            unit.is_kept = True
            _save(unit, latest, timezone.now())
        ReviewDraft.objects.filter(translation=unit, editor_id=by.pk).delete()
    if approve:
        return approve_version(
            unit, base=latest.pk, by=by, publish=publish, waiver=waiver
        )
    return latest


def settle(
    unit: Translation,
    *,
    base: int,
    texts: Mapping[str, str],
    by: AbstractBaseUser,
    publish: bool,
    confirmed: Collection[str] = (),
    waiver: str = "",
) -> TranslationVersion:
    """Take a text as far as its reviewer may: what they wrote, approved, published.

    Of a text that is approved without a change the rest is done; one that is published
    has then been looked at again.
    """
    latest = unit.latest
    reading = read_version(unit, latest) if latest and latest.pk == base else None
    if reading and latest and not reading.changed(texts) and not reading.is_stale:
        if unit.status == ReviewStatus.APPROVED and publish:
            publish_version(unit, base=base, by=by)
            return latest
        if unit.status in (ReviewStatus.APPROVED, ReviewStatus.PUBLISHED):
            look_again(unit, base=base, by=by)
            return latest
    return edit(
        unit,
        base=base,
        texts=texts,
        by=by,
        confirmed=confirmed,
        approve=True,
        publish=publish,
        waiver=waiver,
    )


def approve_version(
    unit: Translation,
    *,
    base: int,
    by: AbstractBaseUser,
    publish: bool = False,
    waiver: str = "",
    in_bulk: bool = False,
    needs_second_look: bool = False,
) -> TranslationVersion:
    """Approve the latest version after looking at it with the checks as they are now.

    ReviewRefused where it is out of date, has an error that `waiver` (a reason in
    words) does not take back, or was edited by the same person under
    REVIEW_TWO_PEOPLE.
    """
    with transaction.atomic():
        unit, latest = _locked(unit, base)
        if unit.status != ReviewStatus.PENDING_REVIEW:
            raise ReviewRefused(
                _("This text is “%(status)s”; only what waits for review is approved.")
                % {"status": unit.get_status_display()}
            )
        if config.get("REVIEW_TWO_PEOPLE") and latest.author_id == by.pk:
            raise NeedsAnother(
                _(
                    "You edited this version yourself; somebody else has to approve "
                    "it. It is saved and waits in the queue."
                )
            )
        check_now(unit, latest, waiver)
        _look_done(unit)
        _enter(
            latest,
            ReviewAct.APPROVED,
            by=by,
            text=waiver,
            is_bulk=in_bulk,
            needs_second_look=needs_second_look,
        )
        unit.status = ReviewStatus.APPROVED
        unit.is_kept = True
        if publish:
            _publish(unit, latest, by=by)
        now = timezone.now()
        _save(unit, latest, now)
        remember(unit, latest, now=now)
    return latest


def publish_version(unit: Translation, *, base: int, by: AbstractBaseUser) -> None:
    """Publish the latest version, which is approved, after checking it once more."""
    with transaction.atomic():
        unit, latest = _locked(unit, base)
        if unit.status != ReviewStatus.APPROVED:
            raise ReviewRefused(
                _("This text is “%(status)s”; only approved text is published.")
                % {"status": unit.get_status_display()}
            )
        check_now(unit, latest, _waiver_of(latest))
        _publish(unit, latest, by=by)
        _save(unit, latest, timezone.now())


def unpublish(unit: Translation, *, by: AbstractBaseUser, text: str = "") -> None:
    """Take the published version back; readers see the source again."""
    with transaction.atomic():
        unit = _lock(unit)
        shown, latest = unit.published, unit.latest
        if shown is None or latest is None:
            raise ReviewRefused(_("Nothing of this text is published."))
        unit.published = None
        if unit.status == ReviewStatus.PUBLISHED:
            unit.status = ReviewStatus.APPROVED
        _enter(shown, ReviewAct.UNPUBLISHED, by=by, text=text)
        _look_done(unit)
        _save(unit, latest, timezone.now())


def reject(
    unit: Translation, *, base: int, by: AbstractBaseUser, reason: str, text: str = ""
) -> None:
    """Reject the latest version; the next request for it tells the model why.

    A machine's proposal beside what a person keeps gives way to that: it is the latest
    again.
    """
    if reason not in Reason.values:
        raise ReviewRefused(_("Say why it is rejected: choose a reason."))
    with transaction.atomic():
        unit, latest = _locked(unit, base)
        if unit.status != ReviewStatus.PENDING_REVIEW:
            raise ReviewRefused(
                _("This text is “%(status)s”; only what waits for review is rejected.")
                % {"status": unit.get_status_display()}
            )
        _enter(latest, ReviewAct.REJECTED, by=by, reason=reason, text=text)
        ReviewDraft.objects.filter(translation=unit, editor_id=by.pk).delete()
        kept = kept_version(unit, latest)
        if kept is not None:
            unit.status = _status_of(unit, kept)
            unit.breach = None  # a changed term is no reason to ask again
            _save(unit, kept, timezone.now())
            return
        unit.status = ReviewStatus.REJECTED
        unit.is_kept = unit.published is not None and unit.is_kept
        _save(unit, latest, timezone.now())


def restore(
    unit: Translation, *, base: int, version: TranslationVersion, by: AbstractBaseUser
) -> TranslationVersion:
    """Make an earlier version the latest again, as a new one that waits for review."""
    with transaction.atomic():
        unit, latest = _locked(unit, base)
        if version.translation_id != unit.pk or version.pk == latest.pk:
            raise ReviewRefused(_("This version cannot be restored here."))
        unit.versions_made += 1
        names = ["text", "spans", "source_hash", "findings", "errors", "warnings"]
        names += ["score", "checks_version", "is_sandbox"]
        made = TranslationVersion.objects.create(
            translation=unit,
            number=unit.versions_made,
            parent=version,
            origin=Origin.PERSON,
            author_id=by.pk,
            **{name: getattr(version, name) for name in names},
        )
        _enter(made, ReviewAct.RESTORED, by=by)
        unit.status = ReviewStatus.PENDING_REVIEW
        unit.is_kept = True
        _save(unit, made, timezone.now())
    return made


def look_again(unit: Translation, *, base: int, by: AbstractBaseUser) -> None:
    """Say that a text is right that was approved with many others, or that a changed
    term of the glossary is against."""
    with transaction.atomic():
        unit, latest = _locked(unit, base)
        if _look_done(unit) or unit.breaks_glossary:
            _enter(latest, ReviewAct.LOOKED_AT, by=by)
            unit.breach = None
            unit.save(update_fields=["breach"])


def kept_version(
    unit: Translation, proposal: TranslationVersion
) -> TranslationVersion | None:
    """What a person keeps, where a machine's proposal stands beside it."""
    if not unit.is_kept or proposal.origin == Origin.PERSON:
        return None
    earlier = unit.versions.filter(number__lt=proposal.number)
    if unit.published_id and unit.published_id != proposal.pk:
        return unit.published
    approved = ReviewEntry.objects.filter(translation=unit, act=ReviewAct.APPROVED)
    return (
        earlier.filter(pk__in=approved.values("version_id")).order_by("number").last()
        or earlier.filter(origin=Origin.PERSON).order_by("number").last()
    )


# --- inside -------------------------------------------------------------------------


def _lock(unit: Translation) -> Translation:
    return Translation.objects.select_for_update().get(pk=unit.pk)


def _locked(unit: Translation, base: int) -> tuple[Translation, TranslationVersion]:
    """The unit under lock and its latest version, which is the one that was seen."""
    locked = _lock(unit)
    latest = locked.latest
    if latest is None:
        raise ReviewRefused(_("This text is not whole yet; parts of it are missing."))
    if latest.pk != base:
        raise EditedMeanwhile(
            _(
                "Version %(number)s was made meanwhile. What you wrote is kept beside "
                "it; nothing was changed."
            )
            % {"number": latest.number}
        )
    return locked, latest


def _new_version(
    reading: Reading, texts: Mapping[str, str], *, by: AbstractBaseUser, act: ReviewAct
) -> TranslationVersion:
    unit, before = reading.unit, reading.version
    judged = judge_texts(reading, texts)
    unit.versions_made += 1
    unit.format = reading.format
    is_untouched = reading.changed(texts).keys() != reading.texts.keys()
    made = TranslationVersion.objects.create(
        translation=unit,
        number=unit.versions_made,
        parent=before,
        text=judged.text,
        spans=stored_spans(judged),
        source_hash=reading.source_hash,
        origin=Origin.PERSON,
        author_id=by.pk,
        is_sandbox=before.is_sandbox and is_untouched,
        **checked_columns(judged),
    )
    _enter(made, act, by=by)
    return made


def _publish(
    unit: Translation, version: TranslationVersion, *, by: AbstractBaseUser
) -> None:
    unit.published = version
    unit.status = ReviewStatus.PUBLISHED
    _enter(version, ReviewAct.PUBLISHED, by=by)
    announce_published([unit.pk])


def _status_of(unit: Translation, version: TranslationVersion) -> ReviewStatus:
    if version.pk == unit.published_id:
        return ReviewStatus.PUBLISHED
    approved = ReviewEntry.objects.filter(version=version, act=ReviewAct.APPROVED)
    return ReviewStatus.APPROVED if approved.exists() else ReviewStatus.PENDING_REVIEW


def _waiver_of(version: TranslationVersion) -> str:
    """What its approval said of errors that are none."""
    entry = ReviewEntry.objects.filter(version=version, act=ReviewAct.APPROVED)
    return entry.order_by("pk").values_list("text", flat=True).last() or ""


def _look_done(unit: Translation) -> int:
    """Clear the wish for a second look; returns how many there were."""
    entries = ReviewEntry.objects.filter(translation=unit, needs_second_look=True)
    return entries.update(needs_second_look=False)


def _save(unit: Translation, latest: TranslationVersion, now: datetime) -> None:
    """Write a unit with its latest version, and whether that is out of date."""
    unit.latest = latest
    unit.source_hash = latest.source_hash
    unit.is_sandbox = latest.is_sandbox
    entry, row = source_of(unit)
    if entry is not None and row is not None:
        current = current_hashes(entry, row)[unit.field]
        unit.is_stale = current != latest.source_hash
    unit.updated_at = now
    unit.save(
        update_fields=[
            *("status", "latest", "published", "versions_made", "source_hash"),
            *("format", "is_stale", "is_sandbox", "is_kept", "breach", "updated_at"),
        ]
    )


def _enter(
    version: TranslationVersion,
    act: ReviewAct,
    *,
    by: AbstractBaseUser,
    reason: str = "",
    text: str = "",
    **marks: Any,
) -> None:
    """Write down what was done, in the text's history and in the audit log."""
    name = by.get_username()
    ReviewEntry.objects.create(
        translation_id=version.translation_id,
        version=version,
        act=act,
        actor_id=by.pk,
        actor_name=name,
        reason=reason,
        text=text.strip(),
        **marks,
    )
    audit(
        f"translation:{act.value}",
        actor=name,
        target=f"translation {version.translation_id} version {version.number}",
        message=" ".join(filter(None, [reason, text.strip()])),
    )
