"""Runs and jobs steered from the admin: asked first, done once, reported."""

import pytest
from django.contrib.auth.models import Permission
from django.contrib.messages import get_messages
from django.utils import timezone

from batches.admin import acts
from batches.admin.display import list_url, row_url
from batches.admin.job_acts import ACTS as JOB_ACTS
from batches.admin.runs import ACTS as RUN_ACTS
from batches.models import AuditEntry, BatchItem, BatchJob, OpenItem, Run
from batches.services.bundling import bundle
from batches.states import ItemStatus, JobStatus, Priority, RunStatus
from tests.driving import work_off
from tests.factories import make_collected_run, make_paintings
from tests.factories import make_job as make_real_job

pytestmark = pytest.mark.django_db


def choose(client, model, name, *rows, **more):
    """Tick rows of a list and choose an act; returns the answer, a redirect."""
    keys = [row.pk for row in rows]
    data = {"action": name, "index": 0, "_selected_action": keys, **more}
    return client.post(list_url(model), data)


def act(client, model, name, *rows):
    """Choose, and confirm; returns what the person is told."""
    client.cookies.pop("messages", None)
    asked = choose(client, model, name, *rows)
    return told(client.post(asked.url))


def told(response):
    return [str(message) for message in get_messages(response.wsgi_request)]


@pytest.fixture
def allowed(client, django_user_model):
    """A client of somebody who has these permissions and no others."""

    def make(*codenames):
        user = django_user_model.objects.create_user("sahra", is_staff=True)
        user.user_permissions.set(
            Permission.objects.filter(
                codename__in=codenames, content_type__app_label="batches"
            )
        )
        client.force_login(user)
        return client

    return make


def test_the_question_names_the_rows_and_the_effect(admin_client, page):
    run = make_collected_run(items=3)

    asked = choose(admin_client, Run, "pause", run)
    html = page(asked.url)

    assert f"Pause: run {run.pk} (captions)" in html
    assert "3 items, at most $" in html
    assert "(sandbox)" in html
    assert row_url(Run, run.pk) in html
    run.refresh_from_db()
    assert run.paused_at is None


def test_a_run_is_paused_and_resumed_and_both_are_audited(admin_client, admin_user):
    run = make_collected_run(items=2)

    assert act(admin_client, Run, "pause", run) == ["Paused: 1 of 1 run."]
    assert bundle() == []
    assert act(admin_client, Run, "resume", run) == ["Resumed: 1 of 1 run."]
    assert len(bundle()) == 1

    acts_seen = AuditEntry.objects.order_by("pk").values_list("action", "actor")
    name = admin_user.get_username()
    assert list(acts_seen) == [("run.pause", name), ("run.resume", name)]


@pytest.mark.parametrize("priority", Priority)
def test_the_priority_of_several_runs_is_set(admin_client, priority):
    runs = [make_collected_run(items=1), make_collected_run(items=1)]

    act(admin_client, Run, f"priority_{priority.name.lower()}", *runs)

    assert set(Run.objects.values_list("priority", flat=True)) == {priority}
    assert set(OpenItem.objects.values_list("priority", flat=True)) == {priority}


def test_what_refuses_is_told_and_the_others_are_done(admin_client, make_run):
    open_run, done = make_collected_run(items=1), make_run(RunStatus.COMPLETED)

    said = act(admin_client, Run, "cancel", open_run, done)

    open_run.refresh_from_db()
    assert open_run.status == RunStatus.CANCELLED
    assert said == [
        "Cancelled: 1 of 2 runs.",
        f"Run {done.pk} is finished (Done); start a new one for more work.",
    ]


def test_of_many_reasons_the_first_are_told(admin_client, make_run):
    runs = [make_run(RunStatus.COMPLETED) for _ in range(8)]

    said = act(admin_client, Run, "pause", *runs)

    assert len(said) == 7
    assert said[-1] == "… and 3 more."


def test_a_second_click_finds_nothing_to_do(admin_client):
    run = make_collected_run(items=1)
    asked = choose(admin_client, Run, "pause", run)
    admin_client.post(asked.url)

    again = admin_client.post(asked.url)

    assert "This was done already" in told(again)[-1]
    assert AuditEntry.objects.count() == 1


def test_a_page_left_open_until_its_session_ended_changes_nothing(
    admin_client, admin_user
):
    run = make_collected_run(items=1)
    asked = choose(admin_client, Run, "cancel", run)
    admin_client.logout()

    to_login = admin_client.post(asked.url)
    admin_client.force_login(admin_user)
    after = admin_client.get(asked.url)

    assert to_login.url.startswith("/admin/login/?next=")
    assert after.url == list_url(Run)
    assert "the page has expired" in told(after)[0]
    run.refresh_from_db()
    assert run.cancelled_at is None


@pytest.mark.parametrize("name", ["no-such-act", "submit"])
def test_an_act_that_runs_do_not_have_is_not_found(admin_client, name):
    run = make_collected_run(items=1)
    token = choose(admin_client, Run, "pause", run).url.split("/")[-3]

    response = admin_client.get(f"{list_url(Run)}{name}/{token}/sure/")

    assert response.status_code == 404


def test_what_was_chosen_of_one_kind_is_not_of_another(admin_client):
    run = make_collected_run(items=1)
    token = choose(admin_client, Run, "cancel", run).url.split("/")[-3]

    response = admin_client.post(f"{list_url(BatchJob)}cancel/{token}/sure/")

    assert "the page has expired" in told(response)[0]


@pytest.mark.parametrize(
    ("model", "of_model", "steering"),
    [(Run, "view_run", RUN_ACTS), (BatchJob, "view_batchjob", JOB_ACTS)],
    ids=["run", "job"],
)
def test_each_act_has_a_permission_of_its_own(allowed, model, of_model, steering):
    names = {act.permission.removeprefix("batches.") for act in steering}
    job = make_real_job(items=1)
    row = job if model is BatchJob else job.shares.get().run
    client = allowed(of_model)
    user = client.get(list_url(model)).wsgi_request.user
    token = "x"  # not kept: refused before that is looked at

    for name in sorted(names):
        may = [act for act in steering if act.permission == f"batches.{name}"]
        for one in may:
            assert client.get(acts.act_url(model, one, token)).status_code == 403
        user.user_permissions.add(Permission.objects.get(codename=name))
        html = client.get(row_url(model, row.pk)).content.decode()
        assert all(f'value="{one.name}"' in html for one in may)
        for one in may:
            assert client.get(acts.act_url(model, one, token)).status_code == 302
        user.user_permissions.remove(Permission.objects.get(codename=name))

    assert (
        f'value="{steering[0].name}"'
        not in client.get(row_url(model, row.pk)).content.decode()
    )


def test_without_any_such_permission_the_list_offers_nothing(allowed):
    make_collected_run(items=1)

    html = allowed("view_run").get(list_url(Run)).content.decode()

    assert 'name="action"' not in html


def test_a_list_to_pick_a_row_from_offers_no_act(page):
    make_collected_run(items=1)

    assert 'name="action"' not in page(list_url(Run, _popup=1))


def test_buttons_that_make_no_sense_now_are_hidden(page, make_run):
    run = make_run()

    html = page(row_url(Run, run.pk))

    assert button(html, "pause").endswith('data-act="pause">')
    assert button(html, "resume").endswith('data-act="resume" hidden>')
    assert button(html, "retry").endswith(" hidden>")


def button(html, name):
    start = html.index(f'value="{name}" data-act')
    return html[start : html.index(">", start) + 1]


def test_a_button_leads_to_the_question_about_its_row(admin_client):
    run = make_collected_run(items=1)

    asked = choose(admin_client, Run, "cancel", run)
    after = admin_client.post(asked.url)

    assert after.url == row_url(Run, run.public_id)


def test_a_job_is_submitted_checked_and_processed(admin_client, sandbox):
    job = make_real_job(items=2)

    assert act(admin_client, BatchJob, "submit", job) == ["Submitted: 1 of 1 job."]
    job.refresh_from_db()
    assert job.provider_batch_id
    assert act(admin_client, BatchJob, "check_status", job)[0].startswith("Checked: 1")
    work_off()

    said = act(admin_client, BatchJob, "process_results", job)

    assert said[0] == "Processed: 0 of 1 job."
    assert f"Job {job.pk} is Done; this is for one that is Results ready." in said[1]


def test_a_job_that_was_not_sent_is_cancelled(admin_client):
    job = make_real_job(items=2)

    said = act(admin_client, BatchJob, "cancel", job)

    job.refresh_from_db()
    assert said == ["Cancelled: 1 of 1 job."]
    assert job.status == JobStatus.CANCELLED
    assert not OpenItem.objects.exists()


def test_a_provider_that_is_away_is_an_error_in_words(admin_client, settings, sandbox):
    settings.SANDBOX_URL = "http://127.0.0.1:9/v1"
    job = make_real_job(items=1, status=JobStatus.IN_PROGRESS)

    said = act(admin_client, BatchJob, "check_status", job)

    assert said[0] == "Checked: 0 of 1 job."
    assert "127.0.0.1:9" in said[1]


@pytest.mark.parametrize("model", [Run, BatchJob])
def test_failed_items_go_out_again(admin_client, page, model):
    job = make_real_job(items=2)
    failed = OpenItem.objects.filter(job=job)
    BatchItem.objects.filter(pk__in=failed.values("item_id")).update(
        status=ItemStatus.FAILED, finished_at=timezone.now(), error_code="x"
    )
    failed.delete()
    BatchJob.objects.filter(pk=job.pk).update(
        status=JobStatus.PROCESSED, finished_at=timezone.now(), items_failed=2
    )
    job.shares.update(failed=2)
    row = job if model is BatchJob else job.shares.get().run

    asked = choose(admin_client, model, "retry", row)
    assert "2 items, at most $" in page(asked.url)
    said = told(admin_client.post(asked.url))

    assert said[0].startswith("Sent out again: 1 of 1")
    assert OpenItem.objects.filter(job__isnull=True).count() == 2
    assert "has no failed items" in act(admin_client, model, "retry", row)[-1]


@pytest.mark.slow
def test_ten_thousand_ticked_rows_are_asked_about_in_few_queries(
    admin_client, make_run, django_assert_max_num_queries
):
    run = make_run()
    now = timezone.now()
    Run.objects.bulk_create(
        Run(workload=run.workload, trigger=run.trigger, collected_at=now)
        for _ in range(9_999)
    )

    asked = choose(admin_client, Run, "pause", run, select_across=1)
    # session, user, the rows in eleven pages, the effect in two, of three queries each,
    # and our prices
    with django_assert_max_num_queries(20):
        html = admin_client.get(asked.url).content.decode()

    assert "Pause: 10,000 runs" in html
    assert "The first 20 of 10,000 are shown." in html
    assert len(asked.url) < 100


def test_what_takes_too_long_is_gone_on_with(admin_client, monkeypatch):
    make_paintings("a", "b")
    runs = [make_collected_run(items=1), make_collected_run(items=1)]
    monkeypatch.setattr(acts, "ACT_SECONDS", -1)
    asked = choose(admin_client, Run, "pause", *runs)

    first = admin_client.post(asked.url)
    monkeypatch.setattr(acts, "ACT_SECONDS", 60)
    second = admin_client.post(first.url)

    assert "2 were not reached in time." in told(first)[-1]
    assert told(second)[-1] == "Paused: 2 of 2 runs."


def test_an_action_without_any_row_says_so(admin_client):
    make_collected_run(items=1)

    response = admin_client.post(list_url(Run), {"action": "pause", "index": 0})

    assert "Items must be selected" in told(response)[0]


@pytest.mark.parametrize("key", ["x", "999999", "' OR 1=1", "9" * 30])
def test_ids_that_are_none_do_nothing(admin_client, key):
    make_collected_run(items=1)

    response = admin_client.post(
        list_url(Run), {"action": "pause", "index": 0, "_selected_action": key}
    )

    assert response.status_code in (200, 302)
    assert not Run.objects.filter(paused_at__isnull=False).exists()


def test_a_page_from_before_the_last_login_says_that_nothing_was_changed(
    admin_user, client
):
    run = make_collected_run(items=1)
    strict = type(client)(enforce_csrf_checks=True)
    strict.force_login(admin_user)

    response = choose(strict, Run, "cancel", run)

    assert response.status_code == 403
    assert "Nothing was changed" in response.content.decode()
