"""How units and versions are shown, on every page that shows them."""

from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.utils.translation import gettext as _

from batches.admin.display import EMPTY, badge
from batches.admin.subjects import may_see
from translations.models import Origin, ReviewStatus

TONES = {
    ReviewStatus.PUBLISHED: "good",
    ReviewStatus.APPROVED: "good",
    ReviewStatus.REJECTED: "bad",
    ReviewStatus.DRAFT: "off",
}


def status_label(unit):
    label = unit.get_status_display()
    return badge(label, TONES.get(unit.status, "open"))


def sandbox_mark():
    return badge(_("sandbox"), "warn")


def stale_mark(unit):
    if unit.is_out_of_date:
        return badge(_("out of date"), "warn")
    return badge(_("changed in form only")) if unit.is_changed_slightly else ""


def source_text(request, unit):
    """The field's text as it is now; None where it is gone or not for these eyes."""
    model = ContentType.objects.get_for_id(unit.content_type_id).model_class()
    if model is None or not may_see(request, model):
        return None
    try:
        model._meta.get_field(unit.field)
        row = model._base_manager.only(unit.field).filter(pk=unit.object_id).first()
    except (FieldDoesNotExist, ValidationError, ValueError):
        return None
    return None if row is None else getattr(row, unit.field) or ""


def severity_label(severity):
    if severity == "error":
        return badge(_("error"), "bad")
    if severity == "note":
        return badge(_("note"))
    return badge(_("warning"), "warn")


def finding_message(finding):
    """The finding's sentence in the reader's language, else as it was written down."""
    try:
        return _(finding["template"]) % finding["params"]
    except (KeyError, TypeError, ValueError):
        return finding.get("message", "")


def made_by(version):
    if version.origin == Origin.PERSON:
        author = version.author.get_username() if version.author else EMPTY
        return f"{version.get_origin_display()}: {author}"
    if version.origin == Origin.MEMORY:
        return version.get_origin_display()
    return f"{version.get_origin_display()}: {version.model or EMPTY}"


def version_marks(unit, version):
    if version.pk == unit.published_id:
        label = _("published, sandbox") if version.is_sandbox else _("published")
        return badge(label, "warn" if version.is_sandbox else "good")
    return sandbox_mark() if version.is_sandbox else ""
