import pytest
from django.utils import timezone

from batches.errors import BadOptions, UnknownPrice, UnknownProvider, UnknownWorkload
from batches.models import BatchItem, ItemAttempt, ItemRequest, OpenItem, Run
from batches.services import collection
from batches.services.collection import collect_run, collect_runs, plan_run
from batches.states import ItemStatus, RunStatus
from tests.factories import make_collected_run, make_paintings, make_run
from tests.gallery.models import Photo, Sketch

pytestmark = pytest.mark.django_db


def test_collecting_makes_an_item_an_open_item_and_a_request_each():
    run = make_collected_run(items=3)

    assert run.subjects_collected == run.items_collected == 3
    keys = list(BatchItem.objects.values_list("pk", flat=True))
    assert list(OpenItem.objects.values_list("pk", flat=True)) == keys
    assert list(ItemRequest.objects.values_list("pk", flat=True)) == keys
    assert run.estimate_nanos > 0


def test_the_limit_counts_subjects():
    make_paintings("one", "two", "three", "four")

    run = make_run(limit=3)
    collect_run(run)

    assert (run.subjects_collected, run.items_collected) == (3, 3)
    assert run.collected_at is not None


@pytest.mark.parametrize(
    ("kind", "model", "keys"),
    [
        ("photo", Photo, lambda row: row.pk),
        ("sketch", Sketch, lambda row: row.slug),
    ],
)
def test_subjects_may_have_keys_that_are_no_numbers(kind, model, keys, monkeypatch):
    monkeypatch.setattr(collection, "PAGE_SUBJECTS", 2)
    if kind == "sketch":
        rows = [Sketch.objects.create(slug=f"sketch-{n}", title="x") for n in range(5)]
    else:
        rows = [Photo.objects.create(title="x") for _ in range(5)]

    run = make_run(kind=kind)
    collect_run(run)

    found = set(BatchItem.objects.values_list("object_id", flat=True))
    assert found == {str(keys(row)) for row in rows}


def test_a_run_goes_on_from_the_page_where_its_collector_died(monkeypatch):
    monkeypatch.setattr(collection, "PAGE_SUBJECTS", 2)
    make_paintings(*"abcde")
    run = make_run()
    pages = collection._collect_pages(
        run, collection.read_order(run.workload, run.options, now=timezone.now())
    )
    next(pages)
    pages.close()

    collect_runs()

    run.refresh_from_db()
    assert run.items_collected == BatchItem.objects.count() == 5
    assert run.collected_at is not None


def test_a_collector_that_was_overtaken_writes_nothing(monkeypatch):
    monkeypatch.setattr(collection, "PAGE_SUBJECTS", 2)
    make_paintings(*"abcd")
    run = make_run()
    order = collection.read_order(run.workload, run.options, now=timezone.now())
    draft = collection._draft_page(order, "", 2)
    collect_run(Run.objects.get(pk=run.pk))

    assert not collection._commit_page(run, order, draft)

    assert BatchItem.objects.count() == 4


def test_work_that_is_under_way_is_not_collected_again():
    make_collected_run(items=2)

    second = make_run()
    collect_run(second)

    assert second.items_collected == second.subjects_collected == 0
    assert second.skipped == {"under_way": 2}
    assert second.status == RunStatus.COMPLETED


def test_an_item_that_is_too_large_fails_alone_and_says_why():
    make_paintings("fine", "TOO LARGE")

    run = make_run()
    collect_run(run)

    failed = BatchItem.objects.get(status=ItemStatus.FAILED)
    attempt = ItemAttempt.objects.get(item=failed)
    assert attempt.job_id is None
    assert (attempt.error_code, attempt.error_message) == ("too_large", "It is large.")
    assert run.unsent_failed == 1
    assert OpenItem.objects.count() == 1


def test_what_a_workload_skips_is_counted_by_reason():
    make_paintings("fine", "SKIP", "SKIP")

    run = make_run()
    collect_run(run)

    assert run.skipped == {"of no interest": 2}
    assert run.subjects_collected == 1


def test_a_paused_run_is_not_collected():
    make_paintings("one")
    run = make_run()
    Run.objects.filter(pk=run.pk).update(paused_at=timezone.now())

    assert collect_runs() == 0

    assert BatchItem.objects.count() == 0


def test_a_plan_writes_nothing():
    make_paintings("one", "TOO LARGE", "SKIP")

    plan = plan_run("captions", {})

    assert (plan.subjects, plan.items, plan.failed) == (2, 2, 1)
    assert plan.costs.worst > 0
    assert plan.skipped == {"of no interest": 1}
    assert not Run.objects.exists()
    assert not BatchItem.objects.exists()


@pytest.mark.parametrize(
    ("workload", "options", "given", "error", "words"),
    [
        ("capitons", {}, {}, UnknownWorkload, "there are captions, "),
        ("captions", {"model": "gpt-nonsense"}, {}, UnknownPrice, "gpt-nonsense"),
        ("captions", {"endpoint": "/v1/x"}, {}, BadOptions, "/v1/chat/completions"),
        ("captions", {"kind": "statue"}, {}, BadOptions, "kind 'statue'"),
        ("captions", {"colour": "red"}, {}, BadOptions, "colour 'red'"),
        ("captions", {}, {"limit": 0}, BadOptions, "The limit is 0"),
        ("captions", {}, {"limit": -1}, BadOptions, "The limit is -1"),
        ("captions", {}, {"budget_nanos": 0}, BadOptions, "more than 0 dollars"),
        ("translation", {"languages": ["xx"]}, {}, BadOptions, "'xx' is no language"),
        ("translation", {"languages": []}, {}, BadOptions, "at least one language"),
        ("translation", {"content": ["a.b"]}, {}, BadOptions, "no model 'a.b'"),
    ],
)
def test_a_run_that_cannot_be_is_refused_with_a_reason(
    workload, options, given, error, words
):
    with pytest.raises(error, match=words):
        collection.start_run(workload, options, trigger="command", **given)

    assert not Run.objects.exists()


def test_with_the_provider_openai_and_no_key_no_run_is_started(settings):
    settings.BATCH_PROVIDER = "openai"

    with pytest.raises(UnknownProvider, match="Set OPENAI_API_KEY"):
        make_run()


def test_equal_work_has_equal_fingerprints():
    make_paintings("the same", "the same", "another")
    collect_run(make_run())

    prints = [bytes(p) for p in BatchItem.objects.values_list("fingerprint", flat=True)]

    assert prints[0] == prints[1] != prints[2]


def test_a_run_that_cannot_be_collected_says_why_and_keeps_no_other():
    make_paintings("one")
    stuck, fine = make_run(), make_run()
    Run.objects.filter(pk=stuck.pk).update(options={"model": "gpt-nonsense"})

    with pytest.raises(UnknownPrice):
        collect_runs()

    stuck.refresh_from_db()
    fine.refresh_from_db()
    assert "No price is known for the model 'gpt-nonsense'" in stuck.waiting_reason
    assert stuck.collected_at is None
    assert (fine.items_collected, fine.waiting_reason) == (1, "")
