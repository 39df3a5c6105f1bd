"""A content row's translations on its own page, which appear there as they arrive."""

from html import unescape

from django.contrib.contenttypes.models import ContentType
from django.db.models.functions import Substr
from django.utils.html import format_html, strip_tags
from django.utils.text import Truncator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from batches.admin.display import EMPTY, link, number, row_link
from batches.admin.live import QUICK_SECONDS, SLOW_SECONDS, Live, LiveAdmin
from batches.admin.panels import Panel
from batches.models import OpenItem
from translations.admin.review_queue import review_url
from translations.admin.showing import stale_mark, status_label
from translations.admin.translate import row_translate_url
from translations.admin.units import LONG_FIELDS_OF_UNIT, published_label
from translations.languages import direction, language_name
from translations.models import Translation, TranslationVersion
from translations.review.texts import read_version
from translations.workloads import TranslationWorkload

READ_CHARACTERS = 600  # of a text, for its beginning
SHOWN_CHARACTERS = 120


class TranslationsLiveAdmin(LiveAdmin):
    """For admins of registered models, before their base class."""

    def live(self, request, row):
        kind = ContentType.objects.get_for_model(row)
        open_items = OpenItem.objects.filter(
            object_id=str(row.pk),
            content_type=kind,
            workload=TranslationWorkload.key,
        )
        under_way = len(open_items.values_list("pk"))  # a row has a handful
        return Live(
            panels=[translations_panel(request, row, under_way)],
            sentence=under_way_in_words(under_way),
            seconds=QUICK_SECONDS if under_way else SLOW_SECONDS,
        )


def under_way_in_words(count):
    if not count:
        return ""
    return ngettext(
        "%(count)s request for translations is under way.",
        "%(count)s requests for translations are under way.",
        count,
    ) % {"count": number(count)}


def translations_panel(request, row, under_way=0):
    """A content row's translations, field by field, with how each begins."""
    kind = ContentType.objects.get_for_model(row)
    units = (
        Translation.objects.filter(content_type=kind, object_id=str(row.pk))
        .select_related("latest", "published")
        .defer(*LONG_FIELDS_OF_UNIT)
        .annotate(beginning=Substr("latest__text", 1, READ_CHARACTERS))
        .order_by("field", "language")
    )
    waits = gettext_lazy("They appear here by themselves.")
    return Panel(
        title=_("Translations"),
        key="translations",
        is_stacked=True,
        notes=[f"{under_way_in_words(under_way)} {waits}"] if under_way else [],
        columns=[
            _("Field"),
            _("Language"),
            _("Text"),
            _("Status"),
            _("Checks"),
            _("Errors"),
            _("Published"),
            "",
        ],
        rows=[
            (
                unit.field,
                row_link(Translation, unit.pk, language_name(unit.language)),
                beginning_of(unit),
                status_label(unit),
                unit.latest.score if unit.latest else EMPTY,
                unit.latest.errors if unit.latest else EMPTY,
                published_label(unit),
                stale_in_words(request, row, unit),
            )
            for unit in units
        ],
        empty=_("It has not been translated."),
    )


def stale_in_words(request, row, unit):
    """How many of a text's segments are out of date, and the way to mend just these."""
    if not unit.is_out_of_date:
        return stale_mark(unit)
    # Not `unit.latest`: its long columns would come one by one.
    latest = TranslationVersion.objects.get(pk=unit.latest_id)
    reading = read_version(unit, latest)
    said = stale_mark(unit)
    if reading and reading.segments_stale:
        total = len(reading.pairings)
        text = ngettext(
            "%(stale)s of %(total)s segment",
            "%(stale)s of %(total)s segments",
            total,
        ) % {"stale": number(reading.segments_stale), "total": number(total)}
        said = format_html("{} {}", said, link(review_url(unit.pk), text))
    url = row_translate_url(
        request, type(row), row.pk, language=unit.language, field=unit.field
    )
    if url:
        said = format_html("{} {}", said, link(url, _("Bring up to date…")))
    return said


def beginning_of(unit):
    """How the latest version begins, without tags, in its own direction."""
    if unit.beginning is None:
        return EMPTY
    text = unit.beginning
    if unit.format != "text":
        text = unescape(strip_tags(text.replace("><", "> <"))).strip()
    return format_html(
        '<span class="beginning" lang="{}" dir="{}">{}</span>',
        unit.language,
        direction(unit.language),
        Truncator(text).chars(SHOWN_CHARACTERS),
    )
