"""Usage in the shapes that leave the house: one JSON object, and one table of CSV.

Money is text with nine places, so that no reader rounds it; percentages are numbers.
"""

import csv
from collections.abc import Iterable, Iterator
from decimal import Decimal
from io import StringIO
from typing import Any

from batches.models.money import to_usd
from batches.monitoring.provider_usage import ProviderFigures
from batches.monitoring.usage import Figures, Line, Part, Usage
from batches.providers.registry import is_sandbox

OURS, THEIRS = "batchsite", "provider"
# What a spreadsheet would take for a formula, at the beginning of a text.
FORMULAS = ("=", "+", "-", "@", "\t", "\r")


def as_dict(found: Usage, provider: ProviderFigures | None = None) -> dict[str, Any]:
    """The whole report; real and pretended money in `parts` of their own."""
    report = {
        "start": found.span.start.isoformat(),
        "end": found.span.end.isoformat(),
        "bucket": found.span.bucket,
        "group_by": list(found.group_by),
        "every_request_is_priced": not found.unpriced,
        "unpriced_requests": found.unpriced,
        "parts": [_part(part, found) for part in found.parts],
    }
    if provider is not None:
        report["provider_figures"] = _provider(provider, found)
    return report


def _part(part: Part, found: Usage) -> dict[str, Any]:
    total = part.total
    return {
        "is_sandbox": part.is_sandbox,
        "rows": [line_dict(line, found) for line in part.lines],
        "totals": {
            **figures_dict(total),
            "average_cost_per_request_usd": usd(total.average_cost_nanos),
            "average_saving_per_request_usd": usd(total.average_saving_nanos),
            "projected_monthly_saving_usd": usd(part.monthly_saving_nanos),
            "projected_annual_saving_usd": usd(part.yearly_saving_nanos),
        },
        "models_without_real_time_price": sorted(part.without_real_time),
    }


def line_dict(line: Line, found: Usage) -> dict[str, Any]:
    return {
        "start": line.start.isoformat(),
        **dict(zip(found.group_by, line.group, strict=True)),
        **figures_dict(line.figures),
    }


def figures_dict(figures: Figures) -> dict[str, Any]:
    return {
        "requests": figures.requests,
        "input_tokens": figures.input_tokens,
        "cached_tokens": figures.cached_tokens,
        "cached_percent": _number(figures.cached_percent),
        "output_tokens": figures.output_tokens,
        "cost_usd": usd(figures.cost_nanos),
        "real_time_usd": usd(figures.real_time_nanos),
        "saved_usd": usd(figures.saved_nanos),
        "saved_percent": _number(figures.saved_percent),
        "expected_usd": usd(figures.expected_nanos),
        "cost_of_expected_percent": _number(figures.met_percent),
        "reserved_usd": usd(figures.reserved_nanos),
        "cost_of_reserved_percent": _number(figures.used_percent),
        "unpriced_requests": figures.unpriced,
        "not_known_usd": usd(figures.not_known_nanos),
    }


def _provider(provider: ProviderFigures, found: Usage) -> dict[str, Any]:
    part = found.pretended if is_sandbox(provider.provider) else found.real
    differences = {
        name: {"ours": ours, "theirs": theirs, "difference": theirs - ours}
        for name, ours, theirs in provider.compared(part)
    }
    return {
        "provider": provider.provider,
        "usage": [
            {
                "start": row.start.isoformat(),
                "project": row.project,
                "model": row.model,
                "requests": row.requests,
                "input_tokens": row.input_tokens,
                "cached_tokens": row.cached_tokens,
                "output_tokens": row.output_tokens,
            }
            for row in provider.usage
        ],
        "costs": [
            {
                "start": row.start.isoformat(),
                "project": row.project,
                "line_item": row.line_item,
                "cost_usd": f"{row.usd:f}",
            }
            for row in provider.costs
        ],
        "cost_usd": usd(provider.cost_nanos),
        **({"differences": differences} if differences else {}),
    }


def as_csv(found: Usage, provider: ProviderFigures | None = None) -> str:
    """One table: a row a bucket and group, and the provider's rows after ours."""
    columns = [
        "source",
        "is_sandbox",
        "start",
        *(["project"] if provider is not None else []),
        *found.group_by,
        *(["model"] if provider is not None and "model" not in found.group_by else []),
        *(["line_item"] if provider is not None else []),
        *figures_dict(Figures()),
    ]
    out = StringIO()
    writer = csv.DictWriter(out, columns, restval="", lineterminator="\n")
    writer.writeheader()
    for row in (*_our_rows(found), *_their_rows(provider)):
        writer.writerow({name: cell(value) for name, value in row.items()})
    return out.getvalue()


def _our_rows(found: Usage) -> Iterator[dict[str, Any]]:
    for part in found.parts:
        for line in part.lines:
            sandbox = str(part.is_sandbox).lower()
            yield {"source": OURS, "is_sandbox": sandbox, **line_dict(line, found)}


def _their_rows(provider: ProviderFigures | None) -> Iterator[dict[str, Any]]:
    if provider is None:
        return
    whose = {
        "source": THEIRS,
        "is_sandbox": str(is_sandbox(provider.provider)).lower(),
    }
    for use in provider.usage:
        yield {
            **whose,
            "start": use.start.isoformat(),
            "project": use.project,
            "model": use.model,
            "requests": use.requests,
            "input_tokens": use.input_tokens,
            "cached_tokens": use.cached_tokens,
            "output_tokens": use.output_tokens,
        }
    for cost in provider.costs:
        yield {
            **whose,
            "start": cost.start.isoformat(),
            "project": cost.project,
            "line_item": cost.line_item,
            "cost_usd": f"{cost.usd:f}",
        }


class _Echo:
    """A file that hands back what is written into it."""

    def write(self, text: str) -> str:
        return text


def csv_lines(rows: Iterable[Iterable[Any]]) -> Iterator[str]:
    """Lines of CSV as rows come; no cell is a formula to a spreadsheet."""
    writer = csv.writer(_Echo())
    for row in rows:
        yield writer.writerow(map(cell, row))


def cell(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, str) and value.startswith(FORMULAS) and not _is_number(value):
        return f"'{value}"
    return value


def _is_number(text: str) -> bool:
    return text.lstrip("-").replace(".", "", 1).isdecimal()


def usd(nanos: int) -> str:
    return f"{to_usd(nanos):f}"


def _number(percentage: Decimal | None) -> float | None:
    return None if percentage is None else float(percentage)
