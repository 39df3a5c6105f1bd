"""Every row that the admin changes is in the audit log, whoever saves it."""

from datetime import timedelta
from html.parser import HTMLParser

import pytest
import time_machine
from django.contrib import admin
from django.contrib.auth.models import Group, Permission
from django.db import transaction
from django.test import RequestFactory
from django.urls import reverse
from django.utils import timezone
from django_q.models import Failure, OrmQ, Schedule, Success

from batches.admin import form_changes
from batches.admin.base import ReadOnlyAdmin
from batches.models import AuditEntry, WebhookEndpoint
from batches.services.webhooks import create_endpoint
from tests.gallery.models import Photo, Sketch
from translations.lessons.models import Course, Lesson, Module
from translations.models import DigestChoice

pytestmark = pytest.mark.django_db

# A service saves and deletes these, and writes the entry: their own tests show it.
BY_SERVICE = {
    "batches.cap": "test_caps.py",
    "batches.configoverride": "test_overrides.py",
    "batches.goldencase": "test_golden.py",
    "batches.hold": "test_holds.py",
    "batches.price": "test_prices.py",
    "batches.promptversion": "test_prompts.py",
    "batches.runtemplate": "test_run_templates.py",
    "translations.glossaryterm": "test_glossary.py",
    "translations_files.requestfile": "test_admin.py",
}
# Rows of the queue of background jobs, which hold pickled calls.
QUEUE = {OrmQ, Success, Failure}
SECRET = "pbkdf2-of-somebody"


class Fields(HTMLParser):
    """What a browser would send for the admin's form as it stands."""

    def __init__(self, html):
        super().__init__()
        self.data, self._select, self._area = {}, None, None
        self.feed(html.partition('id="content-main"')[2])

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        name = given.get("name")
        if tag == "input" and name and given.get("type") not in ("submit", "button"):
            boxed = given.get("type") in ("checkbox", "radio")
            if not boxed or "checked" in given:
                self._add(name, given.get("value", "on" if boxed else ""))
        elif tag == "textarea":
            self._area = name
            self._add(name, "")
        elif tag == "select":
            self._select = name
        elif tag == "option" and self._select and "selected" in given:
            self._add(self._select, given.get("value", ""))

    def handle_endtag(self, tag):
        if tag == "textarea":
            self._area = None
        elif tag == "select":
            self._select = None

    def handle_data(self, text):
        if self._area:
            self.data[self._area][-1] += text.removeprefix("\n")

    def _add(self, name, value):
        self.data.setdefault(name, []).append(value)


def form_of(client, url):
    data = Fields(client.get(url).content.decode()).data
    return {name: values for name, values in data.items() if name[0] != "_"}


def address(row, verb):
    name = f"admin:{row._meta.app_label}_{row._meta.model_name}_{verb}"
    return reverse(name, args=[row.pk] if row.pk and verb != "add" else [])


@pytest.fixture
def rows(make_lesson, question, django_user_model):
    """One row of each model that the admin saves or deletes by itself."""
    lesson = make_lesson()
    endpoint = WebhookEndpoint(name="site", url="https://example.org/", kinds=[])
    create_endpoint(endpoint, by="amina")
    made = [
        django_user_model.objects.create_user("bilan", password=SECRET),
        Group.objects.create(name="night shift"),
        Schedule.objects.create(name="mine", func="math.sqrt"),
        Course.objects.create(external_id="c2", title="Caafimaad"),
        Module.objects.create(course=lesson.course, title="Bilow"),
        lesson,
        question.quiz,
        question,
        DigestChoice.objects.create(
            editor=django_user_model.objects.create_user("cawo"), is_on=True
        ),
        Photo.objects.create(title="Badda"),
        Sketch.objects.create(slug="buur", title="Buur"),
        endpoint,
    ]
    AuditEntry._base_manager.all().delete()
    return {type(row): row for row in made}


def may(model_admin, verb, user):
    request = RequestFactory().get("/")
    request.user = user
    return getattr(model_admin, f"has_{verb}_permission")(request)


def writable(admin_user):
    return {
        model: model_admin
        for model, model_admin in admin.site._registry.items()
        if not isinstance(model_admin, ReadOnlyAdmin)
        and model not in QUEUE
        and any(may(model_admin, verb, admin_user) for verb in ("change", "delete"))
    }


def test_each_model_that_can_be_changed_is_watched_or_has_a_service(rows, admin_user):
    labels = {model._meta.label_lower for model in writable(admin_user)}

    assert labels - {model._meta.label_lower for model in rows} <= set(BY_SERVICE)


def test_every_deletion_in_the_admin_leaves_an_entry_with_what_was(
    rows, admin_client, admin_user
):
    for model, model_admin in writable(admin_user).items():
        if model not in rows or not may(model_admin, "delete", admin_user):
            continue
        row, key = rows[model], rows[model].pk
        with transaction.atomic():
            answer = admin_client.post(address(row, "delete"), {"post": "yes"})
            action = f"{model._meta.model_name}.delete"
            entry = AuditEntry.objects.filter(action=action, actor="admin").first()
            transaction.set_rollback(True)  # the next row may hang on this one

        assert answer.status_code == 302, model
        assert entry, f"deleting a {model._meta.model_name} left no entry"
        assert entry.before[model._meta.pk.attname] == str_or_int(key)
        assert entry.after is None
        assert entry.address == "127.0.0.1"


def str_or_int(key):
    return key if isinstance(key, int) else str(key)


@pytest.mark.parametrize(
    ("model", "field", "value"),
    [
        (Group, "name", "day shift"),
        (Schedule, "name", "yours"),
        (Course, "title", "Caafimaadka"),
        (Module, "title", "Dhammaad"),
        (Lesson, "title", "Hurdo"),
        (Photo, "title", "Webiga"),
        (Sketch, "title", "Taag"),
    ],
)
def test_a_change_names_the_field_before_and_after(
    rows, admin_client, model, field, value
):
    row = rows[model]
    data = form_of(admin_client, address(row, "change"))
    was = data[field][0]

    answer = admin_client.post(address(row, "change"), {**data, field: value})

    assert answer.status_code == 302, answer.context["errors"]
    entry = AuditEntry.objects.get(action=f"{model._meta.model_name}.change")
    assert entry.actor == "admin"
    assert (entry.before[field], entry.after[field]) == (was, value)


def test_saving_a_form_as_it_is_leaves_no_entry(rows, admin_client):
    row = rows[Lesson]
    data = form_of(admin_client, address(row, "change"))

    with time_machine.travel(timezone.now() + timedelta(minutes=1)):
        assert admin_client.post(address(row, "change"), data).status_code == 302

    assert not AuditEntry.objects.exists()


def test_a_new_row_is_an_entry(admin_client):
    admin_client.post(reverse("admin:auth_group_add"), {"name": "night shift"})

    entry = AuditEntry.objects.get()
    assert (entry.action, entry.before) == ("group.create", None)
    assert entry.after["name"] == "night shift"


def test_who_gives_rights_is_known_and_no_password_is_told(
    rows, admin_client, django_user_model
):
    user = rows[django_user_model]
    data = form_of(admin_client, address(user, "change"))
    right = Permission.objects.get(codename="view_run")
    group = rows[Group]

    answer = admin_client.post(
        address(user, "change"),
        {
            **data,
            "is_superuser": "on",
            "user_permissions": [right.pk],
            "groups": [group.pk],
        },
    )

    assert answer.status_code == 302, answer.context["errors"]
    changed, *related = AuditEntry.objects.filter(action="user.change").order_by("pk")
    assert (changed.before, changed.after) == (
        {"is_superuser": False},
        {"is_superuser": True},
    )
    assert {"groups": {"added": ["night shift"]}} in [one.after for one in related]
    assert any("user_permissions" in one.after for one in related)


@pytest.mark.parametrize("whose", ["own", "another"])
def test_a_new_password_is_an_entry_and_not_in_it(
    rows, admin_client, admin_user, django_user_model, whose
):
    new = {"password1": SECRET * 2, "password2": SECRET * 2}
    url = reverse("admin:auth_user_password_change", args=[rows[django_user_model].pk])
    if whose == "own":
        url = reverse("admin:password_change")
        new = {"old_password": "password"}
        new |= {"new_password1": SECRET * 2, "new_password2": SECRET * 2}

    assert admin_client.post(url, new).status_code == 302

    entry = AuditEntry.objects.get(action="user.change")
    assert entry.after == {"password": form_changes.HIDDEN}
    assert SECRET not in str(AuditEntry.objects.values())


def test_many_deleted_at_once_are_many_entries_up_to_a_bound(admin_client, monkeypatch):
    monkeypatch.setattr(form_changes, "MOST_ENTRIES", 3)
    groups = [Group.objects.create(name=f"group {number}") for number in range(6)]

    admin_client.post(
        reverse("admin:auth_group_changelist"),
        {
            "action": "delete_selected",
            "_selected_action": [group.pk for group in groups],
            "post": "yes",
        },
    )

    assert not Group.objects.filter(name__startswith="group ").exists()
    messages = AuditEntry.objects.order_by("pk").values_list("message", flat=True)
    assert list(messages) == ["", "", "", messages[3]]
    assert "the others have no entry each" in messages[3]


def test_an_action_without_a_service_is_an_entry_too(make_lesson, admin_client):
    url = reverse("admin:translations_translation_review_mail")

    admin_client.post(url, {"is_on": "on", "mail_language": "en"})

    entry = AuditEntry.objects.get()
    assert entry.action == "admin.translations_translation_review_mail"
    assert entry.target == f"POST {url}"


def test_outside_of_the_admin_nothing_is_watched(make_lesson):
    lesson = make_lesson()
    lesson.title = "Hurdo"
    lesson.save()
    lesson.delete()

    assert not AuditEntry.objects.exists()
