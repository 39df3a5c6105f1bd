"""What became of an answer, in words: versions, checks, what is published."""

from translations.languages import language_name
from translations.models import Translation


def explain_unit(unit: Translation, item_id: int) -> list[str]:
    lines = []
    if unit.parts_total:
        lines.append(f"{unit.parts_done} of {unit.parts_total} parts are there.")
    for version in unit.versions.filter(item_id=item_id):
        checks = ", ".join(finding["code"] for finding in version.findings) or "none"
        lines.append(
            f"Version {version.number} was made of it: automatic checks "
            f"{version.score} of 100, findings: {checks}."
        )
    shown = unit.published or unit.latest
    if shown is None:
        return lines
    mark = ", pretended text of the sandbox" if shown.is_sandbox else ""
    what = (
        "Published"
        if unit.published
        else f"Not published ({unit.get_status_display()})"
    )
    source = _source_text(unit)
    lines += [
        f"Source, {language_name(unit.source_language)}: {source}",
        f"{what}, {language_name(unit.language)}, version {shown.number}{mark}: "
        f"{shown.text}",
    ]
    return lines


def _source_text(unit: Translation) -> str:
    model = unit.content_type.model_class()
    row = model._default_manager.filter(pk=unit.object_id).first() if model else None
    return getattr(row, unit.field) or "" if row else "(deleted)"
