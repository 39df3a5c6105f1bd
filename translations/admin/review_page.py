"""What the page of one text under review shows."""

from django.utils.translation import gettext as _

from batches.admin.display import moment
from batches.admin.panels import Panel
from translations.admin.review_text import segment_views, stretches
from translations.admin.showing import made_by, status_label, version_marks
from translations.languages import direction
from translations.models import (
    Origin,
    ReviewComment,
    ReviewDraft,
    ReviewEntry,
    ReviewStatus,
)
from translations.review.acts import kept_version
from translations.review.diffs import version_diff
from translations.review.drafts import others_editing
from translations.review.models import Reason
from translations.review.rules import NEVER_WAIVED
from translations.review.texts import findings_now, read_version

ENTRIES_SHOWN = 50


def review_context(unit, *, by, may_edit, may_review, may_publish):
    latest = unit.latest
    context = {
        "latest": latest,
        "may_edit": may_edit,
        "may_review": may_review,
        "may_publish": may_publish,
        "status": status_label(unit),
        "reasons": Reason.choices,
        "others": others_editing(unit, besides=by),
        "comments": ReviewComment.objects.filter(translation=unit).order_by("pk"),
        "history": history_panel(unit),
        "is_to_review": unit.status == ReviewStatus.PENDING_REVIEW,
    }
    reading = read_version(unit, latest) if latest else None
    if reading is None:
        return {**context, "is_gone": latest is not None}
    draft = ReviewDraft.objects.filter(translation=unit, editor_id=by.pk).first()
    texts, aside = _typed(draft, reading)
    findings = findings_now(reading, texts)
    views, whole = segment_views(reading, findings, texts, aside)
    for view in views:
        view.is_open = view.is_open or view.is_edited
    errors = [f["code"] for f in findings if f.get("severity") == "error"]
    kept = kept_version(unit, latest)
    earlier = unit.versions.filter(number__lt=latest.number)
    before = kept or _other_published(unit) or earlier.order_by("number").last()
    return {
        **context,
        "reading": reading,
        "segments_stale": reading.segments_stale,
        "segments_total": len(reading.pairings),
        "stretches": stretches(views),
        "whole_findings": whole,
        "has_set_aside": any(view.set_aside is not None for view in views),
        "saved_at": draft.saved_at if draft and texts else None,
        "source_direction": direction(unit.source_language),
        "target_direction": direction(unit.language),
        "errors": len(errors),
        "may_waive": bool(errors) and NEVER_WAIVED.isdisjoint(errors),
        "kept": kept,
        "before": before,
        "changes": version_diff(before, latest) if before else [],
        "versions": _versions(unit),
        "primary": primary_labels(unit, may_review, may_publish),
    }


def _typed(draft, reading):
    """(what was typed on this version, what was typed on an earlier one)."""
    if draft is None:
        return {}, {}
    if draft.base_id == reading.version.pk:
        return reading.changed(draft.texts), draft.set_aside
    return {}, {**draft.set_aside, **draft.texts}


def _other_published(unit):
    return unit.published if unit.published_id != unit.latest_id else None


def primary_labels(unit, may_review, may_publish):
    """(the act under the thumb, its label, its label once something is edited)."""
    if not may_review:
        return ("save", _("Save"), _("Save"))
    fixed = _("Fix, approve, publish") if may_publish else _("Fix and approve")
    if unit.status == ReviewStatus.PUBLISHED:
        return ("settle", _("It is right"), fixed)
    if unit.status == ReviewStatus.APPROVED:
        return ("settle", _("Publish") if may_publish else _("It is right"), fixed)
    if unit.status == ReviewStatus.REJECTED:
        return ("settle", fixed, fixed)
    return ("settle", _("Approve, publish") if may_publish else _("Approve"), fixed)


def _versions(unit):
    rows = unit.versions.select_related("author", "parent").order_by("-number")
    rows = list(rows.defer("text", "spans", "findings")[:ENTRIES_SHOWN])
    for row in rows:
        row.maker = made_by(row)
        row.mark = version_marks(unit, row)
        row.is_person = row.origin == Origin.PERSON
        row.is_latest = row.pk == unit.latest_id
    return rows


def history_panel(unit):
    """What people did to a text: who, when, which version, and why."""
    entries = (
        ReviewEntry.objects.filter(translation=unit)
        .select_related("version")
        .defer("version__text", "version__spans", "version__findings")
        .order_by("-pk")[:ENTRIES_SHOWN]
    )
    return Panel(
        title=_("What people did"),
        is_stacked=True,
        columns=[_("At"), _("By"), _("What"), _("Version"), _("Why")],
        rows=[
            (
                moment(entry.created_at),
                entry.actor_name,
                entry.get_act_display(),
                entry.version.number,
                ": ".join(filter(None, [entry.get_reason_display(), entry.text])),
            )
            for entry in entries
        ],
        empty=_("No person has done anything to this text yet."),
    )
