"""Stored answers applied again from the admin: asked about first, then told."""

import json

import pytest
from django.contrib.auth.models import Permission
from django.contrib.messages import get_messages

from batches import workloads
from batches.admin.acts import act_url
from batches.admin.display import list_url, row_url
from batches.admin.reapplying import REAPPLY_ITEMS
from batches.models import AuditEntry, BatchItem, BatchJob, Run
from batches.states import ItemStatus, RunStatus
from tests.driving import work_off
from tests.factories import make_collected_run, make_paintings
from tests.gallery.models import Caption, Painting
from tests.gallery.workloads import CaptionWorkload

pytestmark = pytest.mark.django_db


class Mended(CaptionWorkload):
    def store(self, verdicts):
        for verdict in verdicts:
            answer = verdict.answer
            Caption.objects.create(
                kind=json.loads(answer.context)["kind"],
                object_id=answer.object_id,
                target=answer.target,
                item_id=answer.item_id,
                text=verdict.result.caption,
            )
        return []


@pytest.fixture
def failed_job(sandbox, monkeypatch):
    """A job whose three answers met a bug that is mended by now."""
    make_paintings(*["STORE BUG"] * 3)
    make_collected_run(0, force_refresh=True)  # all three are asked, alike as they are
    work_off()
    monkeypatch.setitem(workloads._registered, "captions", Mended())
    return BatchJob.objects.get()


def choose(client, model, *rows):
    keys = [row.pk for row in rows]
    data = {"action": "reapply", "index": 0, "_selected_action": keys}
    return client.post(list_url(model), data)


def told(response):
    return [str(message) for message in get_messages(response.wsgi_request)]


@pytest.mark.parametrize("model", [Run, BatchJob])
def test_failed_items_of_runs_and_jobs_are_completed(
    admin_client, admin_user, page, failed_job, model
):
    row = model.objects.get()
    assert 'value="reapply"' in page(row_url(model, row.pk))

    asked = choose(admin_client, model, row)
    assert "3 items are judged again; it costs nothing." in page(asked.url)
    assert not Caption.objects.exists()
    said = told(admin_client.post(asked.url))

    name = model._meta.verbose_name
    assert said == [f"Applied again: 1 of 1 {name}.", f"{row}: 3 completed."]
    assert Caption.objects.count() == 3
    assert Run.objects.get().status == RunStatus.COMPLETED
    entry = AuditEntry.objects.get(action="items.reapply")
    assert entry.actor == admin_user.get_username()


def test_the_question_says_what_cannot_be_and_why(admin_client, page, failed_job):
    Painting.objects.first().delete()

    html = page(choose(admin_client, BatchJob, failed_job).url)

    assert "2 items are judged again" in html
    assert "Left as they are: 1 about content that was deleted." in html


def test_single_items_are_applied_again(admin_client, page, failed_job):
    chosen, other, *_ = BatchItem.objects.all()
    assert 'value="reapply"' in page(row_url(BatchItem, chosen.pk))

    asked = choose(admin_client, BatchItem, chosen)
    assert "1 item is judged again" in page(asked.url)
    after = admin_client.post(asked.url)

    assert told(after)[0] == "Applied again: 1 of 1 item."
    assert after.url == row_url(BatchItem, chosen.pk)
    chosen.refresh_from_db()
    other.refresh_from_db()
    assert (chosen.status, other.status) == (ItemStatus.COMPLETE, ItemStatus.FAILED)


def test_what_cannot_be_is_refused_in_words(admin_client, failed_job):
    items = list(BatchItem.objects.all())
    Painting.objects.filter(pk=items[0].object_id).delete()

    said = told(admin_client.post(choose(admin_client, BatchItem, *items).url))

    assert said[0] == "Applied again: 2 of 3 items."
    assert said[-1] == "Nothing was applied again: 1 about content that was deleted."


def test_an_item_without_an_end_offers_nothing(page):
    make_collected_run(items=1)

    html = page(row_url(BatchItem, BatchItem.objects.get().pk))

    start = html.index('value="reapply"')
    assert " hidden>" in html[start : html.index(">", start) + 1]


def test_whoever_may_not_process_results_is_not_offered_it(
    client, django_user_model, failed_job
):
    user = django_user_model.objects.create_user("sahra", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_batchitem"))
    client.force_login(user)

    html = client.get(list_url(BatchItem)).content.decode()
    assert 'value="reapply"' not in html
    assert client.get(act_url(BatchItem, REAPPLY_ITEMS, "x")).status_code == 403
    choose(client, BatchItem, BatchItem.objects.first())
    assert not Caption.objects.exists()
