"""A text under review as HTML: its segments, tags as chips, findings in their place."""

import re
from collections import defaultdict
from dataclasses import dataclass, field

from django.utils.html import format_html
from django.utils.safestring import mark_safe

from batches.admin.panels import TAG
from translations.admin.showing import finding_message
from translations.review.diffs import word_diff
from translations.segments.runs import PLACEHOLDER

# Of a text without any finding this many segments are open from the start.
OPEN_SEGMENTS = 12
# Real ones, that end up in a page as they are: they turn the text around them.
BIDI_CONTROLS = re.compile("[\u202a-\u202e\u2066-\u2069\u200b\ufeff]")


@dataclass
class FindingView:
    severity: str
    code: str
    message: str
    span: tuple[int, int] | None = None


@dataclass
class SegmentView:
    """A segment as the page shows it; `text` is what stands in its field now."""

    id: str
    source: str
    original: str
    text: str
    format: str
    is_new: bool
    before: str  # the source that it translates, where that has changed
    findings: list[FindingView]
    set_aside: str | None = None
    is_open: bool = False

    @property
    def is_edited(self):
        return self.text != self.original

    @property
    def is_flagged(self):
        return bool(
            self.findings or self.is_new or self.is_edited or self.set_aside is not None
        )

    @property
    def source_changes(self):
        return word_diff(self.before, self.source) if self.before else []

    @property
    def rows(self):
        """A field's height in lines, as a phone shows them."""
        lines = self.text.split("\n")
        return min(14, sum(1 + len(line) // 36 for line in lines) + 1)

    @property
    def shown_source(self):
        return shown_text(self.source, self.format)

    @property
    def shown_text(self):
        return shown_text(self.text, self.format, self.findings)


@dataclass
class Stretch:
    """Segments in a row that are all open, or all fine and folded."""

    is_open: bool
    segments: list[SegmentView] = field(default_factory=list)


def finding_view(finding):
    span = finding.get("span")
    return FindingView(
        severity=finding.get("severity", "warning"),
        code=finding.get("code", ""),
        message=finding_message(finding),
        span=tuple(span) if span else None,
    )


def segment_views(reading, findings, texts, set_aside):
    """(views in order, findings about the whole text)."""
    by_segment = defaultdict(list)
    for finding in findings:
        by_segment[finding.get("segment", "")].append(finding_view(finding))
    views = []
    for pair in reading.pairings:
        text = texts.get(pair.id, pair.text)
        aside = set_aside.get(pair.id)
        views.append(
            SegmentView(
                id=pair.id,
                source=pair.source,
                original=pair.text,
                text=text,
                format=reading.format,
                is_new=pair.is_new,
                before=pair.before,
                findings=by_segment.pop(pair.id, []),
                set_aside=None if aside == text else aside,
            )
        )
    whole = [finding for found in by_segment.values() for finding in found]
    flagged = [view for view in views if view.is_flagged]
    for view in flagged or views[:OPEN_SEGMENTS]:
        view.is_open = True
    return views, whole


def stretches(views):
    found = []
    for view in views:
        if not found or found[-1].is_open != view.is_open:
            found.append(Stretch(view.is_open))
        found[-1].segments.append(view)
    return found


def shown_text(text, format, findings=()):
    """Safe HTML: tags and placeholders as chips, and where findings stand marked."""
    chips = [match.span() for match in PLACEHOLDER.finditer(text)]
    if format != "text":
        chips += [match.span() for match in TAG.finditer(text)]
    marks = [(f.span, f) for f in findings if f.span and _fits(f.span, text)]
    edges = {0, len(text)}
    for start, end in [*chips, *[span for span, _finding in marks]]:
        edges |= {start, end}
    points = sorted(edges)
    html = []
    for start, end in zip(points, points[1:], strict=False):
        piece = BIDI_CONTROLS.sub(_named, text[start:end])
        if any(first <= start and end <= last for first, last in chips):
            out = format_html('<bdi class="tag" dir="ltr">{}</bdi>', piece)
        else:
            out = format_html("{}", piece)
        for (first, last), finding in marks:
            if first <= start and end <= last:
                out = format_html(
                    '<mark class="found {}" title="{}">{}</mark>',
                    finding.severity,
                    finding.message,
                    out,
                )
                break
        html.append(out)
    return mark_safe("".join(html))  # noqa: S308 (each piece is escaped above)


def _fits(span, text):
    return 0 <= span[0] < span[1] <= len(text)


def _named(match):
    return f"[U+{ord(match[0]):04X}]"
