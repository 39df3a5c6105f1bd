"""/api/admin/batch-monitoring/alerts: when to be told, how, and what is open."""

from datetime import datetime
from typing import Annotated, Any, Literal

from ninja import Router
from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel

from batches import config
from batches.api.auth import ApiRequest
from batches.api.batch_jobs.schemas import Camel
from batches.api.batch_monitoring.access import (
    ADMIN,
    READ,
    MonitoringRate,
    note_access,
)
from batches.api.batch_monitoring.schemas import BODY, ERRORS, Done
from batches.models import Alert
from batches.monitoring.thresholds import RULES
from batches.services.overrides import override_settings

router = Router(
    by_alias=True, tags=["batch-monitoring"], throttle=MonitoringRate("60/m")
)
MAX_OPEN = 100
MAX_MINUTES = 60 * 24 * 30

Minutes = Annotated[int, Field(strict=True, ge=0, le=MAX_MINUTES)]


class SuppressionIn(Camel):
    """Minutes in which an alert is not raised again after it was acknowledged."""

    model_config = ConfigDict(
        extra="forbid", alias_generator=to_camel, populate_by_name=True
    )

    high_error_rate: Minutes | None = None
    long_processing_time: Minutes | None = None
    low_throughput: Minutes | None = None
    batch_failure: Minutes | None = None


class AlertsIn(Camel):
    """What is not given stays as it is."""

    model_config = ConfigDict(
        extra="forbid", alias_generator=to_camel, populate_by_name=True
    )

    error_rate_threshold: Annotated[float, Field(ge=0, le=100)] | None = Field(
        default=None, description="percent of the requests of 24 hours"
    )
    processing_time_threshold: (
        Annotated[int, Field(strict=True, ge=1_000, le=14 * 86_400_000)] | None
    ) = Field(default=None, description="milliseconds; kept in whole seconds")
    throughput_threshold: Annotated[float, Field(ge=0, le=1_000)] | None = Field(
        default=None, description="jobs an hour, while work waits"
    )
    batch_failure_threshold: (
        Annotated[int, Field(strict=True, ge=1, le=1_000)] | None
    ) = Field(default=None, description="jobs of which nothing came back")
    notification_channels: list[Literal["email", "log"]] | None = Field(
        default=None, max_length=2
    )
    alert_suppression: SuppressionIn | None = None


class SuppressionOut(Camel):
    high_error_rate: int
    long_processing_time: int
    low_throughput: int
    batch_failure: int


class OpenAlertOut(Camel):
    code: str
    severity: str
    message: str
    times: int
    raised_at: datetime
    seen_at: datetime


class AlertsOut(Camel):
    """Thresholds as they hold now, and the alerts that nobody has acknowledged, oldest
    first, at most 100."""

    error_rate_threshold: float
    processing_time_threshold: int
    throughput_threshold: float
    batch_failure_threshold: int
    notification_channels: list[str]
    alert_suppression: SuppressionOut
    open: list[OpenAlertOut]


@router.get(
    "",
    response={200: Done[AlertsOut], **ERRORS},
    summary="Thresholds of alerts, and alerts that are open",
    **READ,
)
def monitored_alerts(request: ApiRequest) -> Done[AlertsOut]:
    note_access(request)
    return Done(data=_alerts())


@router.post(
    "",
    response={200: Done[AlertsOut], **ERRORS, **BODY},
    summary="Change thresholds, channels and suppression of alerts",
    **ADMIN,
)
def change_alerts(request: ApiRequest, wanted: AlertsIn) -> Done[AlertsOut]:
    override_settings(
        _as_settings(wanted),
        by=request.auth.actor,
    )
    return Done(data=_alerts())


def _as_settings(wanted: AlertsIn) -> dict[str, Any]:
    milliseconds = wanted.processing_time_threshold
    changes: dict[str, Any] = {
        "ALERT_ERROR_PERCENT": wanted.error_rate_threshold,
        "ALERT_PROCESSING_SECONDS": milliseconds and milliseconds // 1_000,
        "ALERT_JOBS_PER_HOUR": wanted.throughput_threshold,
        "ALERT_FAILED_JOBS": wanted.batch_failure_threshold,
        "ALERT_CHANNELS": wanted.notification_channels,
    }
    if wanted.alert_suppression is not None:
        given = wanted.alert_suppression.model_dump(exclude_none=True)
        changes["ALERT_SUPPRESSION_MINUTES"] = {
            **config.get("ALERT_SUPPRESSION_MINUTES"),
            **given,
        }
    return {name: value for name, value in changes.items() if value is not None}


def _alerts() -> AlertsOut:
    minutes = config.get("ALERT_SUPPRESSION_MINUTES")
    return AlertsOut(
        error_rate_threshold=config.get("ALERT_ERROR_PERCENT"),
        processing_time_threshold=1_000 * config.get("ALERT_PROCESSING_SECONDS"),
        throughput_threshold=config.get("ALERT_JOBS_PER_HOUR"),
        batch_failure_threshold=config.get("ALERT_FAILED_JOBS"),
        notification_channels=config.get("ALERT_CHANNELS"),
        alert_suppression=SuppressionOut(
            **{code: minutes.get(code, 0) for code in RULES}
        ),
        open=[
            OpenAlertOut(
                code=alert.code,
                severity=alert.severity,
                message=alert.message,
                times=alert.times,
                raised_at=alert.raised_at,
                seen_at=alert.seen_at,
            )
            for alert in Alert.objects.open()[:MAX_OPEN]
        ],
    )
