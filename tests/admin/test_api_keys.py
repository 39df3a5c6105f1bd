import pytest
from django.urls import reverse

from batches.models import ApiKey, AuditEntry
from batches.services.api_keys import create_api_key

pytestmark = pytest.mark.django_db
LIST = "admin:batches_apikey_changelist"


@pytest.fixture
def key_and_secret():
    return create_api_key("robot", ["read", "submit"], by="test")


def test_a_key_is_shown_without_its_secret(admin_client, key_and_secret):
    key, secret = key_and_secret
    pages = [
        reverse(LIST),
        reverse("admin:batches_apikey_change", args=[key.pk]),
    ]

    for page in pages:
        html = admin_client.get(page).content.decode()
        assert "robot" in html
        assert "read, submit" in html
        assert secret.partition(".")[2] not in html
        assert key.digest not in html


def test_a_key_is_revoked_once_and_by_name(admin_client, admin_user, key_and_secret):
    key, _ = key_and_secret
    chosen = {"action": "revoke_selected", "_selected_action": [key.pk]}

    for _ in range(2):
        admin_client.post(reverse(LIST), chosen)

    key.refresh_from_db()
    assert key.revoked_at is not None
    entry = AuditEntry.objects.get(action="api_key.revoke")
    assert (entry.actor, entry.target) == (admin_user.get_username(), "robot")


def test_who_may_only_look_cannot_revoke(client, django_user_model, key_and_secret):
    from django.contrib.auth.models import Permission

    key, _ = key_and_secret
    user = django_user_model.objects.create_user("amina", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_apikey"))
    client.force_login(user)
    chosen = {"action": "revoke_selected", "_selected_action": [key.pk]}

    client.post(reverse(LIST), chosen)

    assert ApiKey.objects.get().revoked_at is None
