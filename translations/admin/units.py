"""Translations beside their sources, with what the checks found; read-only here."""

from django.contrib import admin, messages
from django.contrib.contenttypes.models import ContentType
from django.urls import path
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from batches import config
from batches.admin.base import KeysetAdmin
from batches.admin.display import (
    EMPTY,
    badge,
    link,
    moment,
    number,
    row_link,
)
from batches.admin.filters import ChoiceFilter, TextFilter, text_range, whole_key
from batches.admin.golden import added_in_words
from batches.admin.panels import Block, Panel, facts
from batches.admin.subjects import name_subjects
from batches.errors import BatchError, ConfigError
from batches.models import BatchItem, PromptVersion
from batches.services.golden import MOST_CASES, add_cases
from translations.admin import coverage
from translations.admin.digest import DigestPage
from translations.admin.everything import EverythingPage
from translations.admin.review import ReviewPages
from translations.admin.review_page import history_panel
from translations.admin.review_queue import review_url
from translations.admin.showing import (
    finding_message,
    made_by,
    sandbox_mark,
    severity_label,
    source_text,
    stale_mark,
    status_label,
    version_marks,
)
from translations.golden import cases_of
from translations.languages import direction, language_name
from translations.models import Translation, TranslationVersion
from translations.registry import all_registered

# What a version weighs; no list shows it.
LONG_FIELDS = ("text", "spans", "findings")
LONG_FIELDS_OF_UNIT = [
    f"{version}__{name}" for version in ("latest", "published") for name in LONG_FIELDS
]


class LanguageFilter(ChoiceFilter):
    title = gettext_lazy("language")
    parameter_name = "language"

    def lookups(self, request, model_admin):
        try:
            tags = list(config.get("TRANSLATION_LANGUAGES"))
        except ConfigError:
            tags = []
        asked = self.value()
        if asked and asked not in tags:
            tags.append(asked)
        return [(tag, language_name(tag)) for tag in tags]


class FieldFilter(ChoiceFilter):
    title = gettext_lazy("field")
    parameter_name = "field"

    def lookups(self, request, model_admin):
        names = {name for entry in all_registered().values() for name in entry.fields}
        return [(name, name) for name in sorted(names)]


class UnitFilter(TextFilter):
    title = gettext_lazy("translation (number)")
    parameter_name = "translation"

    def matching(self, queryset, value):
        key = whole_key(value)
        return queryset.none() if key is None else queryset.filter(translation_id=key)


@admin.register(Translation)
class TranslationAdmin(EverythingPage, DigestPage, ReviewPages, KeysetAdmin):
    actions = ["add_to_golden_set"]
    list_display = [
        "id",
        "subject",
        "field",
        "language_label",
        "status_label",
        "score",
        "errors",
        "stale",
        "published_label",
    ]
    list_filter = [LanguageFilter, FieldFilter, "status", "is_stale", "is_sandbox"]
    list_defer = LONG_FIELDS_OF_UNIT
    search_fields = ["object_id"]
    search_help_text = gettext_lazy("The beginning of a content row's key.")

    def get_urls(self):
        pages = [
            ("coverage/", coverage.coverage_page, coverage.URL_NAME),
            ("coverage/send/", coverage.send_missing, coverage.SEND_NAME),
            ("coverage/export/", coverage.export_texts, coverage.EXPORT_NAME),
            ("coverage/import/", coverage.import_page, coverage.IMPORT_NAME),
        ]
        return [
            *(
                path(at, self.admin_site.admin_view(view), name=name)
                for at, view, name in pages
            ),
            *super().get_urls(),
        ]

    def get_queryset(self, request):
        return super().get_queryset(request).select_related("latest", "published")

    def get_search_results(self, request, queryset, search_term):
        term = search_term.strip()
        if not term:
            return queryset, False
        # The kinds are named so that the unique index, which begins with them, helps.
        models = [entry.model for entry in all_registered().values()]
        kinds = ContentType.objects.get_for_models(*models).values()
        where = text_range("object_id", term)
        return queryset.filter(where, content_type__in=list(kinds)), False

    def prepare_page(self, request, rows):
        name_subjects(request, rows)

    @admin.display(description=gettext_lazy("content"))
    def subject(self, unit):
        return unit.subject_name

    @admin.display(description=gettext_lazy("language"))
    def language_label(self, unit):
        return language_name(unit.language)

    @admin.display(description=gettext_lazy("status"))
    def status_label(self, unit):
        return status_label(unit)

    @admin.display(description=gettext_lazy("score"))
    def score(self, unit):
        return unit.latest.score if unit.latest else EMPTY

    @admin.display(description=gettext_lazy("errors"))
    def errors(self, unit):
        return unit.latest.errors if unit.latest else EMPTY

    @admin.display(description=gettext_lazy("out of date"))
    def stale(self, unit):
        return stale_mark(unit)

    @admin.display(description=gettext_lazy("published"))
    def published_label(self, unit):
        return published_label(unit)

    def has_add_golden_permission(self, request):
        return request.user.has_perm("batches.add_goldencase")

    @admin.action(
        description=gettext_lazy("Add to the golden set, to try prompts on"),
        permissions=["add_golden"],
    )
    def add_to_golden_set(self, request, queryset):
        units = queryset.select_related("latest__parent__parent").order_by("pk")
        cases, refused = cases_of(units[:MOST_CASES])
        try:
            added = add_cases(cases, by=request.user.get_username())
        except BatchError as err:
            messages.error(request, str(err))
            return
        level = messages.WARNING if refused else messages.SUCCESS
        said = added_in_words(added, len(cases) - added)
        self.message_user(request, said, level)
        for reason, count in refused.most_common():
            messages.warning(request, f"{number(count)} × {reason}")

    def panels(self, request, unit):
        name_subjects(request, [unit])
        versions = list(
            unit.versions.select_related("author")
            .defer(*LONG_FIELDS)
            .order_by("number")
        )
        panels = [
            unit_panel(unit),
            texts_panel(request, unit),
            findings_panel(unit.latest) if unit.latest else None,
            versions_panel(unit, versions),
            history_panel(unit),
            parts_panel(unit),
        ]
        return [panel for panel in panels if panel]


def published_label(unit):
    if not unit.published:
        return EMPTY
    label = _("version %(number)s") % {"number": unit.published.number}
    if unit.published.is_sandbox:
        return badge(_("%(version)s, sandbox") % {"version": label}, "warn")
    return badge(label, "good")


def unit_panel(unit):
    latest = unit.latest
    rows = [
        (_("content"), unit.subject_name),
        (_("field"), unit.field),
        (_("from"), language_name(unit.source_language)),
        (_("into"), language_name(unit.language)),
        (_("status"), status_label(unit)),
        (_("published"), published_label(unit)),
        (_("automatic checks (0–100)"), latest.score if latest else EMPTY),
        *facts(unit, ["format", "is_stale", "is_sandbox", "is_kept"]),
        *facts(unit, ["created_at", "updated_at"]),
    ]
    panel = Panel(title=_("Translation"), facts=rows)
    if latest:
        panel.links.append(link(review_url(unit.pk), _("Review this text")))
    if unit.parts_total:
        panel.notes.append(
            _("%(done)s of %(total)s parts are there.")
            % {"done": number(unit.parts_done), "total": number(unit.parts_total)}
        )
    if unit.is_changed_slightly:
        panel.notes.append(
            _(
                "The source has changed since the latest version was made, but in "
                "blanks, punctuation or case only: it is not asked for again."
            )
        )
    elif unit.is_stale:
        panel.notes.append(
            _("The source has changed since the latest version was made.")
        )
    if unit.breaks_glossary:
        panel.notes.append(
            _("A term of the glossary has changed since, and this text is against it.")
        )
    return panel


def texts_panel(request, unit):
    """The source as it is now, the latest version, and the published one if another."""
    panel = Panel(title=_("Source and translation"), is_side_by_side=True)
    source = source_text(request, unit)
    if source is None:
        panel.notes.append(_("The source is gone, or you may not see it."))
    else:
        panel.blocks.append(_block(unit, unit.source_language, _("source"), source))
    if unit.latest:
        panel.blocks.append(version_block(unit, unit.latest))
    else:
        for part in unit.draft_parts.order_by("number", "path"):
            label = _("part %(number)s of %(total)s") % {
                "number": part.place,
                "total": part.total,
            }
            panel.blocks.append(_block(unit, unit.language, label, part.text))
    if unit.published and unit.published_id != unit.latest_id:
        panel.blocks.append(version_block(unit, unit.published))
    return panel


def version_block(unit, version):
    label = _("version %(number)s") % {"number": version.number}
    if version.pk == unit.published_id:
        label = _("%(version)s, published") % {"version": label}
    if version.is_sandbox:
        label = _("%(version)s, pretended by the sandbox") % {"version": label}
    return _block(unit, unit.language, label, version.text)


def _block(unit, language, label, text):
    return Block(
        label=f"{label}: {language_name(language)}",
        text=text,
        language=language,
        direction=direction(language),
        is_markup=unit.format != "text",
    )


def findings_panel(version):
    return Panel(
        title=_("Findings"),
        columns=[_("Severity"), _("Code"), _("Message"), _("Segment")],
        rows=[
            (
                severity_label(finding.get("severity")),
                finding.get("code", ""),
                finding_message(finding),
                finding.get("segment") or _("the whole text"),
            )
            for finding in version.findings
        ],
        empty=_("The automatic checks found nothing."),
    )


def versions_panel(unit, versions):
    return Panel(
        title=_("Versions"),
        columns=[
            _("Version"),
            _("By"),
            _("Checks"),
            _("Errors"),
            _("Warnings"),
            _("Item"),
            _("Prompt"),
            _("At"),
            "",
        ],
        rows=[
            (
                row_link(TranslationVersion, version.pk, str(version.number)),
                made_by(version),
                version.score,
                version.errors,
                version.warnings,
                row_link(BatchItem, version.item_id),
                row_link(PromptVersion, version.prompt_version_id),
                moment(version.created_at),
                version_marks(unit, version),
            )
            for version in versions
        ],
        empty=_("No version yet."),
    )


def parts_panel(unit):
    parts = list(
        unit.draft_parts.defer("text", "segments").order_by(
            "source_hash", "number", "path"
        )
    )
    if not parts:
        return None
    return Panel(
        title=_("Parts"),
        columns=[_("Part"), _("Of"), _("Item")],
        rows=[
            (part.place, number(part.total), row_link(BatchItem, part.item_id))
            for part in parts
        ],
    )


@admin.register(TranslationVersion)
class TranslationVersionAdmin(KeysetAdmin):
    list_display = [
        "id",
        "unit",
        "number",
        "language_label",
        "origin",
        "model",
        "score",
        "errors",
        "warnings",
        "sandbox",
        "created_at",
    ]
    list_filter = ["origin", "is_sandbox", UnitFilter]
    list_select_related = ["translation"]
    list_defer = LONG_FIELDS

    @admin.display(description=gettext_lazy("translation"))
    def unit(self, version):
        return row_link(Translation, version.translation_id, str(version.translation))

    @admin.display(description=gettext_lazy("language"))
    def language_label(self, version):
        return language_name(version.translation.language)

    @admin.display(description=gettext_lazy("sandbox"))
    def sandbox(self, version):
        return sandbox_mark() if version.is_sandbox else ""

    def panels(self, request, version):
        unit = version.translation
        names = ["number", "origin", "author", "provider", "model", "prompt_version"]
        names += ["item", "is_sandbox", "score", "errors", "warnings"]
        names += ["checks_version", "created_at"]
        unit_fact = (_("translation"), row_link(Translation, unit.pk, str(unit)))
        return [
            Panel(
                title=_("Version"),
                facts=[unit_fact, *facts(version, names)],
                blocks=[version_block(unit, version)],
            ),
            findings_panel(version),
        ]
