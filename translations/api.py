"""/api/content: published text for sites, and content from them; and coverage."""

import base64
import binascii
import hashlib
import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from django.db import transaction
from django.db.models import Q
from django.http import HttpResponse, HttpResponseBase, JsonResponse
from django.utils import timezone
from django.utils.cache import get_conditional_response
from ninja import Body, Query, Router, Schema
from ninja.responses import Status
from pydantic import ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from batches.api.auth import ApiRequest, callers
from batches.api.errors import NotFound
from batches.api.parsing import BIGGEST_KEY, Moment
from batches.api.steering import TroubleOut
from batches.errors import BatchError
from batches.models.api_key import Scope
from batches.services.events import audit
from translations.coverage_counts import told_coverage
from translations.coverage_tables import as_dict, as_text
from translations.exchange.proposals import find_rows
from translations.importing import BadRow, get_importer
from translations.languages import NAMES, direction, is_known
from translations.models import Translation
from translations.reading import showable
from translations.registry import Registered, all_registered, find_kind
from translations.selection import content_type_of
from translations.staleness import current_hash, source_rows

content = Router(by_alias=True, tags=["content"])
reports = Router(by_alias=True, tags=["translations"])
MAX_PAGE = 200
TAGS = {name.lower(): tag for tag, name in NAMES.items()}


class BadRequest(BatchError):
    code = "bad_request"


ERRORS: dict[int, type[Schema]] = dict.fromkeys(
    (400, 401, 403, 404, 500, 503), TroubleOut
)


class Camel(Schema):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class TextOut(Camel):
    """A published text; `stale` where the source says something else by now.

    `stale_minor` where it only differs in blanks, punctuation or case.
    """

    text: str
    format: str
    language: str
    direction: str = Field(description="ltr or rtl")
    version: int
    stale: bool
    stale_minor: bool
    updated_at: datetime


class ContentOut(Camel):
    """The published texts of one row, by field; what is not published is not there."""

    kind: str
    id: str
    language: str
    direction: str = Field(description="ltr or rtl")
    source_language: str
    fields: dict[str, TextOut]


class FieldOut(TextOut):
    """A published text, with the row and field that it is of."""

    kind: str
    id: str
    field: str


class PageOut(Camel):
    """`next` is the cursor of the page after this one; null on the last."""

    items: list[FieldOut]
    next: str | None


class LanguageIn(Schema):
    lang: str = Field(description="the language, a BCP 47 tag", examples=["ar"])


class ListIn(LanguageIn):
    updated_since: Moment | None = Field(
        default=None, description="only what was published or changed since"
    )
    cursor: str = Field(
        default="", max_length=200, description="`next` of the last page"
    )
    limit: Annotated[int, Field(ge=1, le=MAX_PAGE)] = 100


class WrittenOut(Schema):
    """What became of the row: `created`, `updated` or `unchanged`."""

    kind: str
    id: str
    result: Literal["created", "updated", "unchanged"]
    ignored: list[str] = Field(description="keys that are no fields of such content")


class CoverageIn(Schema):
    lang: str = Field(
        default="", description="a language, as ar or Arabic; default all of them"
    )
    kind: str = Field(default="", description="such as lesson; default all content")
    format: Literal["json", "text"] = "json"


class CoverageLineOut(Camel):
    """Texts of a group of content in a language, by state; see the page *Coverage*."""

    kind: str
    group: str
    group_name: str
    language: str
    published: int
    stale_minor: int
    waiting: int
    stale: int
    failed: int
    missing: int
    total: int
    percent: int


class CoverageOut(Camel):
    lines: list[CoverageLineOut]


@content.get(
    "/{kind}/{path:external_id}",
    response={200: ContentOut, 304: None, **ERRORS},
    summary="The published texts of one row in a language",
    auth=callers(Scope.READ_CONTENT),
)
def read_content(
    request: ApiRequest, kind: str, external_id: str, wanted: Query[LanguageIn]
) -> HttpResponseBase | None:
    entry = _kind(kind)
    language = _language(wanted.lang)
    row = find_rows(entry, [external_id]).get(external_id)
    if row is None:
        raise NotFound(f"There is no {entry.kind} with the id {external_id[:60]!r}.")
    units = showable().filter(
        content_type=content_type_of(entry),
        object_id=str(row.pk),
        language=language,
        field__in=entry.fields,
    )
    found = ContentOut(
        kind=entry.kind,
        id=external_id,
        language=language,
        direction=direction(language),
        source_language=entry.language_of(row),
        fields={
            unit.field: TextOut(**_shown(unit, current_hash(entry, row, unit.field)))
            for unit in units
        },
    )
    body = found.model_dump(mode="json", by_alias=True)
    etag = f'"{hashlib.sha256(json.dumps(body).encode()).hexdigest()[:32]}"'
    response = JsonResponse(body)
    response["ETag"] = etag
    response["Cache-Control"] = "private, no-cache"
    return get_conditional_response(request, etag=etag, response=response)


@content.get(
    "/{kind}",
    response={200: PageOut, **ERRORS},
    summary="Published texts in a language, oldest change first",
    auth=callers(Scope.READ_CONTENT),
)
def list_content(request: ApiRequest, kind: str, wanted: Query[ListIn]) -> PageOut:
    entry = _kind(kind)
    units = showable().filter(
        content_type=content_type_of(entry),
        language=_language(wanted.lang),
        field__in=entry.fields,
    )
    if since := wanted.updated_since:
        units = units.filter(updated_at__gte=since)
    if wanted.cursor:
        at, key = _read_cursor(wanted.cursor)
        units = units.filter(Q(updated_at=at, pk__gt=key) | Q(updated_at__gt=at))
        units = units.filter(updated_at__gte=at)  # for the index
    page = list(units.order_by("updated_at", "pk")[: wanted.limit + 1])
    more = len(page) > wanted.limit
    page = page[: wanted.limit]
    return PageOut(
        items=list(_fields(entry, page)),
        next=_cursor(page[-1]) if more else None,
    )


@content.put(
    "/{kind}/{path:external_id}",
    response={
        200: WrittenOut,
        201: WrittenOut,
        **ERRORS,
        **dict.fromkeys((413, 415), TroubleOut),
    },
    summary="Create a row of content, or change what is given of it",
    auth=callers(Scope.SUBMIT),
)
def write_content(
    request: ApiRequest, kind: str, external_id: str, body: Body[dict[str, Any]]
) -> Status[WrittenOut]:
    entry = _kind(kind)
    if not entry.importer:
        raise BadRequest(f"{entry.kind} cannot be written from outside.")
    importer = get_importer(entry.importer)
    if body.get("id", external_id) != external_id:
        raise BadRequest(f"The body's id is {body['id']!r}, the address's is another.")
    try:
        row = importer.row.model_validate_json(
            json.dumps({**body, "id": external_id}), strict=True
        )
    except ValidationError as err:
        raise BadRequest(_in_words(err)) from err
    with transaction.atomic():
        stored = importer.store([(1, row)])
        if stored.bad:
            raise BadRequest(_bad_in_words(stored.bad[0]))
        result: Literal["created", "updated", "unchanged"] = "unchanged"
        if stored.created or stored.updated:
            result = "created" if stored.created else "updated"
            audit(
                "content.write",
                actor=request.auth.actor,
                target=f"{entry.kind} {external_id}",
                message=result,
            )
    written = WrittenOut(
        kind=entry.kind,
        id=external_id,
        result=result,
        ignored=sorted((row.model_extra or {}).keys()),
    )
    return Status(201 if stored.created else 200, written)


@reports.get(
    "/coverage",
    response={200: CoverageOut, **ERRORS},
    summary="How far content is translated, by group and language",
    openapi_extra={"responses": {200: {"content": {"text/plain": {}}}}},
    auth=callers(Scope.READ),
)
def read_coverage(
    request: ApiRequest, wanted: Query[CoverageIn]
) -> CoverageOut | HttpResponse:
    languages = [_language(wanted.lang)] if wanted.lang else []
    entries = [_kind(wanted.kind)] if wanted.kind else all_registered().values()
    lines = told_coverage(entries, languages, now=timezone.now()).lines
    if wanted.format == "text":
        return HttpResponse(as_text(lines), content_type="text/plain; charset=utf-8")
    return CoverageOut.model_validate({"lines": [as_dict(line) for line in lines]})


# --- inside -------------------------------------------------------------------------


def _kind(kind: str) -> Registered:
    entry = find_kind(kind.lower())
    if entry is None:
        known = ", ".join(one.kind for one in all_registered().values())
        raise NotFound(f"There is no content {kind[:60]!r}; there is {known}.")
    return entry


def _language(text: str) -> str:
    tag = TAGS.get(text.lower(), text)
    if not is_known(tag):
        raise BadRequest(
            f"{text[:60]!r} is no language tag we know; write it as in en, ar or pt-BR."
        )
    return tag


def _fields(entry: Registered, page: Iterable[Translation]) -> Iterator[FieldOut]:
    page = list(page)
    keys = {unit.object_id for unit in page}
    sources = {str(row.pk): row for row in source_rows(entry, keys)}
    names = entry.external_ids(keys)
    for unit in page:
        source = sources.get(unit.object_id)
        if source is None:  # the row is gone
            continue
        yield FieldOut(
            kind=entry.kind,
            id=names[unit.object_id],
            field=unit.field,
            **_shown(unit, current_hash(entry, source, unit.field)),
        )


def _shown(unit: Translation, current: str) -> dict[str, Any]:
    version = unit.published
    assert version is not None  # noqa: S101 (what `showable` gives)
    is_changed = version.source_hash != current
    is_minor = unit.is_changed_slightly and version.source_hash == unit.minor_from
    return {
        "text": version.text,
        "format": unit.format,
        "language": unit.language,
        "direction": unit.direction,
        "version": version.number,
        "stale": is_changed and not is_minor,
        "stale_minor": is_changed and is_minor,
        "updated_at": unit.updated_at,
    }


def _cursor(unit: Translation) -> str:
    text = f"{unit.updated_at.isoformat()}|{unit.pk}"
    return base64.urlsafe_b64encode(text.encode()).decode()


def _read_cursor(cursor: str) -> tuple[datetime, int]:
    try:
        text = base64.urlsafe_b64decode(cursor.encode()).decode()
        at, _, key = text.partition("|")
        # Such as were never given: keys and moments that no database takes.
        if not 0 < int(key) <= BIGGEST_KEY or "+" not in at:
            raise ValueError(text)
        return datetime.fromisoformat(at).astimezone(UTC), int(key)
    except (binascii.Error, UnicodeError, ValueError, OverflowError) as err:
        raise BadRequest(
            "cursor is none that was given here: leave it out to begin anew."
        ) from err


def _in_words(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    where = ".".join(map(str, first["loc"])) or "body"
    return f"{where}: {str(first['msg']).removeprefix('Value error, ').rstrip('.')}."


def _bad_in_words(bad: BadRow) -> str:
    return f"{bad.field}: {bad.value or 'nothing'} – {bad.problem}"
