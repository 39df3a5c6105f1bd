"""Settings are overridden by those with the right, checked, and written to the log."""

import pytest
from django.contrib.auth.models import Permission
from django.urls import reverse

from batches import config
from batches.admin.display import list_url, row_url
from batches.models import AuditEntry, ConfigOverride

pytestmark = pytest.mark.django_db

ADD = "/admin/batches/configoverride/add/"


def errors_of(response):
    assert response.status_code == 200
    return response.context["adminform"].form.errors


@pytest.mark.parametrize(
    ("name", "typed", "value"),
    [
        ("BATCH_MIN_SIZE", "25", 25),
        ("STAGING", "true", True),
        ("OPENAI_MODEL", "gpt-4.1-mini", "gpt-4.1-mini"),
        ("OPENAI_MODEL", '"gpt-4.1-mini"', "gpt-4.1-mini"),
        ("TRANSLATION_LANGUAGES", "en, ar", ["en", "ar"]),
        ("TRANSLATION_LANGUAGES", '["so"]', ["so"]),
        ("TRANSLATION_PUBLISH", "clean", "clean"),
        ("BATCH_MAX_JOBS_PER_WORKLOAD", "*=2, books=5", {"*": 2, "books": 5}),
        ("TOKEN_QUEUE_LIMITS", '{"gpt-4.1": 900000}', {"gpt-4.1": 900_000}),
    ],
)
def test_a_setting_is_overridden_and_logged(admin_client, name, typed, value):
    response = admin_client.post(ADD, {"name": name, "value": typed})

    assert response.status_code == 302
    assert config.get(name) == value
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.actor, entry.target) == ("override:set", "admin", name)
    assert (entry.before, entry.after) == (None, {"value": value})
    assert entry.address == "127.0.0.1"
    assert ConfigOverride.objects.get().changed_by == "admin"


@pytest.mark.parametrize(
    ("name", "typed", "expected"),
    [
        ("BATCH_MIN_SIZE", "0", "a whole number from 1 to 50000"),
        ("BATCH_MIN_SIZE", "ten", "a whole number from 1 to 50000"),
        ("BATCH_MIN_SIZE", "1.5", "a whole number from 1 to 50000"),
        ("STAGING", "1", "true or false"),
        ("TRANSLATION_PUBLISH", "everything", "one of review, clean, all"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_with_what_would(
    admin_client, name, typed, expected
):
    response = admin_client.post(ADD, {"name": name, "value": typed})

    assert expected in errors_of(response)["value"][0]
    assert not ConfigOverride.objects.exists()
    assert not AuditEntry.objects.exists()


@pytest.mark.parametrize("name", ["SECRET_KEY", "OPENAI_API_KEY", "", "batch_min_size"])
def test_a_name_that_is_no_setting_is_refused(admin_client, name):
    response = admin_client.post(ADD, {"name": name, "value": "1"})

    assert "name" in errors_of(response)
    assert not ConfigOverride.objects.exists()


def test_a_change_is_logged_with_before_and_after(admin_client):
    row = ConfigOverride.objects.create(name="BATCH_MIN_SIZE", value=20)

    admin_client.post(row_url(ConfigOverride, row.pk), {"value": "30"})

    assert config.get("BATCH_MIN_SIZE") == 30
    entry = AuditEntry.objects.get()
    assert (entry.before, entry.after) == ({"value": 20}, {"value": 30})


def test_another_name_cannot_be_slipped_in_by_a_change(admin_client):
    row = ConfigOverride.objects.create(name="BATCH_MIN_SIZE", value=20)

    admin_client.post(
        row_url(ConfigOverride, row.pk), {"name": "LEASE_SECONDS", "value": "30"}
    )

    assert list(ConfigOverride.objects.values_list("name", "value")) == [
        ("BATCH_MIN_SIZE", 30)
    ]


def test_saving_without_a_change_logs_nothing(admin_client):
    row = ConfigOverride.objects.create(
        name="TRANSLATION_LANGUAGES", value=["en", "ar"]
    )

    admin_client.post(row_url(ConfigOverride, row.pk), {"value": "en, ar"})

    assert not AuditEntry.objects.exists()


def test_a_deletion_is_logged(admin_client):
    row = ConfigOverride.objects.create(name="BATCH_MIN_SIZE", value=20)

    admin_client.post(
        reverse("admin:batches_configoverride_delete", args=[row.pk]), {"post": "yes"}
    )

    assert not ConfigOverride.objects.exists()
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.before, entry.after) == (
        "override:delete",
        {"value": 20},
        None,
    )


def test_deleting_several_logs_each(admin_client):
    for name in ("BATCH_MIN_SIZE", "LEASE_SECONDS"):
        ConfigOverride.objects.create(name=name, value=20)

    admin_client.post(
        list_url(ConfigOverride),
        {
            "action": "delete_selected",
            "_selected_action": ["BATCH_MIN_SIZE", "LEASE_SECONDS"],
            "post": "yes",
        },
    )

    targets = AuditEntry.objects.order_by("target").values_list("target", flat=True)
    assert list(targets) == ["BATCH_MIN_SIZE", "LEASE_SECONDS"]


def test_a_row_whose_setting_is_gone_can_be_seen_and_deleted(admin_client, page):
    row = ConfigOverride.objects.create(name="OLD_SETTING", value=1)

    assert "OLD_SETTING" in page(row_url(ConfigOverride, row.pk))
    response = admin_client.post(row_url(ConfigOverride, row.pk), {"value": "2"})
    assert "no setting that can be overridden" in errors_of(response)["value"][0]


def test_the_form_lists_what_each_setting_takes(page):
    html = page(ADD)

    assert "a whole number from 1 to 50000" in html
    assert "Without an override" in html


def test_only_those_with_the_right_change_settings(client, django_user_model):
    row = ConfigOverride.objects.create(name="BATCH_MIN_SIZE", value=20)
    staff = django_user_model.objects.create_user("sahra", is_staff=True)
    staff.user_permissions.add(Permission.objects.get(codename="view_configoverride"))
    client.force_login(staff)

    assert client.get(row_url(ConfigOverride, row.pk)).status_code == 200
    assert client.get(list_url(ConfigOverride)).status_code == 200
    changed = client.post(row_url(ConfigOverride, row.pk), {"value": "30"})
    added = client.post(ADD, {"name": "STAGING", "value": "true"})
    assert (changed.status_code, added.status_code) == (403, 403)
    assert config.get("BATCH_MIN_SIZE") == 20
