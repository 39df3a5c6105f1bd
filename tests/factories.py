"""Rows for tests, made the way the services make them wherever that is possible."""

import itertools
from datetime import date
from typing import Any

from django.utils import timezone

from batches.models import BatchJob, OpenItem, Price, Run
from batches.services.bundling import bundle
from batches.services.collection import collect_run, start_run
from batches.states import (
    AT_PROVIDER,
    JOB_FINAL,
    JobStatus,
    Trigger,
)
from tests.gallery.models import Painting
from translations.dictionary.models import Entry, Word
from translations.dictionary.words import new_word

_number = itertools.count(1)


def make_paintings(*titles: str) -> list[Painting]:
    return [Painting.objects.create(title=title) for title in titles]


def make_run(workload: str = "captions", **given: Any) -> Run:
    """A run of `captions` over all paintings, not collected; without a sample first."""
    given.setdefault("canary", False)
    options = {
        name: given.pop(name)
        for name in (
            "kind",
            "follow_ups",
            "model",
            "languages",
            "content",
            "fields",
            "prompt",
        )
        if name in given
    }
    return start_run(
        workload, options, trigger=given.pop("trigger", Trigger.COMMAND), **given
    )


def make_collected_run(items: int = 3, **given: Any) -> Run:
    """A run whose items wait in the pool, one a painting made for it."""
    if items:
        # No two alike, ever: what is equal is asked once.
        make_paintings(*[f"painting {next(_number)}" for _ in range(items)])
    run = make_run(**given)
    collect_run(run)
    return run


def make_job(
    items: int = 3, status: JobStatus = JobStatus.PENDING, **changes: Any
) -> BatchJob:
    """A job with items of a new run, set to a status without going the whole way."""
    make_collected_run(items)
    (job,) = bundle()
    if status in AT_PROVIDER or status == JobStatus.COMPLETED:
        changes.setdefault("provider_batch_id", f"batch_{job.pk}")
        changes.setdefault("create_sent_at", timezone.now())
    if status in JOB_FINAL:
        changes.setdefault("finished_at", timezone.now())
    BatchJob.objects.filter(pk=job.pk).update(status=status, **changes)
    job.refresh_from_db()
    return job


def make_price(model: str = "house-model", **given: Any) -> Price:
    """A price of a model that nobody else has one for, not saved, from 2026 on."""
    defaults = {
        "valid_from": date(2026, 1, 1),
        "batch_input": "1",
        "batch_output": "4",
        "real_time_input": "2",
        "real_time_output": "8",
    }
    price = Price(model=model, **{**defaults, **given})
    price.clean_fields()  # texts become what the columns hold
    return price


ENTRY = {
    "headword": "patience",
    "language": "en",
    "is_word": True,
    "pronunciations": [{"ipa": "/ˈpeɪʃəns/", "variety": "general", "pos": None}],
    "meanings": [
        {
            "cluster": "waiting calmly",
            "pos": "noun",
            "definition": "the ability to stay calm while you wait for something",
            "register": "neutral",
            "cefr": "B1",
            "examples": ["Learning to read together takes time and patience."],
            "synonyms": [],
            "antonyms": ["impatience"],
            "translations": [{"language": "so", "text": "dulqaad"}],
        }
    ],
    "inflections": [],
    "etymology": {"text": None, "confidence": "low"},
}


def make_entry(text: str = "patience", **given: Any) -> Entry:
    """The latest entry of a word, made with the word where there is none yet."""
    word = Word.objects.filter(text=text).first()
    if word is None:
        word = new_word("en", text)
        word.save()
    word.entries_made += 1
    defaults = {
        "content": ENTRY,
        "source_hash": word.source_hash,
        "score": 100,
        "checks_version": 1,
        "item_id": 1,
        "provider": "sandbox",
        "model": "m",
        "is_sandbox": True,
    }
    entry = Entry.objects.create(
        word=word, number=word.entries_made, **{**defaults, **given}
    )
    word.entry, word.entry_source_hash = entry, entry.source_hash
    word.save()
    return entry


def item_ids(job: BatchJob) -> list[int]:
    """The open items of a job, in key order."""
    rows = OpenItem.objects.filter(job=job).order_by("item_id")
    return list(rows.values_list("item_id", flat=True))
