"""Reading and steering; what creates work is mounted beside it by its content app."""

from typing import Any
from uuid import UUID

from ninja import Query, Router

from batches.api.auth import ApiRequest, LacksScope, callers
from batches.api.batch_jobs import acts
from batches.api.batch_jobs.schemas import (
    ACTS,
    ERRORS,
    NO_SUCH_ID,
    STEERING,
    ActedOut,
    AllCheckedOut,
    DetailIn,
    DetailOut,
    JobOut,
    PageIn,
    StatsRowOut,
)
from batches.api.batch_jobs.shapes import shown, shown_items, shown_jobs, stats
from batches.models import BatchJob
from batches.models.api_key import Scope

router = Router(by_alias=True, tags=["batch-jobs"])
READ: dict[str, Any] = {"auth": callers(Scope.READ)}
OPERATE: dict[str, Any] = {"auth": callers(Scope.OPERATE)}


@router.get(
    "", response={200: list[JobOut], **ERRORS}, summary="Jobs, newest first", **READ
)
def list_jobs(request: ApiRequest, page: Query[PageIn]) -> list[JobOut]:
    jobs = BatchJob.objects.newest_first()
    return shown_jobs(jobs[page.offset : page.offset + page.limit])


@router.get(
    "/stats",
    response={200: list[StatsRowOut], **ERRORS},
    summary="Jobs and requests by status and type",
    **READ,
)
def job_stats(request: ApiRequest) -> list[StatsRowOut]:
    return stats()


@router.post(
    "/check-all-status",
    response={200: AllCheckedOut, **ERRORS, **ACTS},
    summary="Ask the provider about every job that it has",
    **OPERATE,
)
def check_all_status(request: ApiRequest) -> AllCheckedOut:
    jobs, message = acts.check_all(by=request.auth.actor)
    keys = [job.pk for job in jobs]
    return AllCheckedOut(
        jobs=shown_jobs(BatchJob.objects.filter(pk__in=keys).order_by("pk")),
        message=message,
    )


@router.get(
    "/{uuid:public_id}",
    response={200: DetailOut, **ERRORS, **NO_SUCH_ID},
    summary="A job or a run, with its first 100 items",
    **READ,
)
def job_detail(
    request: ApiRequest, public_id: UUID, detail: Query[DetailIn]
) -> DetailOut:
    if detail.content and Scope.READ_CONTENT not in request.auth.scopes:
        raise LacksScope("Requests and responses need the scope read:content.")
    target = acts.find_target(public_id)
    return DetailOut(
        job=shown(target), items=shown_items(target, with_content=detail.content)
    )


@router.post(
    "/{uuid:public_id}/check-status",
    response={200: ActedOut, **ERRORS, **STEERING},
    summary="Ask the provider how it stands",
    **OPERATE,
)
def check_status(request: ApiRequest, public_id: UUID) -> ActedOut:
    target = acts.find_target(public_id)
    message = acts.check(target, by=request.auth.actor)
    return ActedOut(job=shown(target), message=message)


@router.post(
    "/{uuid:public_id}/process-results",
    response={200: ActedOut, **ERRORS, **STEERING},
    summary="Read and apply the results; safe to repeat",
    **OPERATE,
)
def process_results(request: ApiRequest, public_id: UUID) -> ActedOut:
    target = acts.find_target(public_id)
    message = acts.process(target, by=request.auth.actor)
    return ActedOut(job=shown(target), message=message)


@router.post(
    "/{uuid:public_id}/cancel",
    response={200: ActedOut, **ERRORS, **STEERING},
    summary="Cancel what is not finished",
    **OPERATE,
)
def cancel(request: ApiRequest, public_id: UUID) -> ActedOut:
    target = acts.find_target(public_id)
    message = acts.cancel(target, by=request.auth.actor)
    return ActedOut(job=shown(target), message=message)
