"""Run templates in the admin: kept from a run, priced, started once."""

import re

import pytest
from django.contrib.auth.models import Permission
from django.contrib.messages import get_messages
from django.urls import reverse
from django_q.models import Schedule

from batches.admin.display import list_url, row_url
from batches.models import AuditEntry, Run, RunTemplate
from batches.services.run_templates import save_template
from batches.states import RunStatus, Trigger
from tests.factories import make_paintings

pytestmark = pytest.mark.django_db

ADD = reverse("admin:batches_runtemplate_add")


@pytest.fixture
def template():
    made = RunTemplate(name="pictures", workload="captions", options={}, limit=50)
    return save_template(made, by="ada")


def start_url(template):
    return reverse("admin:batches_runtemplate_start", args=[template.pk])


def form(**changes):
    given = {
        "name": "mine",
        "workload": "captions",
        "options": "{}",
        "priority": "1",
        "canary": "on",
    }
    return {**given, **changes}


def told(response):
    return [str(message) for message in get_messages(response.wsgi_request)]


def test_a_runs_page_leads_to_a_template_of_it(page, make_run):
    run = make_run(
        RunStatus.COMPLETED,
        workload="captions",
        options={"kind": "photo"},
        limit=7,
        budget_nanos=2_500_000_000,
    )

    html = page(row_url(Run, run.public_id))
    (url,) = re.findall(rf'href="({ADD}\?run=\d+)"', html)
    html = page(url)

    assert 'value="7"' in html
    assert 'value="2.5"' in html
    assert "photo" in html
    assert '<option value="captions" selected>' in html


def test_a_template_is_kept_scheduled_and_removed_with_its_audit(admin_client):
    response = admin_client.post(ADD, form(dollars="1.5", cron="0 3 * * 1"))
    assert response.status_code == 302
    template = RunTemplate.objects.get()
    assert template.owner.username == template.changed_by == "admin"
    assert template.budget_nanos == 1_500_000_000
    assert Schedule.objects.filter(cron="0 3 * * 1").count() == 1

    admin_client.post(
        reverse("admin:batches_runtemplate_delete", args=[template.pk]), {"post": "yes"}
    )

    assert not RunTemplate.objects.exists()
    assert not Schedule.objects.filter(cron="0 3 * * 1").exists()
    actions = AuditEntry.objects.order_by("pk").values_list("action", flat=True)
    assert list(actions) == ["template.add", "template.remove"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"options": '{"kind": "statue"}'}, "captions: kind &#x27;statue&#x27;"),
        ({"options": "{"}, "Enter a valid JSON"),
        ({"cron": "often"}, "give a cron line of five fields"),
        ({"limit": "0"}, "The limit is 0"),
        ({"dollars": "0"}, "more than 0 dollars"),
        ({"workload": "x"}, "Select a valid choice"),
    ],
)
def test_what_could_not_start_is_refused_in_the_form(admin_client, changes, words):
    response = admin_client.post(ADD, form(**changes))

    assert words in response.content.decode()
    assert not RunTemplate.objects.exists()


def test_the_price_stands_before_the_button_and_one_page_is_one_run(
    admin_client, page, template
):
    make_paintings("one", "two")
    html = page(start_url(template))
    facts = dict(re.findall(r"<dt>([^<]+)</dt><dd><bdi>([^<]+)</bdi>", html))
    assert facts["Requests (items)"] == "2"
    assert re.fullmatch(r"\$0\.0\d+ \(sandbox\)", facts["Worst case, reserved"])
    assert not Run.objects.exists()
    key = re.search(r'name="form_key" value="([^"]+)"', html)[1]

    first = admin_client.post(start_url(template), {"form_key": key})
    second = admin_client.post(start_url(template), {"form_key": key})

    run = Run.objects.get()
    assert first.url == second.url == row_url(Run, run.public_id)
    assert (run.trigger, run.owner.username) == (Trigger.ADMIN, "admin")
    assert (run.limit, run.items_collected) == (50, 2)
    assert "started from this page already" in told(second)[-1]
    entry = AuditEntry.objects.get(action="run.start")
    assert entry.after["runtemplate"] == "pictures"
    assert str(run) in page(row_url(RunTemplate, template.pk))


def test_where_nothing_is_to_do_there_is_no_button(page, template):
    html = page(start_url(template))

    assert "There is nothing to do" in html
    assert "Start the run" not in html


def test_a_price_that_is_missing_is_told(page, template):
    RunTemplate.objects.update(options={"model": "house-model"})

    html = page(start_url(template))

    assert "house-model" in html
    assert "Start the run" not in html


def test_who_may_see_may_not_start(client, django_user_model, template):
    user = django_user_model.objects.create_user("eve", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_runtemplate"))
    client.force_login(user)

    assert client.get(start_url(template)).status_code == 403
    assert client.post(start_url(template), {"form_key": "x"}).status_code == 403
    html = client.get(row_url(RunTemplate, template.pk)).content.decode()
    assert "Start a run…" not in html
    assert client.get(list_url(RunTemplate)).status_code == 200
    assert not Run.objects.exists()


def test_a_template_that_is_not_there_is_not_found(admin_client):
    url = reverse("admin:batches_runtemplate_start", args=[99])

    assert admin_client.get(url).status_code == 404
