"""The page “Coverage”: how far each course is in each language, and what to do next."""

from dataclasses import dataclass

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import HttpResponseRedirect, StreamingHttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from batches.admin import selection
from batches.admin.display import link, list_url, number
from batches.admin.panels import Panel
from batches.admin.subjects import may_see
from batches.errors import BatchError
from translations.admin.translate import (
    MOST_ROWS,
    PERMISSION,
    TranslateActionMixin,
)
from translations.coverage import State, keys_to_send
from translations.coverage_counts import told_coverage
from translations.exchange.exporting import ExportRefused, exported
from translations.exchange.formats import CONTENT_TYPES, ENDINGS, written
from translations.exchange.proposals import import_translations
from translations.importing import ImportRefused
from translations.languages import direction, is_known, language_name
from translations.models import Translation
from translations.registry import all_registered, find_kind

URL_NAME = "translations_coverage"
SEND_NAME = "translations_coverage_send"
EXPORT_NAME = "translations_coverage_export"
IMPORT_NAME = "translations_coverage_import"
BAD_ROWS_SHOWN = 200
BARS_SHOWN = 100
LABELS = {
    State.PUBLISHED: gettext_lazy("published"),
    State.SLIGHTLY_STALE: gettext_lazy("published, changed only in form"),
    State.WAITING: gettext_lazy("waiting"),
    State.STALE: gettext_lazy("out of date"),
    State.FAILED: gettext_lazy("failed or rejected"),
    State.MISSING: gettext_lazy("missing"),
}


@dataclass
class Part:
    """One state's piece of a bar, in hundredths of its width."""

    state: str
    label: str
    count: str
    x: float
    width: float


@dataclass
class Bar:
    """One group of content in one language."""

    name: str
    language: str
    tag: str
    direction: str
    percent: int
    says: str
    parts: list
    to_send: str
    can_send: bool
    kind: str
    group: str
    export_url: str


@dataclass
class Section:
    title: str
    bars: list
    is_counted: bool


def coverage_page(request):
    if not may_see(request, Translation):
        raise PermissionDenied
    legend = [(state.value, LABELS[state]) for state in State]
    sections, error, told, page = [], "", None, None
    try:
        seen = [
            entry
            for entry in all_registered().values()
            if may_see(request, entry.model)
        ]
        told = told_coverage(seen, now=timezone.now())
        page = Paginator(told.lines, BARS_SHOWN).get_page(request.GET.get("page"))
        may_send = {
            entry.label: translate_url(request, entry) is not None for entry in seen
        }
        for entry in seen:
            title = entry.model._meta.verbose_name_plural
            here = [line for line in page if line.entry is entry]
            bars = [_bar(line, may_send=may_send[entry.label]) for line in here]
            if here or (page.number == 1 and not _has_lines(told, entry)):
                is_counted = entry not in told.uncounted
                sections.append(Section(title, bars, is_counted))
    except BatchError as err:
        error = str(err)
    return TemplateResponse(
        request,
        "admin/translations/coverage.html",
        {
            **admin.site.each_context(request),
            "title": _("Coverage"),
            "opts": Translation._meta,
            "sections": sections,
            "legend": legend,
            "counted_at": told and told.counted_at,  # None where it is as of now
            "page": page,
            "error": error,
            "formats": list(ENDINGS),
            "import_url": reverse(f"admin:{IMPORT_NAME}")
            if may_import(request)
            else "",
            "send_url": reverse(f"admin:{SEND_NAME}"),
        },
    )


def _has_lines(told, entry):
    return any(line.entry is entry for line in told.lines)


def _bar(line, *, may_send):
    parts, x = [], 0.0
    for state in State:
        if count := line.counts[state]:
            width = 100 * count / line.total
            parts.append(
                Part(
                    state.value,
                    str(LABELS[state]),
                    number(count),
                    round(x, 3),
                    round(width, 3),
                )
            )
            x += width
    told = capfirst(", ".join(f"{part.label} {part.count}" for part in parts))
    where = {
        "kind": line.entry.kind,
        "group": line.group_key,
        "language": line.language,
    }
    noun = line.entry.model._meta.verbose_name_plural
    without = _("in no group") if line.entry.group else _("all %(rows)s")
    return Bar(
        name=line.group or without % {"rows": noun},
        language=language_name(line.language),
        tag=line.language,
        direction=direction(line.language),
        percent=line.percent,
        says=_("%(percent)s %% of %(total)s texts are published. %(told)s.")
        % {"percent": line.percent, "told": told, "total": number(line.total)},
        parts=parts,
        to_send=number(line.to_send),
        can_send=bool(line.to_send) and may_send,
        kind=where["kind"],
        group=where["group"],
        export_url=f"{reverse(f'admin:{EXPORT_NAME}')}?{urlencode(where)}",
    )


def translate_url(request, entry):
    """Name of the page that asks before it sends; None where there is none for them."""
    model_admin = admin.site._registry.get(entry.model)
    if not isinstance(model_admin, TranslateActionMixin):
        return None
    if not request.user.has_perm(PERMISSION) or not may_see(request, entry.model):
        return None
    opts = entry.model._meta
    return f"admin:{opts.app_label}_{opts.model_name}_translate"


def send_missing(request):
    """From a bar to the confirmation page, with the rows that lack something."""
    entry = find_kind(request.POST.get("kind", ""))
    language, group = request.POST.get("language", ""), request.POST.get("group")
    if request.method != "POST" or entry is None or not is_known(language):
        return _back()
    name = translate_url(request, entry)
    if name is None:
        raise PermissionDenied
    keys = keys_to_send(entry, language, group)
    if not keys:
        messages.info(request, _("Nothing is missing here any more."))
        return _back()
    if len(keys) > MOST_ROWS:
        keys = keys[:MOST_ROWS]
        messages.info(
            request,
            _("These are the first %(count)s; send the others after them.")
            % {"count": number(MOST_ROWS)},
        )
    token = selection.keep(request, entry.model, keys, chosen=len(keys))
    url = reverse(name, args=[token])
    return HttpResponseRedirect(f"{url}?{urlencode({'language': language})}")


def export_texts(request):
    entry = find_kind(request.GET.get("kind", ""))
    language, group = request.GET.get("language", ""), request.GET.get("group")
    format = request.GET.get("format", "csv")
    if entry is None or not is_known(language) or format not in ENDINGS:
        return _back()
    if not (may_see(request, Translation) and may_see(request, entry.model)):
        raise PermissionDenied
    pieces = written(exported(entry, language, group_key=group), format, language)
    try:  # what cannot be exported is told before the file begins
        first = next(pieces, "")
    except ExportRefused as err:
        messages.error(request, str(err))
        return _back()
    answer = StreamingHttpResponse(
        _from(first, pieces), content_type=CONTENT_TYPES[format]
    )
    name = f"{entry.model._meta.model_name}-{language}.{ENDINGS[format]}"
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


def _from(first, pieces):
    yield first
    yield from pieces


class ImportForm(forms.Form):
    file = forms.FileField(
        label=gettext_lazy("File"),
        help_text=gettext_lazy("A file that was exported here: CSV, JSONL, XLIFF, PO."),
    )
    only_check = forms.BooleanField(
        label=gettext_lazy("Only check it, change nothing"),
        required=False,
        initial=True,
    )


def may_import(request):
    return may_see(request, Translation) and request.user.has_perm(
        "translations.change_translation"
    )


def import_page(request):
    """Takes a file back: its texts become versions that wait for review."""
    if not may_import(request):
        raise PermissionDenied
    is_sent = request.method == "POST"
    form = ImportForm(request.POST, request.FILES) if is_sent else ImportForm()
    panels = []
    if is_sent and form.is_valid():
        file, dry_run = form.cleaned_data["file"], form.cleaned_data["only_check"]
        try:
            stored = import_translations(
                file.file,
                name=file.name,
                actor=request.user.get_username(),
                by=request.user,
                dry_run=dry_run,
            )
        except ImportRefused as err:
            form.add_error("file", str(err))
        else:
            panels = import_panels(stored, dry_run=dry_run)
    return TemplateResponse(
        request,
        "admin/translations/coverage_import.html",
        {
            **admin.site.each_context(request),
            "title": _("Import translations"),
            "opts": Translation._meta,
            "form": form,
            "panels": panels,
            "coverage_url": reverse(f"admin:{URL_NAME}"),
        },
    )


def import_panels(stored, *, dry_run):
    made = stored.created + stored.updated
    panel = Panel(
        title=_("What it would do") if dry_run else _("What was done"),
        key="result",
        facts=[
            (_("new texts"), number(stored.created)),
            (_("proposals beside what is there"), number(stored.updated)),
            (_("left as they are"), number(stored.unchanged)),
            (_("left out"), number(len(stored.bad))),
        ],
    )
    if made and not dry_run:
        text = ngettext(
            "%(count)s text waits for review.", "%(count)s texts wait for review.", made
        )
        panel.notes.append(text % {"count": number(made)})
        panel.links.append(link(list_url(Translation), _("Translations")))
    panels = [panel]
    if stored.bad:
        bad = Panel(
            title=_("Left out"),
            key="bad",
            is_stacked=True,
            columns=[_("Line"), _("Field"), _("Found"), _("Why")],
            rows=[
                (number(row.line), row.field, row.value, row.problem)
                for row in stored.bad[:BAD_ROWS_SHOWN]
            ],
        )
        if len(stored.bad) > BAD_ROWS_SHOWN:
            bad.notes.append(
                _("The first %(count)s are shown.") % {"count": number(BAD_ROWS_SHOWN)}
            )
        panels.append(bad)
    return panels


def _back():
    return HttpResponseRedirect(reverse(f"admin:{URL_NAME}"))
