"""Every page that is there, looked at as a browser and a program would: P7 and P8.

Pages are found from the admin's registry and from the addresses that are served, so a
new one is measured without anybody thinking of it.
"""

import re
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.core.cache import cache
from django.db import connection, models
from django.test import Client
from django.test.utils import override_settings
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.utils import timezone
from rich.table import Table

from batches.benchmark.meter import measure
from batches.benchmark.report import TARGETS, Result
from batches.errors import BatchError
from batches.models import BatchItem, BatchJob, ItemAttempt, ItemRequest, OpenItem, Run
from batches.monitoring.dashboard import dashboard

RANGES = ("24h", "7d", "30d")
SUMMARIES, VISITS = 20, 3
QUERY_SHOWN = 60  # characters
OK, SERVER_ERROR = 200, 500
# Forms that Django makes for every model alike, and a document for programs.
LEFT_OUT = re.compile(r"_(add|history|delete|password_change)$|^openapi-")
# Arguments of an admin address that name a row of its model.
ROW_KEYS = {"object_id", "pk", "key", "id"}
ITEM_TABLES = tuple(
    model._meta.db_table for model in (BatchItem, OpenItem, ItemAttempt, ItemRequest)
)
COUNT = re.compile(r"\bCOUNT\(", re.IGNORECASE)
LIMIT = re.compile(r"\bLIMIT\b", re.IGNORECASE)
ADMIN_ROW = re.compile(r"^admin/(?P<app>\w+)/(?P<model>\w+)/")
PLAIN_FILES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
# Values of an address's arguments, by name; those of several together under their names
# with commas, and the query that a page must have under `?` and the page's name.
Arguments = Mapping[str, Sequence[Any]]


@dataclass
class Visit:
    """One page: seconds of the quickest look at it, and what it asked the database."""

    address: str
    status: int = OK
    is_file: bool = False
    seconds: float = 0.0
    cpu_seconds: float = 0.0  # of this process and the database's
    queries: list[tuple[str, float]] = field(default_factory=list)

    @property
    def milliseconds(self) -> float:
        return round(self.seconds * 1_000, 1)

    @property
    def worst(self) -> tuple[str, float]:
        """The query that took longest, and its seconds."""
        return max(self.queries, key=lambda query: query[1], default=("", 0.0))

    @property
    def counts(self) -> list[str]:
        """Queries that count items without a bound on how many they look at."""
        return [sql for sql, _ in self.queries if counts_items(sql)]

    @property
    def is_page(self) -> bool:
        """Whether it is a page or list, and not a file, or an act that is POSTed."""
        return self.status == OK and not self.is_file

    @property
    def misses(self) -> bool:
        """Whether it is slower, asks more or counts more than it may."""
        figures = (self.milliseconds, len(self.queries), len(self.counts))
        keys = ("P8", "P8-queries", "P8-counts")
        return not all(
            TARGETS[key].is_met(figure)
            for key, figure in zip(keys, figures, strict=True)
        )

    def as_dict(self) -> dict[str, Any]:
        sql, seconds = self.worst
        return {
            "address": self.address,
            "ms": self.milliseconds,
            "cpu_ms": round(self.cpu_seconds * 1_000, 1),
            "queries": len(self.queries),
            "counts_items": len(self.counts),
            "worst_query": sql,
            "worst_query_ms": round(seconds * 1_000, 1),
        }


def counts_items(sql: str) -> bool:
    """Whether a query counts rows of a table of items, however many there are."""
    is_about_items = any(f'"{table}"' in sql for table in ITEM_TABLES)
    return bool(is_about_items and COUNT.search(sql) and not LIMIT.search(sql))


# --- which pages there are ------------------------------------------------------------


def addresses(arguments: Arguments) -> list[str]:
    """Every address that a page or list may be at, its arguments filled in.

    Rows of the admin are taken from its models; other arguments from `arguments`. What
    has an argument that nobody knows, such as the name of a selection, is left out.
    """
    found = {}
    for pattern, names, page in _patterns(get_resolver()):
        query = "".join(f"?{query}" for query in arguments.get(f"?{page}", ()))
        for address in _filled(pattern, names, arguments):
            found[f"/{address}{query}"] = True
    for label in sorted({model._meta.app_label for model in admin.site._registry}):
        found[reverse("admin:app_list", args=[label])] = True
    return list(found)


def list_addresses() -> list[str]:
    """The admin's lists."""
    return [list_address(model) for model in admin.site._registry]


def list_address(model: type[models.Model]) -> str:
    meta = model._meta
    return reverse(f"admin:{meta.app_label}_{meta.model_name}_changelist")


def _patterns(
    resolver: URLResolver, prefix: str = "", before: tuple[str, ...] = ()
) -> Iterator[tuple[str, tuple[str, ...], str]]:
    """Addresses as `admin/batches/run/<path:object_id>/`, the names of their arguments,
    and the name of the page.

    Those written as regular expressions catch what no page answers; they are left out.
    """
    for entry in resolver.url_patterns:
        route = getattr(entry.pattern, "_route", None)
        if route is None:
            continue
        names = (*before, *entry.pattern.converters)
        if isinstance(entry, URLResolver):
            yield from _patterns(entry, prefix + str(route), names)
        elif isinstance(entry, URLPattern) and not LEFT_OUT.search(entry.name or ""):
            yield prefix + str(route), names, entry.name or ""


def _filled(
    pattern: str, names: tuple[str, ...], arguments: Arguments
) -> Iterator[str]:
    found = ADMIN_ROW.match(pattern)
    if not names:
        yield pattern
        return
    if len(names) == 1 and names[0] in ROW_KEYS and found:
        values: Sequence[Any] = _keys(found["app"], found["model"])
    elif len(names) == 1:
        values = arguments.get(names[0], ())
    else:
        together = arguments.get(",".join(names), ())
        for given in together:
            yield _put_in(pattern, dict(zip(names, given, strict=True)))
        return
    for value in values:
        yield _put_in(pattern, {names[0]: value})


def _put_in(pattern: str, values: Mapping[str, Any]) -> str:
    return re.sub(r"<(?:\w+:)?(\w+)>", lambda found: str(values[found[1]]), pattern)


def _keys(app: str, name: str) -> list[Any]:
    """The newest row of a model of the admin, and one from the middle."""
    for model in admin.site._registry:
        if (model._meta.app_label, model._meta.model_name) == (app, name):
            return _newest_and_middle(model)
    return []


def _newest_and_middle(model: type[models.Model]) -> list[Any]:
    rows = model._default_manager.order_by()
    newest = rows.order_by("-pk").values_list("pk", flat=True).first()
    if not isinstance(newest, int):
        return [] if newest is None else [newest]
    oldest = rows.order_by("pk").values_list("pk", flat=True).first()
    middle = rows.filter(pk__gte=(newest + (oldest or 0)) // 2).order_by("pk")
    return [newest, middle.values_list("pk", flat=True).first()]


# --- looking at them ------------------------------------------------------------------


@contextmanager
def visitor() -> Iterator[Client]:
    """A superuser's browser; pages are served as they are in earnest, without DEBUG.

    The cache is a table of this database, so that what it costs is counted, and nobody
    else's is emptied. Static files need not have been collected: pages name them only.
    """
    user, _ = get_user_model()._default_manager.get_or_create(username="load-1")
    user.is_staff = user.is_superuser = True
    user.save()
    with override_settings(
        DEBUG=False,
        ALLOWED_HOSTS=["testserver"],
        SECURE_SSL_REDIRECT=False,
        CACHES={
            "default": {
                "BACKEND": "django.core.cache.backends.db.DatabaseCache",
                "LOCATION": "batchsite_cache",
            }
        },
        STORAGES=PLAIN_FILES,
    ):
        client = Client(raise_request_exception=False)
        client.force_login(user)
        yield client


def visit(client: Client, address: str, *, times: int = VISITS) -> Visit:
    """Look once to warm up and then `times` times, of which the quickest counts.

    With `times` 0 the first look counts.
    """
    cache.clear()  # no rate limit is to come in between
    first = _look(client, address)
    if not first.is_page or not times:
        return first
    looks = [_look(client, address) for _ in range(times)]
    return min(looks, key=lambda one: one.seconds)


def _look(client: Client, address: str) -> Visit:
    found = Visit(address)

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        begun = time.perf_counter()
        try:
            return execute(sql, params, many, context)
        finally:
            found.queries.append((sql, time.perf_counter() - begun))

    def get() -> None:
        with connection.execute_wrapper(note):
            response = client.get(address)
        found.status = response.status_code
        found.is_file = response.streaming or "Content-Disposition" in response

    spent = measure(get)
    found.seconds, found.cpu_seconds = spent.wall, spent.cpu
    return found


# --- the figures ----------------------------------------------------------------------


def summary_results(suffix: str = "") -> list[Result]:
    """P7: medians of the monitoring summary over three ranges."""
    medians = {range_: _summary_ms(range_) for range_ in RANGES}
    said = ", ".join(f"{range_} {ms:.1f} ms" for range_, ms in medians.items())
    details = {"ms": medians}
    return [
        Result(f"P7{suffix}", max(medians.values()), said, details),
        Result(
            f"P7{suffix}-flat",
            max(medians.values()) / min(medians.values()),
            "slowest over quickest range",
            details,
        ),
    ]


def _summary_ms(range_: str) -> float:
    spent = []
    for number in range(SUMMARIES + 1):
        begun = time.perf_counter()
        dashboard(range_, now=timezone.now())
        if number:  # the first warms up
            spent.append(time.perf_counter() - begun)
    return round(1_000 * statistics.median(spent), 2)


def page_results(visits: Sequence[Visit]) -> list[Result]:
    """P8: the slowest page, the one with most queries, and those that count items."""
    if broken := [one.address for one in visits if one.status >= SERVER_ERROR]:
        raise BatchError(f"These pages broke: {', '.join(broken)}. See the log.")
    pages = [one for one in visits if one.is_page]
    slowest = max(pages, key=lambda one: one.seconds)
    dearest = max(pages, key=lambda one: one.cpu_seconds)
    busiest = max(pages, key=lambda one: len(one.queries))
    counting = [one for one in pages if one.counts]
    return [
        Result(
            "P8",
            slowest.milliseconds,
            f"{slowest.address}, of {len(pages)} pages",
            {"pages": [one.as_dict() for one in pages]},
        ),
        Result("P8-cpu", round(dearest.cpu_seconds * 1_000, 1), dearest.address),
        Result("P8-queries", len(busiest.queries), busiest.address),
        Result(
            "P8-counts",
            len(counting),
            ", ".join(one.address for one in counting) or "none",
        ),
    ]


def page_table(visits: Sequence[Visit], shown: int) -> Table:
    """The slowest pages, and every page that misses a target, for a person."""
    pages = sorted((one for one in visits if one.is_page), key=lambda one: -one.seconds)
    missed = [one for one in pages[shown:] if one.misses]
    table = Table(box=None, pad_edge=False)
    for name in ("Page", "ms", "CPU ms", "Queries", "", "Worst query"):
        table.add_column(name, no_wrap=True)
    for one in (*pages[:shown], *missed):
        sql, seconds = one.worst
        table.add_row(
            one.address,
            f"{one.milliseconds:.0f}",
            f"{one.cpu_seconds * 1_000:.0f}",
            str(len(one.queries)),
            "MISSED" if one.misses else "met",
            f"{seconds * 1_000:.0f} ms {' '.join(sql.split())[:QUERY_SHOWN]}",
        )
    return table


def newest_ids() -> dict[str, list[Any]]:
    """Public ids for the API's addresses: of a job, and of a run of the visitor's."""
    jobs = BatchJob.objects.order_by("-pk").values_list("public_id", flat=True)[:1]
    runs = Run.objects.filter(owner__username="load-1").order_by("-pk")
    return {
        "public_id": list(jobs),
        "job_id": list(runs.values_list("public_id", flat=True)[:1]),
    }
