"""Reading figures, steering jobs, and changing settings; fixed names before ids."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.http import HttpResponseBase
from django.utils import timezone
from ninja import Query, Router

from batches import config
from batches.api.auth import ApiRequest, Circle, callers
from batches.api.batch_jobs.acts import Target, find_target
from batches.api.batch_jobs.shapes import shown
from batches.api.batch_monitoring.access import ADMIN, READ, MonitoringRate, note_access
from batches.api.batch_monitoring.export import export
from batches.api.batch_monitoring.limits import LimitsOut, shown_limits
from batches.api.batch_monitoring.schemas import (
    ACTS,
    BODY,
    ERRORS,
    DashboardIn,
    DashboardOut,
    Done,
    ErrorsOut,
    ExportIn,
    JobTypesOut,
    MonitoredJobsOut,
    PriorityIn,
    RangeIn,
    RetriedOut,
    SettingOut,
    SettingsIn,
    SettingsOut,
    SizesOut,
    SlowIn,
    SlowJobsOut,
    SpanIn,
    SteeredJobOut,
)
from batches.api.batch_monitoring.shapes import (
    shown_dashboard,
    shown_errors,
    shown_job_types,
    shown_sizes,
    shown_slow_jobs,
)
from batches.models import Run
from batches.models.api_key import Scope
from batches.monitoring.limits import limits_now
from batches.monitoring.outlook import in_words
from batches.services import scopes
from batches.services.overrides import override_settings, shown_settings
from batches.services.requeue import retry_job, retry_run
from batches.states import Priority

router = Router(
    by_alias=True, tags=["batch-monitoring"], throttle=MonitoringRate("60/m")
)
OPERATE: dict[str, Any] = {
    "auth": callers(Scope.OPERATE, Circle.STAFF),
    "response": {200: Done[SteeredJobOut], **ACTS},
}


@router.get(
    "",
    response={200: Done[DashboardOut], **ERRORS},
    summary="Figures of the last hours or days, with a page of jobs",
    **READ,
)
def batch_monitoring(
    request: ApiRequest, wanted: Query[DashboardIn]
) -> Done[DashboardOut]:
    note_access(request)
    return Done(data=shown_dashboard(wanted, now=timezone.now()))


@router.get(
    "/errors",
    response={200: Done[ErrorsOut], **ERRORS},
    summary="Why requests failed, by kind, with the jobs",
    **READ,
)
def monitored_errors(request: ApiRequest, wanted: Query[RangeIn]) -> Done[ErrorsOut]:
    note_access(request)
    return Done(data=shown_errors(wanted, now=timezone.now()))


@router.get(
    "/slow-jobs",
    response={200: Done[SlowJobsOut], **ERRORS},
    summary="The five slowest jobs above a threshold, and sums by type",
    **READ,
)
def monitored_slow_jobs(
    request: ApiRequest, wanted: Query[SlowIn]
) -> Done[SlowJobsOut]:
    note_access(request)
    longer_than = timedelta(seconds=config.get("ALERT_PROCESSING_SECONDS"))
    if wanted.threshold_ms is not None:
        longer_than = timedelta(milliseconds=wanted.threshold_ms)
    return Done(
        data=shown_slow_jobs(wanted, longer_than=longer_than, now=timezone.now())
    )


@router.get(
    "/batch-sizes",
    response={200: Done[SizesOut], **ERRORS},
    summary="Time and success of finished jobs, by ranges of 50 requests",
    **READ,
)
def monitored_batch_sizes(
    request: ApiRequest, wanted: Query[RangeIn]
) -> Done[SizesOut]:
    note_access(request)
    return Done(data=shown_sizes(wanted, now=timezone.now()))


@router.get(
    "/job-types",
    response={200: Done[JobTypesOut], **ERRORS},
    summary="How many jobs and requests of each kind of work succeeded and failed",
    **READ,
)
def monitored_job_types(
    request: ApiRequest, wanted: Query[SpanIn]
) -> Done[JobTypesOut]:
    note_access(request)
    return Done(data=shown_job_types(wanted, now=timezone.now()))


@router.get(
    "/limits",
    response={200: Done[LimitsOut], **ERRORS},
    summary="How much may go out, and how much does: slots, sizes, queues, providers",
    **READ,
)
def monitored_limits(request: ApiRequest) -> Done[LimitsOut]:
    note_access(request)
    return Done(data=shown_limits(limits_now(timezone.now())))


@router.get(
    "/export",
    response={200: Done[MonitoredJobsOut], **ERRORS},
    summary="All jobs of a range as CSV (the default) or JSON",
    openapi_extra={"responses": {200: {"content": {"text/csv": {}}}}},
    **READ,
)
def monitored_export(request: ApiRequest, wanted: Query[ExportIn]) -> HttpResponseBase:
    note_access(request)
    return export(wanted, now=timezone.now())


@router.get(
    "/config",
    response={200: Done[SettingsOut], **ERRORS},
    summary="Settings that can be changed, where each comes from and who changed it",
    **READ,
)
def monitored_config(request: ApiRequest) -> Done[SettingsOut]:
    note_access(request)
    return _settings()


@router.put(
    "/config",
    response={200: Done[SettingsOut], **ERRORS, **BODY},
    summary="Override settings, or take overrides back with null",
    **ADMIN,
)
def change_config(request: ApiRequest, wanted: SettingsIn) -> Done[SettingsOut]:
    override_settings(
        wanted.settings,
        by=request.auth.actor,
    )
    return _settings()


def _settings() -> Done[SettingsOut]:
    return Done(
        data=SettingsOut(
            settings=[
                SettingOut(
                    name=one.name,
                    value=one.value,
                    expected=one.expected,
                    source="override" if one.override else "environment",
                    changed_by=one.changed_by,
                    changed_at=one.changed_at,
                )
                for one in shown_settings()
            ]
        )
    )


# --- one job, or all the jobs of a run ------------------------------------------------


@router.post(
    "/{uuid:public_id}/retry",
    summary="Send failed requests of a job or a run out again",
    auth=callers(Scope.OPERATE, Circle.STAFF),
    response={200: Done[RetriedOut], **ACTS},
)
def retry_monitored(request: ApiRequest, public_id: UUID) -> Done[RetriedOut]:
    target = find_target(public_id)
    actor = request.auth.actor
    if isinstance(target, Run):
        found = retry_run(target, by=actor)
    else:
        found = retry_job(target, by=actor)
    again = "request goes" if found.requeued == 1 else "requests go"
    return Done(
        data=RetriedOut(
            id=public_id,
            retried_count=found.requeued,
            skipped_count=found.skipped,
            message=f"{found.requeued} {again} out again in a new job.",
        )
    )


@router.post(
    "/{uuid:public_id}/pause",
    summary="Hold what is not sent; what was sent goes on",
    **OPERATE,
)
def pause_monitored(request: ApiRequest, public_id: UUID) -> Done[SteeredJobOut]:
    return _steered(request, "pause", find_target(public_id))


@router.post("/{uuid:public_id}/resume", summary="Let go what was held", **OPERATE)
def resume_monitored(request: ApiRequest, public_id: UUID) -> Done[SteeredJobOut]:
    return _steered(request, "resume", find_target(public_id))


@router.post(
    "/{uuid:public_id}/cancel", summary="Cancel what is not finished", **OPERATE
)
def cancel_monitored(request: ApiRequest, public_id: UUID) -> Done[SteeredJobOut]:
    return _steered(request, "cancel", find_target(public_id))


@router.post(
    "/{uuid:public_id}/priority",
    summary="Reorder what of a run is in no job yet",
    auth=callers(Scope.OPERATE, Circle.STAFF),
    response={200: Done[SteeredJobOut], **ACTS, **BODY},
)
def prioritise_monitored(
    request: ApiRequest, public_id: UUID, wanted: PriorityIn
) -> Done[SteeredJobOut]:
    priority = Priority[wanted.priority.upper()]
    return _steered(request, "priority", find_target(public_id), priority)


def _steered(
    request: ApiRequest,
    verb: scopes.Verb,
    target: Target,
    priority: Priority = Priority.NORMAL,
) -> Done[SteeredJobOut]:
    found = scopes.foresee(verb, target)
    scopes.steer(verb, target, by=request.auth.actor, priority=priority)
    now = shown(target)
    return Done(
        data=SteeredJobOut(id=now.id, status=now.status, message=in_words(verb, found))
    )
