"""One queue of all that waits for a person, whatever kind of result it is.

Each app adds its kinds with `in_queue`; translations have their own page besides, with
shelves, languages and what is known of their segments.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from heapq import merge
from itertools import islice
from typing import Any
from urllib.parse import urlencode

from django.core.exceptions import PermissionDenied
from django.db.models import BooleanField, ExpressionWrapper, Model, Q, QuerySet
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.translation import gettext as _

from batches.admin.display import list_url, up_to
from batches.admin.subjects import may_see

COUNTED = 2_000
LISTED = 50
URL_NAME = "translations_translation_review_all"
# What orders the rows of a kind whose findings are counted in columns of its own.
ERRORS_FIRST = ExpressionWrapper(Q(errors__gt=0), output_field=BooleanField()).desc()
RISKIEST_FIRST = (ERRORS_FIRST, "score", "pk")


@dataclass(frozen=True)
class Waiting:
    """One result in the queue, as it is shown and ordered."""

    title: Any
    language: str
    url: str
    score: int
    errors: int
    warnings: int
    since: datetime
    is_sandbox: bool = False
    label: Any = ""  # of its kind

    @property
    def risk(self) -> tuple[bool, int, datetime]:
        return not self.errors, self.score, self.since


@dataclass(frozen=True)
class Kind:
    """A kind of result: `waiting` gives its rows for a request, the riskiest first, and
    `shown` puts some of them as `Waiting`. `queue_url` is a page that is its own."""

    name: str
    label: Any
    model: type[Model]
    waiting: Callable[[HttpRequest], QuerySet[Any]]
    shown: Callable[[HttpRequest, QuerySet[Any]], Iterable[Waiting]]
    queue_url: Callable[[], str] | None = None


_kinds: dict[str, Kind] = {}


def in_queue(kind: Kind) -> None:
    """Have results of a kind stand in the queue."""
    _kinds[kind.name] = kind


def everything_url(kind: str = "") -> str:
    url = reverse(f"admin:{URL_NAME}")
    return f"{url}?{urlencode({'kind': kind})}" if kind else url


def url_of_next(request: HttpRequest, name: str) -> str:
    """The page of what is next of a kind; the queue where nothing of it is left."""
    kind = _kinds[name]
    for row in kind.shown(request, kind.waiting(request)[:1]):
        return row.url
    return everything_url()


def kinds_for(request: HttpRequest) -> list[Kind]:
    return [kind for kind in _kinds.values() if may_see(request, kind.model)]


class EverythingPage:
    """The page of the queue, on the admin of translations."""

    def get_urls(self):
        view = self.admin_site.admin_view(self.everything_view)
        return [path("review/all/", view, name=URL_NAME), *super().get_urls()]

    def everything_view(self, request):
        kinds = kinds_for(request)
        if not kinds:
            raise PermissionDenied
        asked = next((k for k in kinds if k.name == request.GET.get("kind")), None)
        rows = list(
            islice(
                merge(
                    *(_rows(request, kind) for kind in ([asked] if asked else kinds)),
                    key=lambda row: row.risk,
                ),
                LISTED,
            )
        )
        return TemplateResponse(
            request,
            "admin/translations/review_all.html",
            {
                **self.admin_site.each_context(request),
                "is_nav_sidebar_enabled": False,
                "opts": self.opts,
                "title": _("Review"),
                "media": self.media,
                "queue_url": everything_url(),
                "asked": asked,
                "kinds": [
                    (kind, up_to(COUNTED, kind.waiting(request)), _url_of(kind))
                    for kind in kinds
                ],
                "rows": rows,
                "own_queue": asked.queue_url() if asked and asked.queue_url else "",
                "list_url": list_url(asked.model) if asked else "",
            },
        )


def _rows(request: HttpRequest, kind: Kind) -> list[Waiting]:
    return list(kind.shown(request, kind.waiting(request)[:LISTED]))


def _url_of(kind: Kind) -> str:
    return everything_url(kind.name)
