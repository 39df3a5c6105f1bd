"""Charts of bars, drawn here: SVG without a script, and a table behind each.

A chart has no text in it that would shrink with it: scale and legend stand around it
in HTML. It runs from left to right in every language, as its times do.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

WIDTH, HEIGHT = 1_000, 240  # of the drawing; the page stretches it
GAP = 0.25  # of a bucket, between its bars and the next
TONES = 6  # colours there are; see charts.css


@dataclass(frozen=True)
class Series:
    """One colour of a chart: a number a bucket, none below 0 is drawn."""

    label: str
    values: Sequence[int]
    tone: int = 1


@dataclass
class Chart:
    """Bars on top of each other, or beside each other, one place a bucket.

    `told` puts a value into words; `most` is the scale's end, by default the highest
    bar.
    """

    key: str
    title: str
    says: str
    buckets: Sequence[str]
    series: Sequence[Series]
    told: Callable[[int], str]
    is_stacked: bool = False
    most: int = 0
    extra_columns: Sequence[str] = ()
    extra_rows: Sequence[Sequence[Any]] = field(default_factory=list)

    @property
    def scale(self) -> int:
        if self.most:
            return self.most
        heights = [self._height(n) for n in range(len(self.buckets))]
        return max([1, *heights])

    def _height(self, bucket: int) -> int:
        values = [max(0, series.values[bucket]) for series in self.series]
        return sum(values) if self.is_stacked else max(values)

    @property
    def scale_label(self) -> str:
        return self.told(self.scale)

    @property
    def zero_label(self) -> str:
        return self.told(0)

    @property
    def first_label(self) -> str:
        return self.buckets[0]

    @property
    def last_label(self) -> str:
        return self.buckets[-1]

    @property
    def summary(self) -> str:
        """What somebody who cannot see it is told first."""
        heights = [self._height(n) for n in range(len(self.buckets))]
        highest = max(range(len(heights)), key=heights.__getitem__)
        return _(
            "Highest: %(value)s, %(when)s. All figures are in the table below."
        ) % {
            "value": self.told(heights[highest]),
            "when": self.buckets[highest],
        }

    @property
    def svg(self) -> SafeString:
        return format_html(
            '<svg class="chart" viewBox="0 0 {} {}" preserveAspectRatio="none" '
            'role="img" aria-labelledby="chart-{}-name chart-{}-summary">'
            '<title id="chart-{}-name">{}</title><desc id="chart-{}-summary">{}</desc>'
            "{}{}</svg>",
            str(WIDTH),
            str(HEIGHT),
            self.key,
            self.key,
            self.key,
            self.title,
            self.key,
            self.summary,
            format_html_join(
                "",
                '<line class="grid" x1="0" x2="{}" y1="{}" y2="{}"/>',
                ((str(WIDTH), y, y) for y in ("0", _place(HEIGHT / 2), str(HEIGHT))),
            ),
            format_html_join(
                "",
                '<rect class="series-{}" x="{}" y="{}" width="{}" height="{}">'
                "<title>{}</title></rect>",
                self._bars(),
            ),
        )

    def _bars(self) -> list[tuple[str, ...]]:
        """(tone, x, y, width, height, words) of each bar that has a height."""
        slot = WIDTH / len(self.buckets)
        beside = 1 if self.is_stacked else len(self.series)
        width = slot * (1 - GAP) / beside
        scale = self.scale
        bars = []
        for n, when in enumerate(self.buckets):
            left, top = slot * n + slot * GAP / 2, float(HEIGHT)
            for series in self.series:
                value = max(0, series.values[n])
                height = HEIGHT * min(value, scale) / scale
                y = top - height if self.is_stacked else HEIGHT - height
                if value:
                    words = f"{when}: {series.label}, {self.told(value)}"
                    where = (_place(left), _place(y), _place(width), _place(height))
                    bars.append((str(series.tone), *where, words))
                if self.is_stacked:
                    top = y
                else:
                    left += width
        return bars

    @property
    def columns(self) -> list[str]:
        return [_("time (UTC)"), *[s.label for s in self.series], *self.extra_columns]

    @property
    def rows(self) -> list[list[Any]]:
        """The table behind it, the newest first; what is empty is left out."""
        rows = [
            [
                when,
                *[self.told(series.values[n]) for series in self.series],
                *(self.extra_rows[n] if self.extra_rows else ()),
            ]
            for n, when in enumerate(self.buckets)
            if any(series.values[n] for series in self.series)
        ]
        return rows[::-1]


def _place(value: float) -> str:
    """A coordinate; never in the words of a language, as numbers on the page are."""
    return f"{value:.2f}".rstrip("0").rstrip(".")
