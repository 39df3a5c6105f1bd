"""The groups that come with the project."""

import pytest
from django.contrib.auth.models import Group, Permission
from django.core.management import call_command

from batches.admin import groups
from batches.admin.display import list_url
from batches.models import AuditEntry, BatchJob, ConfigOverride, Run
from translations.lessons.models import Lesson
from translations.models import Translation

pytestmark = pytest.mark.django_db


@pytest.fixture
def member(client, django_user_model):
    """A client of somebody who is in one group."""

    def make(name):
        user = django_user_model.objects.create_user(name, is_staff=True)
        user.groups.add(Group.objects.get(name=name))
        client.force_login(user)
        return client, user

    return make


def test_there_are_four():
    assert set(Group.objects.values_list("name", flat=True)) == {
        "auditor",
        "editor",
        "operator",
        "reviewer",
    }


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        ("editor", {Lesson, Translation}),
        ("reviewer", {Lesson, Translation}),
        ("operator", {Lesson, Translation, Run, BatchJob, ConfigOverride}),
        (
            "auditor",
            {Lesson, Translation, Run, BatchJob, ConfigOverride, AuditEntry},
        ),
    ],
)
def test_each_sees_its_part(member, name, seen):
    client, _ = member(name)
    models = [Lesson, Translation, Run, BatchJob, ConfigOverride, AuditEntry]

    allowed = {m for m in models if client.get(list_url(m)).status_code == 200}

    assert allowed == seen


@pytest.mark.parametrize(
    ("name", "permission", "expected"),
    [
        ("editor", "translations_lessons.change_lesson", True),
        ("editor", "translations.change_translation", False),
        ("editor", "batches.cancel_run", False),
        ("reviewer", "translations_lessons.add_quizquestion", True),
        ("reviewer", "translations.change_translation", True),
        ("operator", "translations.translate_content", True),
        ("operator", "translations_lessons.change_lesson", False),
        ("operator", "batches.change_configoverride", True),
        ("auditor", "batches.view_itemattempt", True),
        ("auditor", "auth.view_user", True),
        ("auditor", "batches.change_configoverride", False),
    ],
)
def test_each_may_do_its_part(member, name, permission, expected):
    assert member(name)[1].has_perm(permission) == expected


def test_operators_have_every_steering_permission(member):
    _, user = member("operator")
    own = [*Run._meta.permissions, *BatchJob._meta.permissions]

    assert len(own) == 15
    assert user.has_perms([f"batches.{codename}" for codename, _name in own])


def test_auditors_change_nothing():
    auditor = Group.objects.get(name="auditor")

    codenames = auditor.permissions.values_list("codename", flat=True)

    assert {name for name in codenames if not name.startswith("view_")} == set()


def test_every_permission_that_is_shipped_is_there():
    known = {
        f"{app}.{codename}"
        for app, codename in Permission.objects.values_list(
            "content_type__app_label", "codename"
        )
    }

    for permissions in groups.shipped().values():
        assert permissions <= known


def test_what_an_administrator_changed_stays_changed():
    operator = Group.objects.get(name="operator")
    taken = Permission.objects.get(codename="cancel_run")
    operator.permissions.remove(taken)

    call_command("migrate", verbosity=0)

    assert taken not in operator.permissions.all()


def test_a_new_version_gives_groups_what_it_brings():
    Permission.objects.get(codename="retry_job").delete()  # as if it were not yet known

    call_command("migrate", verbosity=0)

    operator = Group.objects.get(name="operator")
    assert operator.permissions.filter(codename="retry_job").exists()
