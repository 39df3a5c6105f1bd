"""The page “Usage and cost”: figures, charts and tables of what was used and saved."""

from dataclasses import dataclass, field

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse, JsonResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import formats, timezone
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from batches.admin.charts import TONES, Chart, Series
from batches.admin.display import EMPTY, dollars, list_url, number
from batches.admin.panels import Choice, Panel
from batches.models import HourlyUsage
from batches.models.money import to_usd
from batches.monitoring.spans import DAY, HOUR, MONTH, last_days, last_months
from batches.monitoring.usage import Figures, usage
from batches.monitoring.usage_tables import as_csv, as_dict
from batches.services.events import note_dashboard_look

URL_NAME = "batches_usage"
RANGES = {
    "24h": gettext_lazy("24 hours"),
    "7d": gettext_lazy("7 days"),
    "30d": gettext_lazy("30 days"),
    "12m": gettext_lazy("12 months"),
}
GROUPS = {
    "model": gettext_lazy("model"),
    "workload": gettext_lazy("kind of work"),
    "owner": gettext_lazy("owner"),
    "account": gettext_lazy("account"),
}
DEFAULT_RANGE, DEFAULT_GROUP = "30d", "model"
SHOWN_GROUPS = TONES - 1  # in a chart; the others are one colour


@dataclass
class Section:
    """Everything about one kind of money."""

    key: str
    title: str
    is_sandbox: bool
    panels: list[Panel]
    charts: list[Chart] = field(default_factory=list)


def usage_page(request, model_admin):
    """The page, or with `?format=csv|json` the figures that it shows, as a file."""
    if not model_admin.has_view_permission(request):
        raise PermissionDenied
    note_dashboard_look(
        actor=request.user.get_username(), target=request.get_full_path()
    )
    asked_range = _one_of(RANGES, request.GET.get("range"), DEFAULT_RANGE)
    group = _one_of(GROUPS, request.GET.get("group"), DEFAULT_GROUP)
    found = usage(_span(asked_range, timezone.now()), group_by=[group])
    name = f"usage-{asked_range}-{group}"
    if request.GET.get("format") == "csv":
        answer = HttpResponse(as_csv(found), content_type="text/csv; charset=utf-8")
        answer["Content-Disposition"] = f'attachment; filename="{name}.csv"'
        return answer
    if request.GET.get("format") == "json":
        answer = JsonResponse(as_dict(found))
        answer["Content-Disposition"] = f'attachment; filename="{name}.json"'
        return answer
    here = {"range": asked_range, "group": group}
    context = {
        **admin.site.each_context(request),
        "title": _("Usage and cost"),
        "opts": HourlyUsage._meta,
        "ranges": [
            Choice(label, _url(here, range=key), key == asked_range)
            for key, label in RANGES.items()
        ],
        "groups": [
            Choice(label, _url(here, group=key), key == group)
            for key, label in GROUPS.items()
        ],
        "downloads": [
            Choice("CSV", _url(here, format="csv"), False),
            Choice("JSON", _url(here, format="json"), False),
        ],
        "list_url": list_url(HourlyUsage),
        "sections": [_section(part, found, group) for part in found.parts],
    }
    return TemplateResponse(request, "admin/batches/usage.html", context)


def _one_of(known, asked, default):
    return asked if asked in known else default


def _url(here, **changes):
    return f"{reverse(f'admin:{URL_NAME}')}?{urlencode({**here, **changes})}"


def _span(asked_range, now):
    if asked_range == "12m":
        return last_months(12, now=now)
    if asked_range == "24h":
        return last_days(1, bucket=HOUR, now=now)
    return last_days(int(asked_range.removesuffix("d")), bucket=DAY, now=now)


def _section(part, found, group):
    key = "sandbox" if part.is_sandbox else "real"
    title = _("Sandbox: pretended money") if part.is_sandbox else _("Real money")
    return Section(
        key,
        title,
        part.is_sandbox,
        [_totals(part, key), _by_group(part, key, group)],
        _charts(part, found, key),
    )


def _totals(part, key):
    total = part.total
    panel = Panel(
        title=_("Sandbox: pretended money") if part.is_sandbox else _("Real money"),
        key=f"usage-{key}",
        facts=[
            (_("spent"), money(total.cost_nanos)),
            (_("real-time price of the same"), money(total.real_time_nanos)),
            (_("saved"), _saved(total)),
            (_("expected"), _against(total.expected_nanos, total.met_percent)),
            (
                _("reserved (worst case)"),
                _against(total.reserved_nanos, total.used_percent),
            ),
            (_("requests"), number(total.requests)),
            (_("input tokens"), number(total.input_tokens)),
            (_("of these cached"), _percent(total.cached_percent)),
            (_("output tokens"), number(total.output_tokens)),
            (_("average cost per request"), money(total.average_cost_nanos)),
            (_("average saving per request"), money(total.average_saving_nanos)),
            (
                _("saving in 30 days at this pace"),
                money(part.monthly_saving_nanos),
            ),
            (_("saving in a year at this pace"), money(part.yearly_saving_nanos)),
        ],
        notes=[_priced(total)],
    )
    if part.is_sandbox:
        panel.notes.insert(0, _("Nobody pays this; it is never added to real money."))
    for model in sorted(part.without_real_time):
        text = _("No real-time price is known for %(model)s: it saves nothing here.")
        panel.notes.append(text % {"model": model})
    return panel


def _priced(total):
    if not total.unpriced:
        return _("Every request is priced.")
    text = ngettext(
        "%(count)s request has no known cost; up to %(money)s more may have been "
        "billed for it. The alerts tell of which job.",
        "%(count)s requests have no known cost; up to %(money)s more may have been "
        "billed for them. The alerts tell of which jobs.",
        total.unpriced,
    )
    return text % {
        "count": number(total.unpriced),
        "money": money(total.not_known_nanos),
    }


def _by_group(part, key, group):
    return Panel(
        title=_("By %(group)s") % {"group": GROUPS[group]},
        key=f"groups-{key}",
        is_stacked=True,
        columns=[
            GROUPS[group],
            _("requests"),
            _("failed"),
            _("spent"),
            _("saved"),
            _("expected"),
            _("reserved"),
            _("cached"),
            _("per request"),
        ],
        rows=[
            [
                name or EMPTY,
                number(figures.requests),
                _failed(figures),
                money(figures.cost_nanos),
                _saved(figures),
                money(figures.expected_nanos),
                money(figures.reserved_nanos),
                _percent(figures.cached_percent),
                money(figures.average_cost_nanos),
            ]
            for (name,), figures in part.by_group()
        ],
    )


def _charts(part, found, key):
    names = [_bucket_name(at, found.span.bucket) for at, _figures in part.by_bucket()]
    figures = [figures for _at, figures in part.by_bucket()]
    spent = [one.cost_nanos for one in figures]
    return [
        Chart(
            f"spent-{key}",
            _("Spent"),
            _("What the answers cost, in the time in which their job ended."),
            names,
            _by_colour(part),
            money,
            is_stacked=True,
        ),
        Chart(
            f"saved-{key}",
            _("Saved against real-time price"),
            _("Both together are what the same tokens cost without a batch."),
            names,
            [
                Series(_("spent"), spent, 1),
                Series(_("saved"), [max(0, one.saved_nanos) for one in figures], 3),
            ],
            money,
            is_stacked=True,
            extra_columns=[_("saved, %")],
            extra_rows=[[_percent(one.saved_percent)] for one in figures],
        ),
        Chart(
            f"predicted-{key}",
            _("Predicted against actual"),
            _("The worst case is reserved before work goes out; nothing costs more."),
            names,
            [
                Series(_("reserved"), [one.reserved_nanos for one in figures], 6),
                Series(_("expected"), [one.expected_nanos for one in figures], 4),
                Series(_("spent"), spent, 1),
            ],
            money,
            extra_columns=[_("spent of expected")],
            extra_rows=[[_percent(one.met_percent)] for one in figures],
        ),
        Chart(
            f"cached-{key}",
            _("Cached share of input"),
            _("Input that requests share with others costs less."),
            names,
            [Series(_("cached"), [_tenths(one.cached_percent) for one in figures], 2)],
            lambda tenths: f"{tenths / 10:g} %",
            most=1_000,
            extra_columns=[_("input tokens"), _("of these cached")],
            extra_rows=[
                [number(one.input_tokens), number(one.cached_tokens)] for one in figures
            ],
        ),
    ]


def _by_colour(part):
    """A series for each of the dearest groups, and one for all others."""
    dearest = [group for group, _figures in part.by_group()]
    shown = dearest[:SHOWN_GROUPS]
    places = {at: n for n, (at, _figures) in enumerate(part.by_bucket())}
    spent = {group: [0] * len(places) for group in [*shown, None]}
    for line in part.lines:
        group = line.group if line.group in spent else None
        spent[group][places[line.start]] += line.figures.cost_nanos
    series = [
        Series(group[0] or EMPTY, spent[group], tone)
        for tone, group in enumerate(shown, start=1)
    ]
    if len(dearest) > len(shown):
        series.append(Series(_("all others"), spent[None], TONES))
    return series


def _bucket_name(at, bucket):
    if bucket == MONTH:
        return formats.date_format(at, "YEAR_MONTH_FORMAT")
    day = formats.date_format(at, "SHORT_DATE_FORMAT")
    return f"{day} {at:%H:%M}" if bucket == HOUR else day


def money(nanos):
    text = dollars(to_usd(abs(nanos)))
    return f"-{text}" if nanos < 0 else text


def _failed(figures: Figures):
    """Of the requests that settled their item, which they did by failing."""
    if figures.failed_percent is None:
        return EMPTY
    return f"{number(figures.failed)} ({_percent(figures.failed_percent)})"


def _saved(figures: Figures):
    saved = money(figures.saved_nanos)
    if figures.saved_percent is None:
        return saved
    return f"{saved} ({_percent(figures.saved_percent)})"


def _against(predicted, met):
    """What was predicted, and how much of it was spent."""
    if met is None:
        return money(predicted)
    text = _("%(money)s (%(percent)s spent)")
    return text % {"money": money(predicted), "percent": _percent(met)}


def _percent(value):
    return EMPTY if value is None else f"{formats.number_format(value)} %"


def _tenths(value):
    return 0 if value is None else int(value * 10)
