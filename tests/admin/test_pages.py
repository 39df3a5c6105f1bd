"""Every model of the engine has a list and a page; who may see and change what."""

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.urls import reverse

from batches.admin.display import list_url, row_url
from batches.models import (
    Alert,
    AnswerLength,
    ApiKey,
    AuditEntry,
    BatchItem,
    BatchJob,
    Cap,
    ConfigOverride,
    Event,
    GoldenCase,
    Hold,
    HourlyUsage,
    Installation,
    ItemAttempt,
    ItemRequest,
    JobShare,
    JobTally,
    OpenItem,
    Price,
    PromptVersion,
    ProviderState,
    ReceivedWebhook,
    Run,
    RunTemplate,
    StrayLine,
    WebhookDelivery,
    WebhookEndpoint,
)
from batches.states import EventKind, ItemStatus, StrayKind
from translations.models import Translation, TranslationVersion

pytestmark = pytest.mark.django_db

READ_ONLY = [
    Alert,
    AnswerLength,
    ApiKey,
    AuditEntry,
    BatchItem,
    BatchJob,
    Event,
    GoldenCase,
    HourlyUsage,
    Installation,
    ItemAttempt,
    ItemRequest,
    JobTally,
    JobShare,
    OpenItem,
    PromptVersion,
    ProviderState,
    ReceivedWebhook,
    Run,
    StrayLine,
    Translation,
    TranslationVersion,
    WebhookDelivery,
]
# New ones are written, or old ones taken out, by those who may; none is changed.
ADDED, TAKEN_OUT = {PromptVersion}, {GoldenCase}


@pytest.fixture
def row_of(
    make_run,
    make_job,
    make_item,
    make_failure,
    make_request,
    make_lesson,
    make_translation,
):
    """One row of each model."""
    run = make_run(skipped={"body of a quiz": 3}, options={"languages": ["ar"]})
    job = make_job(runs=[run])
    failed = make_failure(run=run, job=job)
    waiting = make_item(ItemStatus.PENDING, run=run)
    lesson = make_lesson()
    unit = make_translation(lesson)
    now = run.created_at
    return {
        Alert: Alert.objects.create(code="job_late", message="It is late.", job=job),
        AnswerLength: AnswerLength.objects.create(
            workload="translation", provider="openai", model="m", size=9, step=-3
        ),
        AuditEntry: AuditEntry.objects.create(
            actor="amina", action="override:set", outcome="SUCCESS", after={"value": 1}
        ),
        BatchItem: failed,
        BatchJob: job,
        Event: Event.objects.create(run=run, kind=EventKind.RUN_CREATED),
        GoldenCase: GoldenCase.objects.create(
            workload="translation", name="one", target="title:ar", body="{}"
        ),
        HourlyUsage: HourlyUsage.objects.create(
            hour=now, provider="openai", workload="translation", outcome="applied"
        ),
        ApiKey: ApiKey.objects.create(name="robot", prefix="bs_0", digest="0" * 64),
        Installation: Installation.objects.get(),
        ItemAttempt: failed.tries.get(),
        ItemRequest: make_request(failed),
        JobTally: JobTally.objects.create(
            job=job, run=run, outcome="failed", error_code="refused", attempts=2
        ),
        JobShare: job.shares.get(),
        OpenItem: waiting.open,
        PromptVersion: PromptVersion.objects.create(
            workload="translation", number=1, text="Translate $field.", origin="code"
        ),
        ProviderState: ProviderState.objects.create(provider="openai"),
        ReceivedWebhook: ReceivedWebhook.objects.create(
            webhook_id="wh_1", kind="batch.completed"
        ),
        Run: run,
        StrayLine: StrayLine.objects.create(
            job=job, file_id="file-1", line=3, kind=StrayKind.UNKNOWN, raw_line="{}"
        ),
        Translation: unit,
        TranslationVersion: unit.latest,
        WebhookDelivery: WebhookDelivery.objects.create(
            endpoint=WebhookEndpoint.objects.create(name="site"),
            message_id="msg_1",
            kind="run.finished",
            body="{}",
        ),
    }


def test_every_model_of_the_engine_is_in_the_admin():
    models = {*READ_ONLY, Cap, ConfigOverride, Hold, Price, RunTemplate}
    models.add(WebhookEndpoint)

    assert {model for model in models if not admin.site.is_registered(model)} == set()
    assert {m for m in admin.site._registry if m._meta.app_label == "batches"} == {
        model for model in models if model._meta.app_label == "batches"
    }


@pytest.mark.parametrize("model", READ_ONLY, ids=lambda model: model.__name__)
def test_a_list_and_a_page_are_shown_to_a_superuser(page, row_of, model):
    row = row_of[model]

    assert row_url(model, row.pk) in page(list_url(model))
    assert "<h2" in page(row_url(model, row.pk))


@pytest.mark.parametrize("model", READ_ONLY, ids=lambda model: model.__name__)
def test_nobody_changes_adds_or_deletes_a_row(admin_client, row_of, model):
    row = row_of[model]
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}"

    changed = admin_client.post(row_url(model, row.pk), {"status": "x"})
    added = admin_client.get(reverse(f"{name}_add"))
    deleted = admin_client.post(reverse(f"{name}_delete", args=[row.pk]), {"post": 1})

    assert [r.status_code for r in (changed, added, deleted)] == [
        403,
        200 if model in ADDED else 403,
        302 if model in TAKEN_OUT else 403,
    ]
    assert model.objects.filter(pk=row.pk).exists() == (model not in TAKEN_OUT)


@pytest.mark.parametrize("model", READ_ONLY, ids=lambda model: model.__name__)
def test_pages_need_the_view_permission(
    client, django_user_model, admin_client, row_of, model
):
    row = row_of[model]
    staff = django_user_model.objects.create_user("sahra", is_staff=True)
    urls = [list_url(model), row_url(model, row.pk)]
    client.force_login(staff)

    before = [client.get(url).status_code for url in urls]
    staff.user_permissions.add(
        Permission.objects.get(
            codename=f"view_{model._meta.model_name}",
            content_type__app_label=model._meta.app_label,
        )
    )
    after = [client.get(url).status_code for url in urls]

    assert (before, after) == ([403, 403], [200, 200])


def test_pages_send_strangers_to_the_login(client, row_of):
    response = client.get(row_url(Run, row_of[Run].pk))

    assert response.status_code == 302
    assert reverse("admin:login") in response.url


@pytest.mark.parametrize("model", READ_ONLY, ids=lambda model: model.__name__)
def test_pages_have_no_inline_script_or_style(page, row_of, model):
    html = page(row_url(model, row_of[model].pk))

    assert "style=" not in html
    assert "<style" not in html
    assert " onclick=" not in html
    assert "<script>" not in html


def test_the_index_carries_the_name(page):
    html = page(reverse("admin:index"))

    assert "Batchsite" in html
    assert "Operations desk" in html
