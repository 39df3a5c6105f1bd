"""Webhooks in the admin: secrets, addresses that are refused, and sending again."""

import pytest
from django.contrib.auth.models import Group
from django.urls import reverse
from django.utils import timezone

from batches.admin.display import list_url, row_url
from batches.models import AuditEntry, WebhookDelivery, WebhookEndpoint
from batches.services.webhooks import create_endpoint

pytestmark = pytest.mark.django_db

ADD = reverse("admin:batches_webhookendpoint_add")
GIVEN = {"name": "site", "kinds": ["run.failed"], "is_active": "on"}


@pytest.fixture
def endpoint():
    made = WebhookEndpoint(name="site", url="https://example.org/", kinds=[])
    create_endpoint(made, by="amina")
    return made


@pytest.fixture
def delivery(endpoint):
    return WebhookDelivery.objects.create(
        endpoint=endpoint,
        message_id="msg_1",
        kind="run.failed",
        body='{"data": "<script>"}',
        tries=10,
        last_error="answered with 503",
    )


def test_the_secret_is_shown_once(admin_client, settings):
    settings.WEBHOOK_ALLOW_PRIVATE = True

    made = admin_client.post(ADD, {**GIVEN, "url": "http://127.0.0.1/"}, follow=True)

    endpoint = WebhookEndpoint.objects.get()
    assert endpoint.secret in made.content.decode()
    for url in (list_url(WebhookEndpoint), row_url(WebhookEndpoint, endpoint.pk)):
        assert endpoint.secret not in admin_client.get(url).content.decode()
    entry = AuditEntry.objects.get(action="webhook.create")
    assert entry.actor == "admin" and endpoint.secret not in str(entry.after)


def test_an_inner_address_is_refused_with_the_reason(admin_client):
    answer = admin_client.post(ADD, {**GIVEN, "url": "https://127.0.0.1/"})

    assert "inside a network of its own" in answer.content.decode()
    assert not WebhookEndpoint.objects.exists()


def test_a_change_is_audited_and_keeps_the_secret(admin_client, endpoint, settings):
    settings.WEBHOOK_ALLOW_PRIVATE = True
    change = {**GIVEN, "url": "http://127.0.0.1/new"}

    admin_client.post(row_url(WebhookEndpoint, endpoint.pk), change)

    changed = WebhookEndpoint.objects.get()
    assert (changed.url, changed.kinds) == ("http://127.0.0.1/new", ["run.failed"])
    assert changed.secret == endpoint.secret
    entry = AuditEntry.objects.get(action="webhook.change")
    assert entry.before["url"] == "https://example.org/"


@pytest.mark.parametrize(
    ("action", "made"),
    [("test_selected", "webhook.test"), ("new_secrets", "webhook.secret")],
)
def test_actions_of_the_list(admin_client, endpoint, action, made):
    data = {"action": action, "_selected_action": [endpoint.pk]}

    admin_client.post(list_url(WebhookEndpoint), data)

    assert AuditEntry.objects.filter(action=made, target="site").count() == 1
    was_changed = WebhookEndpoint.objects.get().secret != endpoint.secret
    assert was_changed is (action == "new_secrets")


def test_what_was_given_up_is_shown_and_sent_again(admin_client, page, delivery):
    for url in (list_url(WebhookDelivery), row_url(WebhookDelivery, delivery.pk)):
        html = page(url)
        assert "given up" in html and "<script>" not in html
    data = {"action": "send_again", "_selected_action": [delivery.pk]}
    asked = admin_client.post(list_url(WebhookDelivery), data, follow=True)

    admin_client.post(asked.request["PATH_INFO"])

    delivery.refresh_from_db()
    assert delivery.next_at <= timezone.now() and delivery.tries == 0


@pytest.mark.parametrize(
    ("group", "sees", "adds"),
    [("operator", 200, 200), ("auditor", 200, 403), ("editor", 403, 403)],
)
def test_who_may_see_and_make_them(client, django_user_model, group, sees, adds):
    user = django_user_model.objects.create_user("amina", is_staff=True)
    user.groups.add(Group.objects.get(name=group))
    client.force_login(user)

    assert client.get(list_url(WebhookEndpoint)).status_code == sees
    assert client.get(ADD).status_code == adds
