"""/api/admin/batch-monitoring, what can be changed: S4.14, S4.35, S4.68."""

import pytest

from batches.models import (
    AuditEntry,
    ConfigOverride,
)
from tests.api.monitoring import MONITORING, read

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.usefixtures("nobody_has_asked_yet"),
]


# --- settings -------------------------------------------------------------------------


def settings_of(data) -> dict:
    return {one["name"]: one for one in data["settings"]}


def test_settings_are_changed_and_given_back(program, settings):
    settings.BATCH_MAX_REQUESTS = 1000
    body = {"settings": {"BATCH_MAX_REQUESTS": 500}}

    changed = program.put(f"{MONITORING}/config", body).json()["data"]

    one = settings_of(changed)["BATCH_MAX_REQUESTS"]
    assert (one["value"], one["source"]) == (500, "override")
    assert one["changedBy"].startswith("key:")
    entry = AuditEntry.objects.get(action="override:set")
    assert (entry.before, entry.after) == (None, {"value": 500})
    program.put(f"{MONITORING}/config", {"settings": {"BATCH_MAX_REQUESTS": None}})
    one = settings_of(read(program, path="/config"))["BATCH_MAX_REQUESTS"]
    assert (one["value"], one["source"], one["changedBy"]) == (
        1000,
        "environment",
        None,
    )


@pytest.mark.parametrize(
    ("wanted", "part"),
    [
        ({"BATCH_MAX_REQUESTS": 0}, "BATCH_MAX_REQUESTS is '0': it must be"),
        ({"BATCH_MAX_REQUESTS": 5, "STAGING": "yes"}, "STAGING is 'yes'"),
        ({"SECRET_KEY": "x"}, "SECRET_KEY is no setting that can be overridden"),
        ({}, "settings is {}"),
    ],
)
def test_a_wrong_setting_changes_nothing(program, wanted, part):
    answer = program.put(f"{MONITORING}/config", {"settings": wanted})

    assert answer.status_code == 400
    assert part in answer.json()["error"]
    assert not ConfigOverride.objects.exists()


def test_only_an_admin_key_changes_settings(with_key):
    body = {"settings": {"STAGING": True}}

    assert with_key("operate").put(f"{MONITORING}/config", body).status_code == 403


# --- alerts ---------------------------------------------------------------------------


def test_thresholds_are_those_of_the_document_until_changed(program):
    data = read(program, path="/alerts")

    assert data == {
        "errorRateThreshold": 10.0,
        "processingTimeThreshold": 3_600_000,
        "throughputThreshold": 0.5,
        "batchFailureThreshold": 1,
        "notificationChannels": ["email", "log"],
        "alertSuppression": {
            "highErrorRate": 60,
            "longProcessingTime": 60,
            "lowThroughput": 1440,
            "batchFailure": 0,
        },
        "open": [],
    }


def test_thresholds_channels_and_suppression_are_changed(program):
    body = {
        "errorRateThreshold": 5.5,
        "processingTimeThreshold": 1_800_000,
        "notificationChannels": ["log"],
        "alertSuppression": {"highErrorRate": 15},
    }

    data = program.post(f"{MONITORING}/alerts", body).json()["data"]

    assert data["errorRateThreshold"] == 5.5
    assert data["processingTimeThreshold"] == 1_800_000
    assert data["notificationChannels"] == ["log"]
    assert data["alertSuppression"]["highErrorRate"] == 15
    assert data["alertSuppression"]["lowThroughput"] == 1440
    assert data["throughputThreshold"] == 0.5
    assert ConfigOverride.objects.get(pk="ALERT_PROCESSING_SECONDS").value == 1800
    assert AuditEntry.objects.filter(action="override:set").count() == 4


@pytest.mark.parametrize(
    ("body", "part"),
    [
        ({"errorRateThreshold": 101}, "errorRateThreshold is 101"),
        ({"processingTimeThreshold": 10}, "processingTimeThreshold is 10"),
        ({"notificationChannels": ["pager"]}, "notificationChannels.0 is 'pager'"),
        ({"alertSuppression": {"highErrorRate": -1}}, "highErrorRate is -1"),
        ({"alertSuppression": {"noise": 1}}, "alertSuppression.noise is no field"),
    ],
)
def test_a_threshold_that_cannot_be_is_refused(program, body, part):
    answer = program.post(f"{MONITORING}/alerts", body)

    assert (answer.status_code, answer.json()["success"]) == (400, False)
    assert part in answer.json()["error"]
    assert not ConfigOverride.objects.exists()
