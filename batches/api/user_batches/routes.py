"""Reading and cancelling; asking for work is mounted beside it by its content app."""

from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.http import HttpResponseBase
from django.views.decorators.http import conditional_page
from ninja import Query, Router
from ninja.decorators import decorate_view

from batches.api.auth import ApiRequest, Circle, callers
from batches.api.batch_jobs.acts import cancel
from batches.api.batch_jobs.schemas import ERRORS
from batches.api.user_batches.metrics import metrics_of
from batches.api.user_batches.schemas import (
    CANCELLING,
    NO_SUCH_JOB,
    STREAMED,
    UNCHANGED,
    CancelledOut,
    EventsIn,
    MetricsIn,
    MetricsOut,
    ResultsIn,
    UserEventsOut,
    UserJobDetailOut,
    UserJobsIn,
    UserJobsOut,
    UserStatsOut,
)
from batches.api.user_batches.shapes import (
    find_run,
    plain_status,
    shown_detail,
    shown_events,
    shown_list,
    stats_of,
)
from batches.api.user_batches.stream import (
    TYPE,
    last_event,
    stream_events,
    wants_stream,
)
from batches.models.api_key import Scope

router = Router(by_alias=True, tags=["user-batches"])
READ: dict[str, Any] = {"auth": callers(Scope.READ, Circle.USERS)}


def owner_of(request: ApiRequest) -> User:
    user = request.auth.user
    assert user is not None  # noqa: S101 (Circle.USERS lets nobody else in)
    return user


@router.get(
    "", response={200: UserJobsOut, **ERRORS}, summary="Your jobs, newest first", **READ
)
def list_user_jobs(request: ApiRequest, page: Query[UserJobsIn]) -> UserJobsOut:
    return shown_list(owner_of(request), limit=page.limit, offset=page.offset)


@router.get(
    "/stats",
    response={200: UserStatsOut, **ERRORS},
    summary="Your jobs by status, and what of them waits",
    **READ,
)
def user_stats(request: ApiRequest) -> UserStatsOut:
    return stats_of(owner_of(request))


@router.get(
    "/metrics",
    response={200: MetricsOut, **ERRORS},
    summary="What your jobs cost and asked for in a period",
    **READ,
)
def user_metrics(request: ApiRequest, period: Query[MetricsIn]) -> MetricsOut:
    return metrics_of(owner_of(request), period)


@router.get(
    "/{uuid:job_id}",
    response={200: UserJobDetailOut, **UNCHANGED, **NO_SUCH_JOB},
    summary="How a job of yours stands, and what came of it",
    **READ,
)
@decorate_view(conditional_page)
def user_job(
    request: ApiRequest, job_id: UUID, page: Query[ResultsIn]
) -> UserJobDetailOut:
    return shown_detail(
        find_run(owner_of(request), job_id),
        after=page.after,
        limit=page.limit,
        with_content=Scope.READ_CONTENT in request.auth.scopes,
    )


@router.get(
    "/{uuid:job_id}/events",
    response={200: UserEventsOut, **UNCHANGED, **NO_SUCH_JOB, **STREAMED},
    summary="What happened to a job of yours, oldest first; on an ASGI server as it "
    "happens, where text/event-stream is asked for",
    openapi_extra={"responses": {200: {"content": {TYPE: {}}}}},
    **READ,
)
@decorate_view(conditional_page)
def user_job_events(
    request: ApiRequest, job_id: UUID, page: Query[EventsIn]
) -> UserEventsOut | HttpResponseBase:
    owner = owner_of(request)
    run = find_run(owner, job_id)
    if wants_stream(request):
        after = last_event(request, page.after)
        return stream_events(run, owner=owner.pk, after=after)
    return shown_events(run, after=page.after, limit=page.limit)


@router.delete(
    "/{uuid:job_id}",
    response={200: CancelledOut, **CANCELLING},
    summary="Cancel a job of yours; its record stays",
    auth=callers(Scope.OPERATE, Circle.USERS),
)
def cancel_user_job(request: ApiRequest, job_id: UUID) -> CancelledOut:
    run = find_run(owner_of(request), job_id)
    message = cancel(run, by=request.auth.actor)
    run.refresh_from_db()
    return CancelledOut(job_id=run.public_id, status=plain_status(run), message=message)
