"""Holds and alerts in the admin: seen at once, raised, lifted and acknowledged."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.urls import reverse
from django.utils import timezone

from batches.admin.display import list_url, row_url
from batches.models import Alert, AuditEntry, BatchJob, Hold, Run
from batches.services.alerts import raise_alert
from batches.services.bundling import bundle
from batches.services.holds import report_account_trouble
from batches.services.scopes import hold_work
from batches.services.submission import submit_jobs
from batches.states import HoldScope, JobStatus, Severity
from tests.admin.test_acts import act, choose, told
from tests.factories import make_collected_run
from tests.factories import make_job as make_real_job

pytestmark = pytest.mark.django_db

ADD = "/admin/batches/hold/add/"


def hold(scope=HoldScope.ALL, key="", reason="The glossary is wrong."):
    return hold_work(scope, key=key, reason=reason, by="amina")


@pytest.fixture
def operator(client, django_user_model):
    user = django_user_model.objects.create_user("omar", is_staff=True)
    user.groups.add(Group.objects.get(name="operator"))
    client.force_login(user)
    return client


# --- what cannot be overlooked --------------------------------------------------------

PLACES = ["/admin/", "/admin/batches/run/", "/admin/batches/batchjob/"]


@pytest.mark.parametrize("url", PLACES)
def test_without_a_hold_or_an_alert_there_is_no_banner(page, url):
    Alert.objects.create(code="job_late", message="It is late.")  # a mere warning

    assert 'class="notices"' not in page(url)


@pytest.mark.parametrize("url", PLACES)
def test_a_hold_stands_over_the_lists_with_its_reason_and_a_link(page, url):
    made = hold(HoldScope.PROVIDER, "openai", "<b>No money</b>")

    html = page(url)

    assert "On hold: Provider openai" in html
    assert "&lt;b&gt;No money&lt;/b&gt;" in html
    assert f'href="{row_url(Hold, made.pk)}"' in html


@pytest.mark.parametrize("url", PLACES)
def test_a_critical_alert_stands_there_until_it_is_acknowledged(page, url):
    raise_alert("job_very_late", "Job 4 is late.", severity=Severity.CRITICAL)

    assert "Job 4 is late." in page(url)
    Alert.objects.update(acknowledged_at=timezone.now())
    assert "Job 4 is late." not in page(url)


def test_account_trouble_is_told_once_though_it_is_a_hold_and_an_alert(page):
    report_account_trouble("openai", "The account is empty.")

    html = page("/admin/")

    assert html.count("The account is empty.") == 1
    assert "platform.openai.com/settings/organization/billing" in html


def test_of_many_the_first_are_shown_and_a_link_to_the_rest(page):
    for number in range(5):
        hold(HoldScope.ACCOUNT, f"school {number}")

    html = page("/admin/")

    assert html.count("On hold: Account school") == 3
    assert "and 2 more" in html


def test_who_may_not_see_holds_is_shown_none(client, django_user_model):
    hold()
    user = django_user_model.objects.create_user("sahra", is_staff=True)
    client.force_login(user)

    assert "On hold" not in client.get("/admin/").content.decode()


# --- holds ----------------------------------------------------------------------------


def test_an_empty_list_is_a_list(page):
    assert "0 holds" in page(list_url(Hold))
    assert "0 alerts" in page(list_url(Alert))


def test_the_list_shows_those_in_force_first(page):
    first = hold(HoldScope.WORKLOAD, "captions")
    second = hold(HoldScope.WORKLOAD, "translation")
    Hold.objects.filter(pk=second.pk).update(lifted_at=timezone.now())

    html = page(list_url(Hold))
    in_force = page(list_url(Hold, state="open"))

    assert html.index(row_url(Hold, first.pk)) < html.index(row_url(Hold, second.pk))
    assert row_url(Hold, first.pk) in in_force
    assert row_url(Hold, second.pk) not in in_force
    assert row_url(Hold, second.pk) in page(list_url(Hold, state="closed"))


def test_a_hold_is_raised_by_hand_and_audited(operator):
    make_collected_run(items=2)

    answer = operator.post(
        ADD, {"scope": "workload", "key": "captions", "message": "A bad prompt."}
    )

    assert answer.status_code == 302
    made = Hold.objects.get()
    assert (made.scope, made.key, made.message, made.raised_by, made.code) == (
        "workload",
        "captions",
        "A bad prompt.",
        "omar",
        "by_hand",
    )
    assert AuditEntry.objects.get(action="hold.raise").actor == "omar"
    assert bundle() == []


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"scope": "all", "key": "x", "message": "why"}, "Leave this empty"),
        ({"scope": "provider", "key": "", "message": "why"}, "Say which one"),
        ({"scope": "provider", "key": "acme", "message": "why"}, "openai, sandbox"),
        ({"scope": "workload", "key": "acme", "message": "why"}, "captions"),
        ({"scope": "all", "key": "", "message": ""}, "This field is required"),
        ({"scope": "account", "key": "taken", "message": "why"}, "by hand already"),
    ],
)
def test_a_hold_that_makes_no_sense_is_refused_in_words(admin_client, given, words):
    hold(HoldScope.ACCOUNT, "taken")

    html = admin_client.post(ADD, given).content.decode()

    assert words in html
    assert Hold.objects.count() == 1


def test_lifting_asks_first_and_says_what_would_go_out(operator):
    make_collected_run(items=3)
    made = hold()

    asked = choose(operator, Hold, "lift", made)
    html = operator.get(asked.url).content.decode()

    assert "3 items, at most $" in html
    assert "The glossary is wrong." in html
    assert Hold.objects.active().exists()
    assert told(operator.post(asked.url)) == ["Lifted: 1 of 1 hold."]
    made.refresh_from_db()
    assert made.lifted_by == "omar"
    assert len(bundle()) == 1


def test_lifting_twice_says_so(admin_client):
    made = hold()
    act(admin_client, Hold, "lift", made)

    said = act(admin_client, Hold, "lift", made)

    assert said[0] == "Lifted: 0 of 1 hold."
    assert "was lifted before" in said[1]


def test_the_page_of_a_hold_tells_all_and_offers_to_lift_it(page):
    report_account_trouble("openai", "The account is empty.")
    made = Hold.objects.get()

    html = page(row_url(Hold, made.pk))

    assert "Account trouble" in html
    assert "The account is empty." in html
    assert "Next probe" in html
    assert 'value="lift"' in html
    Hold.objects.update(lifted_at=timezone.now(), lifted_by="amina")
    assert "Lifted by" in page(row_url(Hold, made.pk))


@pytest.mark.parametrize("url", [ADD, list_url(Hold), list_url(Alert)])
def test_holds_and_alerts_need_permission(client, django_user_model, url):
    made = hold()
    user = django_user_model.objects.create_user("sahra", is_staff=True)
    client.force_login(user)

    assert client.get(url).status_code == 403
    assert client.get(row_url(Hold, made.pk)).status_code == 403


def test_an_auditor_sees_holds_and_changes_none(client, django_user_model):
    made, alert = hold(), Alert.objects.create(code="x", message="y")
    user = django_user_model.objects.create_user("aud", is_staff=True)
    user.groups.add(Group.objects.get(name="auditor"))
    client.force_login(user)

    choose(client, Hold, "lift", made)
    choose(client, Alert, "acknowledge_chosen", alert)

    assert client.get(row_url(Hold, made.pk)).status_code == 200
    assert 'value="lift"' not in client.get(row_url(Hold, made.pk)).content.decode()
    assert client.get(ADD).status_code == 403
    assert Hold.objects.active().count() == Alert.objects.open().count() == 1


@pytest.mark.parametrize("url", [ADD, "hold", "list"])
def test_pages_of_holds_have_no_inline_script_or_style(page, url):
    made = hold()
    urls = {"hold": row_url(Hold, made.pk), "list": list_url(Hold)}

    html = page(urls.get(url, url))

    assert "style=" not in html
    assert " onclick=" not in html
    assert "<script>" not in html


# --- alerts ---------------------------------------------------------------------------


def test_alerts_are_acknowledged_many_at_once(operator):
    for number in range(3):
        raise_alert("job_late", f"Job {number} is late.", key=str(number))

    answer = choose(operator, Alert, "acknowledge_chosen", *Alert.objects.all())

    assert told(answer) == ["Acknowledged: 3 of 3 alerts."]
    assert set(Alert.objects.values_list("acknowledged_by", flat=True)) == {"omar"}
    assert AuditEntry.objects.filter(action="alert.acknowledge").count() == 3


def test_open_alerts_come_first_with_what_they_are_about(page, make_job):
    job = make_job()
    raise_alert("job_late", "It is late.", key="1", job=job)
    raise_alert("file_not_visible", "Gone.", key="2")
    Alert.objects.filter(key="2").update(acknowledged_at=timezone.now())

    html = page(list_url(Alert))

    assert html.index("Late job") < html.index("File not visible")
    assert row_url(BatchJob, job.pk) in html
    assert "Late job" not in page(list_url(Alert, state="closed"))


def test_the_page_of_an_alert_offers_to_acknowledge_it(page, operator):
    raise_alert("job_late", "It is late.")
    alert = Alert.objects.get()

    assert 'value="acknowledge_chosen"' in page(row_url(Alert, alert.pk))
    choose(operator, Alert, "acknowledge_chosen", alert)
    assert "Acknowledged by" in page(row_url(Alert, alert.pk))


def test_the_desk_counts_open_alerts(page):
    raise_alert("job_late", "It is late.")

    html = page("/admin/")

    assert ">1</a>" in html.split("<dt>Open alerts</dt>")[1].split("</dd>")[0]


# --- abandoning -----------------------------------------------------------------------


def test_a_late_job_is_abandoned_after_its_effect_was_shown(operator, sandbox):
    job = make_real_job(2, status=JobStatus.IN_PROGRESS)
    late = timezone.now() - timedelta(hours=30)
    BatchJob.objects.update(validating_at=late, in_progress_at=late)

    asked = choose(operator, BatchJob, "abandon", job)
    html = operator.get(asked.url).content.decode()
    answer = operator.post(asked.url)

    assert "2 items, at most $" in html
    assert "may be spent without a result" in html
    assert told(answer) == ["Cancelled or abandoned: 1 of 1 job."]
    job.refresh_from_db()
    assert (job.status, job.items_failed) == (JobStatus.FAILED, 2)
    assert AuditEntry.objects.get(action="job.abandon").actor == "omar"


def test_a_job_in_time_is_not_offered_to_be_abandoned(page, make_job):
    job = make_job(validating_at=timezone.now())

    html = page(row_url(BatchJob, job.pk))

    button = html.split('value="abandon"')[1].split(">")[0]
    assert "hidden" in button


def test_what_a_run_waits_for_names_the_hold(page):
    run = make_collected_run(items=2)
    hold(reason="Somali proofreaders are away.")
    bundle()

    assert "Somali proofreaders are away." in page(row_url(Run, run.pk))
    assert reverse("admin:batches_hold_changelist") in page("/admin/")


def test_what_a_hold_covers_is_recalled_from_its_page(admin_client, sandbox):
    sandbox.faults(never_ending=True)
    job = make_real_job(2)
    submit_jobs(now=timezone.now())
    hold = hold_work(HoldScope.WORKLOAD, key="captions", reason="wrong", by="amina")

    asked = choose(admin_client, Hold, "recall", hold)
    question = admin_client.get(asked.url).content.decode()
    assert "2 items at the provider are called back; at most $" in question
    assert act(admin_client, Hold, "recall", hold) == ["Recalled: 1 of 1 hold."]

    job.refresh_from_db()
    assert job.intent == "recall"
