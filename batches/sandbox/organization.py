"""/v1/organization/usage/completions and /costs: the ledger, as an admin key reads it.

A line counts in the moment in which its batch began to run. There is one project, one
user and one key. Facts: docs/provider-facts.md, section 9.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from batches.sandbox.wire import ApiError, Reply, Request, json_reply, page_limit

if TYPE_CHECKING:
    from batches.sandbox.app import Sandbox

PREFIX = "/v1/organization/"
ADMIN_KEYS = "sk-admin"  # how OpenAI's begin; no other key reads these
PROJECT, USER, KEY = "proj_sandbox", "user-sandbox", "key_sandbox"
WIDTHS = {"1m": 60, "1h": 3_600, "1d": 86_400}  # seconds
USAGE_LIMITS = {"1m": (60, 1_440), "1h": (24, 168), "1d": (7, 31)}  # default, most
COSTS_LIMITS = {"1d": (7, 180)}
USAGE_GROUPS = (
    "project_id",
    "user_id",
    "api_key_id",
    "model",
    "batch",
    "service_tier",
    "api_source",
)
COSTS_GROUPS = ("project_id", "user_id", "line_item", "api_key_id", "api_source")
# The day on which the price table begins to know batch rates.
RATES_BEGIN = datetime(2026, 10, 15, tzinfo=UTC)
MILLION = 1_000_000


@dataclass(frozen=True)
class Use:
    """What the lines of one batch used that were answered."""

    at: float
    endpoint: str
    model: str
    requests: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int

    def key(self, name: str) -> Any:
        """What it is grouped under; everything here was asked for in batches."""
        return {
            "project_id": PROJECT,
            "user_id": USER,
            "api_key_id": KEY,
            "model": self.model,
            "batch": True,
            "service_tier": "default",
            "api_source": "unlabeled",
        }[name]


@dataclass(frozen=True)
class Charge:
    """One line item of what a batch cost, in dollars."""

    at: float
    line_item: str
    amount: Decimal
    tokens: int

    def key(self, name: str) -> Any:
        return {
            "project_id": PROJECT,
            "user_id": USER,
            "api_key_id": KEY,
            "line_item": self.line_item,
            "api_source": "unlabeled",
        }[name]


def refuse_others(key: str) -> None:
    """An admin key alone reads these; OpenAI refuses a project's key as forbidden."""
    if not key.startswith(ADMIN_KEYS):
        raise ApiError(
            403,
            "You have insufficient permissions for this operation. Missing scopes: "
            "api.usage.read.",
        )


def usage(sandbox: "Sandbox", request: Request) -> Reply:
    names = _groups(request, USAGE_GROUPS)
    uses: list[Any] = [
        use
        for use in _uses(sandbox)
        if use.endpoint != "/v1/embeddings"
        and _matches(request, "models", use.model)
        and _matches(request, "project_ids", PROJECT)
        and _matches(request, "user_ids", USER)
        and _matches(request, "api_key_ids", KEY)
        and request.one("batch") not in ("false", "0")
    ]

    def result(some: list[Use], keys: dict[str, Any]) -> dict[str, Any]:
        cached = sum(use.cached_tokens for use in some)
        fresh = sum(use.input_tokens for use in some) - cached
        return {
            "object": "organization.usage.completions.result",
            "input_tokens": fresh + cached,
            "input_cached_tokens": cached,
            "input_uncached_tokens": fresh,
            "input_cache_write_tokens": 0,
            "output_tokens": sum(use.output_tokens for use in some),
            "num_model_requests": sum(use.requests for use in some),
            "input_audio_tokens": 0,
            "output_audio_tokens": 0,
            **{name: keys.get(name) for name in USAGE_GROUPS},
        }

    return _page(request, USAGE_LIMITS, uses, names, result)


def costs(sandbox: "Sandbox", request: Request) -> Reply:
    names = _groups(request, COSTS_GROUPS)
    charges: list[Any] = [
        charge
        for use in _uses(sandbox)
        for charge in _charges(use)
        if _matches(request, "project_ids", PROJECT)
        and _matches(request, "api_key_ids", KEY)
        and _matches(request, "line_items", charge.line_item)
    ]

    def result(some: list[Charge], keys: dict[str, Any]) -> dict[str, Any]:
        is_itemised = "line_item" in keys
        return {
            "object": "organization.costs.result",
            "amount": {
                "value": float(sum(charge.amount for charge in some)),
                "currency": "usd",
            },
            "quantity": sum(c.tokens for c in some) if is_itemised else None,
            "quantity_unit": "tokens" if is_itemised else None,
            **{name: keys.get(name) for name in COSTS_GROUPS},
        }

    return _page(request, COSTS_LIMITS, charges, names, result)


def _uses(sandbox: "Sandbox") -> list[Use]:
    rows = sandbox.storage.rows(
        "SELECT document ->> 'in_progress_at', document ->> 'endpoint', model,"
        " COUNT(*), SUM(input_tokens), SUM(cached_tokens), SUM(output_tokens)"
        " FROM lines JOIN batches ON seq = batch WHERE lines.status = 200"
        " GROUP BY batch ORDER BY batch"
    )
    return [Use(*row) for row in rows if row[0] is not None]


def _charges(use: Use) -> Iterable[Charge]:
    began = max(datetime.fromtimestamp(use.at, UTC), RATES_BEGIN)
    fresh, cached, output = _rates(use.model, began.date().isoformat())
    for item, rate, tokens in (
        ("input_tokens", fresh, use.input_tokens - use.cached_tokens),
        ("cached_input_tokens", cached, use.cached_tokens),
        ("output_tokens", output, use.output_tokens),
    ):
        if tokens:
            amount = rate * tokens / MILLION
            yield Charge(use.at, f"{use.model}, batch, {item}", amount, tokens)


@lru_cache(maxsize=256)
def _rates(model: str, day: str) -> tuple[Decimal, Decimal, Decimal]:
    """Dollars for a million tokens in batches; 0 for a model without a price."""
    from genai_prices import Usage, calc_price

    at = datetime.fromisoformat(day).replace(tzinfo=UTC)

    def price(**tokens: int) -> Decimal:
        found = calc_price(
            Usage(**tokens),
            model_ref=model,
            provider_id="openai",
            genai_request_timestamp=at,
            price_context={"processing": "batch"},
        )
        return Decimal(found.total_price) * 1_000

    # A thousand tokens: a million would fall under the rates for long contexts.
    try:
        return (
            price(input_tokens=1_000),
            price(input_tokens=1_000, cache_read_tokens=1_000),
            price(output_tokens=1_000),
        )
    except LookupError:
        return Decimal(0), Decimal(0), Decimal(0)


# --- questions and pages --------------------------------------------------------------


def _many(request: Request, name: str) -> list[str]:
    return [*request.query.get(f"{name}[]", []), *request.query.get(name, [])]


def _matches(request: Request, name: str, value: str) -> bool:
    wanted = _many(request, name)
    return not wanted or value in wanted


def _groups(request: Request, allowed: tuple[str, ...]) -> list[str]:
    names = _many(request, "group_by")
    for name in names:
        if name not in allowed:
            supported = ", ".join(f"'{one}'" for one in allowed)
            raise ApiError(
                400,
                f"Invalid value: '{name}'. Supported values are: {supported}.",
                param="group_by",
                code="invalid_value",
            )
    return names


def _page(
    request: Request,
    limits: dict[str, tuple[int, int]],
    rows: list[Any],
    names: list[str],
    result: Callable[[list[Any], dict[str, Any]], dict[str, Any]],
) -> Reply:
    """As many buckets as the limit allows, empty ones too, oldest first."""
    width_name = request.one("bucket_width") or "1d"
    if width_name not in limits:
        supported = ", ".join(f"'{one}'" for one in limits)
        raise ApiError(
            400,
            f"Invalid value: '{width_name}'. Supported values are: {supported}.",
            param="bucket_width",
            code="invalid_value",
        )
    default, most = limits[width_name]
    limit = page_limit(request, default=default, maximum=most)
    start, end = _range(request)
    width = WIDTHS[width_name]
    first = start - start % width
    asked_page = request.one("page")
    if asked_page is not None:
        first = _start_of(asked_page, width)
    found: defaultdict[int, list[Any]] = defaultdict(list)
    for row in rows:
        if start <= row.at < end:
            found[int(row.at) - int(row.at) % width].append(row)
    starts = range(first, end, width)
    buckets = [
        {
            "object": "bucket",
            "start_time": begins,
            "end_time": begins + width,
            "results": _results(found[begins], names, result),
        }
        for begins in starts[:limit]
    ]
    has_more = len(starts) > limit
    return json_reply(
        {
            "object": "page",
            "data": buckets,
            "has_more": has_more,
            "next_page": f"page_{starts[limit]:x}" if has_more else None,
        }
    )


def _results(
    rows: list[Any],
    names: list[str],
    result: Callable[[list[Any], dict[str, Any]], dict[str, Any]],
) -> list[dict[str, Any]]:
    grouped: defaultdict[tuple[Any, ...], list[Any]] = defaultdict(list)
    for row in rows:
        grouped[tuple(row.key(name) for name in names)].append(row)
    return [
        result(some, dict(zip(names, keys, strict=True)))
        for keys, some in sorted(grouped.items())
    ]


def _range(request: Request) -> tuple[int, int]:
    start = _seconds(request, "start_time")
    if start is None:
        raise ApiError(
            400,
            "Missing required parameter: 'start_time'.",
            param="start_time",
            code="missing_required_parameter",
        )
    end = _seconds(request, "end_time")
    if end is None:
        end = int(time.time()) + 1
    if end <= start:
        raise ApiError(
            400,
            "Invalid 'end_time': it must be after 'start_time'.",
            param="end_time",
            code="invalid_value",
        )
    return start, end


def _seconds(request: Request, name: str) -> int | None:
    given = request.one(name)
    if given is None:
        return None
    if not given.isdecimal() or len(given) > 11:
        raise ApiError(
            400,
            f"Invalid type for '{name}': expected an integer, but got {given!r}.",
            param=name,
            code="invalid_type",
        )
    return int(given)


def _start_of(page: str, width: int) -> int:
    try:
        start = int(page.removeprefix("page_"), 16)
    except ValueError:
        start = -1
    if not page.startswith("page_") or start < 0 or start % width:
        raise ApiError(400, "Invalid 'page'.", param="page", code="invalid_value")
    return start
