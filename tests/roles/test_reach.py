"""How far groups reach through the API: by session, and by keys that people own."""

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from batches.models.api_key import Scope
from batches.services.api_keys import create_api_key
from batches.services.roles import scopes_of

JOBS = "/api/admin/batch-jobs"
CHECK = f"{JOBS}/check-all-status"
READ = {Scope.READ, Scope.READ_CONTENT}


@pytest.fixture
def member(db):
    def make(*groups, **given):
        user = User.objects.create_user("amina", is_staff=True, **given)
        user.groups.set(Group.objects.filter(name__in=groups))
        return user

    return make


@pytest.mark.parametrize(
    ("groups", "scopes"),
    [
        ([], set(Scope)),
        (["editor"], READ),
        (["editor", "reviewer", "auditor"], READ),
        (["auditor", "operator"], set(Scope)),
    ],
)
def test_groups_add_up(member, groups, scopes):
    assert scopes_of(member(*groups)) == scopes


def test_a_group_of_ones_own_changes_nothing(member):
    Group.objects.create(name="cooks")

    assert scopes_of(member("cooks", "auditor")) == READ


def test_a_superuser_reaches_everything_whatever_the_groups(member):
    assert scopes_of(member("auditor", is_superuser=True)) == set(Scope)


def test_a_session_is_told_what_it_lacks_and_who_can_help(member):
    client = Client()
    client.force_login(member("auditor"))

    refused = client.post(CHECK)

    assert refused.status_code == 403
    assert refused.json()["code"] == "missing_scope"
    for word in ("scope operate", "read, read:content", "administrator", "operator"):
        assert word in refused.json()["error"]


@pytest.mark.parametrize(("group", "status"), [("auditor", 403), ("operator", 200)])
def test_a_key_opens_no_more_than_its_owner_may(member, group, status):
    _, text = create_api_key("robot", ["admin"], by="test", owner=member(group))
    client = Client(headers={"X-API-Key": text})

    assert client.get(JOBS).status_code == 200
    assert client.post(CHECK).status_code == status


def test_an_operators_key_opens_no_more_than_its_scopes(member):
    _, text = create_api_key("robot", ["read"], by="test", owner=member("operator"))

    assert Client(headers={"X-API-Key": text}).post(CHECK).status_code == 403


def test_what_is_ones_own_is_for_auditors_too(member):
    client = Client()
    client.force_login(member("auditor"))
    order = {"words": ["dulqaad"], "features": {"smart_summary": True}}

    answer = client.post("/api/v1/ai/batch", order, content_type="application/json")

    assert answer.status_code == 202, answer.json()
