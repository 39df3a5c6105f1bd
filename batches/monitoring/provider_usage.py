"""What the provider itself says that its account used and cost, beside our figures."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from batches.models.money import to_nanos
from batches.monitoring.spans import MONTH, Span
from batches.monitoring.usage import Part
from batches.providers.registry import get_organization

if TYPE_CHECKING:  # the provider's client takes half a second to import
    from batches.providers.openai_organization import RemoteCost, RemoteUsage


KNOWN_TO_BOTH = {"model"}
KNOWN_TO_PROVIDERS = ("project", "api_key", "user")


@dataclass(frozen=True)
class ProviderFigures:
    """The account's own figures of a range: batches in `usage`, everything in `costs`.

    They may lag, a batch may count on another day than its job ended on, and other
    users of the account are in them.
    """

    provider: str
    usage: "list[RemoteUsage]"
    costs: "list[RemoteCost]"
    is_comparable: bool = True

    @property
    def requests(self) -> int:
        return sum(row.requests for row in self.usage)

    @property
    def input_tokens(self) -> int:
        return sum(row.input_tokens for row in self.usage)

    @property
    def cached_tokens(self) -> int:
        return sum(row.cached_tokens for row in self.usage)

    @property
    def output_tokens(self) -> int:
        return sum(row.output_tokens for row in self.usage)

    @property
    def cost_nanos(self) -> int:
        """Of all that the account did; only names of line items tell batches apart."""
        return sum(to_nanos(row.usd) for row in self.costs)

    def compared(self, part: Part) -> list[tuple[str, int, int]]:
        """(what, ours, theirs) for each figure that both count of the same work."""
        if not self.is_comparable:
            return []
        ours = part.total
        return [
            (name, getattr(ours, name), getattr(self, name))
            for name in ("requests", "input_tokens", "cached_tokens", "output_tokens")
        ]


def provider_figures(
    provider: str,
    span: Span,
    *,
    by_project: bool,
    only: Mapping[str, str],
    now: datetime,
) -> ProviderFigures:
    """Ask the provider; by model, and by project where that is wanted.

    Of `only` it is asked for what it knows; narrowed by anything that only one of us
    knows, its figures and ours are not of the same work.

    Raises ConfigError without an admin key, ProviderError where it does not answer.
    """
    organization = get_organization(provider)
    # The present second is part of it: ends are excluded, and whole seconds.
    end = min(span.end, now.astimezone(UTC) + timedelta(seconds=1))
    width = "1d" if span.bucket == MONTH else span.bucket
    usage = list(organization.usage(span.start, end, bucket=width, only=only))
    costs = list(organization.costs(span.start, end, only=only))
    if not by_project:
        usage, costs = _without_project(usage), _costs_without_project(costs)
    return ProviderFigures(provider, usage, costs, only.keys() <= KNOWN_TO_BOTH)


def _without_project(rows: "Iterable[RemoteUsage]") -> "list[RemoteUsage]":
    found: defaultdict[tuple[datetime, str], list[RemoteUsage]] = defaultdict(list)
    for row in rows:
        found[row.start, row.model].append(row)
    return [
        replace(
            some[0],
            project="",
            requests=sum(row.requests for row in some),
            input_tokens=sum(row.input_tokens for row in some),
            cached_tokens=sum(row.cached_tokens for row in some),
            output_tokens=sum(row.output_tokens for row in some),
        )
        for some in found.values()
    ]


def _costs_without_project(rows: "Iterable[RemoteCost]") -> "list[RemoteCost]":
    found: defaultdict[tuple[datetime, str], list[RemoteCost]] = defaultdict(list)
    for row in rows:
        found[row.start, row.line_item].append(row)
    return [
        replace(some[0], project="", usd=sum((r.usd for r in some), start=Decimal(0)))
        for some in found.values()
    ]
