"""Who may ask, how often, and that it is written down."""

import threading
from typing import Any

from django.http import HttpRequest
from ninja.throttling import SimpleRateThrottle

from batches.api.auth import ApiRequest, Caller, Circle, callers
from batches.models.api_key import Scope
from batches.services.events import DASHBOARD_LOOK, MONITORING_ACCESS, audit
from batches.states import AuditKind

READ: dict[str, Any] = {"auth": callers(Scope.READ, Circle.STAFF)}
ADMIN: dict[str, Any] = {"auth": callers(Scope.ADMIN, Circle.STAFF)}


def note_access(request: ApiRequest) -> None:
    """Every look is in the audit log."""
    audit(
        MONITORING_ACCESS,
        kind=AuditKind.PLATFORM_ADMIN,
        actor=request.auth.actor,
        target=request.get_full_path(),
        message=DASHBOARD_LOOK,
    )


# A thread keeps the state of its own call: ninja's objects are shared by all threads.
class MonitoringRate(threading.local, SimpleRateThrottle):
    """So often one user may ask, counted in the cache for all processes."""

    def get_cache_key(self, request: HttpRequest) -> str:
        caller: Caller = request.auth  # type: ignore[attr-defined]
        who = caller.user.pk if caller.user else caller.actor.replace(" ", "_")
        return f"admin-batch-monitoring:{who}"
