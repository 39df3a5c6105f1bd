"""/api/admin/batch-monitoring, who may ask and how often: S4.72-S4.74."""

from datetime import UTC, datetime

import pytest
from django.db import connection

from batches.models import (
    AuditEntry,
)
from batches.states import AuditOutcome
from tests.api.monitoring import MONITORING, read

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.usefixtures("nobody_has_asked_yet"),
]


def test_users_who_are_not_staff_are_turned_away_by_name(signed_in, anonymous):
    assert anonymous.get(MONITORING).status_code == 401
    answer = signed_in(is_staff=False).get(MONITORING)
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


def test_a_look_is_in_the_audit_log(signed_in):
    signed_in(name="hodan").get(f"{MONITORING}?timeRange=7d")

    entry = AuditEntry.objects.get(action="batch_monitoring_access")
    assert (entry.actor, entry.outcome) == ("hodan", AuditOutcome.SUCCESS)
    assert entry.message == "Admin accessed batch monitoring dashboard"
    assert entry.target == f"{MONITORING}?timeRange=7d"
    assert entry.address == "127.0.0.1"


def test_sixty_looks_a_minute_and_then_a_wait(with_key, make_user, monkeypatch):
    from ninja.throttling import SimpleRateThrottle

    now = datetime(2026, 3, 1, tzinfo=UTC).timestamp()
    monkeypatch.setattr(SimpleRateThrottle, "timer", staticmethod(lambda: now))
    caller = with_key("read", owner=make_user("hodan"))
    for _ in range(60):
        assert caller.get(f"{MONITORING}/config").status_code == 200

    refused = caller.get(MONITORING)

    assert refused.status_code == 429
    assert refused.json()["success"] is False
    assert refused.json()["code"] == "too_many_requests"
    assert 0 < int(refused["Retry-After"]) <= 60
    assert AuditEntry.objects.filter(outcome=AuditOutcome.RATE_LIMITED).count() == 1
    other = with_key("read", "submit", owner=make_user("amina"))
    assert other.get(f"{MONITORING}/config").status_code == 200
    now += 61
    monkeypatch.setattr(SimpleRateThrottle, "timer", staticmethod(lambda: now))
    assert caller.get(f"{MONITORING}/config").status_code == 200


def test_the_limit_is_counted_in_the_database(program):
    read(program, path="/config")

    with connection.cursor() as cursor:
        cursor.execute("SELECT cache_key FROM batchsite_cache")
        (key,) = cursor.fetchone()
    assert "admin-batch-monitoring:key:program" in key
