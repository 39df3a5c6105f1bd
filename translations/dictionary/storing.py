"""Writing entries and answers about words, inside the transaction of their items."""

from collections.abc import Iterable, Sequence
from typing import Any

import orjson
from django.utils import timezone

from batches.workloads import Answer
from translations.dictionary.findings import CHECKS_VERSION, Finding, score
from translations.dictionary.models import Entry, FeatureAnswer, Word, word_key
from translations.dictionary.shapes import DictionaryEntry, Shape
from translations.dictionary.words import new_word

Results = Sequence[tuple[Answer, DictionaryEntry, list[Finding]]]


def store_entries(results: Results) -> None:
    """Add an entry to each word, which from then on is its latest."""
    now = timezone.now()
    words = _take_words(orjson.loads(answer.context) for answer, _, _ in results)
    items = [answer.item_id for answer, _, _ in results]
    there = Entry.objects.filter(word__in=words.values(), item_id__in=items)
    known = set(there.values_list("item_id", flat=True))
    for answer, entry, findings in results:
        if answer.item_id in known:
            continue  # an answer makes one entry, however often it is stored
        kept = orjson.loads(answer.context)
        word = words[word_key(kept["language"], kept["headword"])]
        word.entries_made += 1
        errors = sum(finding.severity == "error" for finding in findings)
        row = Entry.objects.create(
            word=word,
            number=word.entries_made,
            content=entry.model_dump(mode="json", by_alias=True),
            source_hash=kept["source_hash"],
            findings=[finding.to_json() for finding in findings],
            errors=errors,
            warnings=len(findings) - errors,
            score=score(findings),
            checks_version=CHECKS_VERSION,
            item_id=answer.item_id,
            provider=answer.provider,
            model=answer.model,
            prompt_version_id=answer.prompt_version_id,
            is_sandbox=answer.is_sandbox,
            created_at=now,
        )
        word.entry = row
        word.entry_source_hash = row.source_hash
        word.entry_is_sandbox = row.is_sandbox
    Word.objects.bulk_update(
        words.values(),
        ["entries_made", "entry", "entry_source_hash", "entry_is_sandbox"],
    )


def store_features(results: Sequence[tuple[Answer, str, Shape]]) -> None:
    """Keep what a run was told; nobody else is given it."""
    now = timezone.now()
    _take_words(orjson.loads(answer.context) for answer, _, _ in results)
    FeatureAnswer.objects.bulk_create(
        FeatureAnswer(
            word_id=answer.object_id,
            feature=feature,
            content=said.model_dump(mode="json"),
            item_id=answer.item_id,
            provider=answer.provider,
            model=answer.model,
            is_sandbox=answer.is_sandbox,
            created_at=now,
        )
        for answer, feature, said in results
    )


def _take_words(asked: Iterable[dict[str, Any]]) -> dict[str, Word]:
    """Rows of these words by key, made where there are none and locked in key order,
    so that two jobs wait for each other and never block one another for good."""
    wanted = {}
    for kept in asked:
        word = new_word(kept["language"], kept["headword"])
        word.zipf = kept["zipf"]
        word.commonness = round((word.zipf or 0) * 100)
        wanted[word.key] = word
    keys = sorted(wanted)
    Word.objects.bulk_create((wanted[key] for key in keys), ignore_conflicts=True)
    rows = Word.objects.select_for_update(no_key=True).filter(pk__in=keys)
    return {word.key: word for word in rows.order_by("pk")}
