"""Which words a run is about: those named, or those that lack a current entry."""

from collections import Counter
from collections.abc import Sequence
from itertools import islice

from django.contrib.contenttypes.models import ContentType
from django.db.models import F, Q, QuerySet

from batches.providers.registry import active_provider, is_sandbox
from batches.workloads import Page, Subject
from translations.dictionary.filtering import normalised
from translations.dictionary.frequency import has_frequencies, zipf_of
from translations.dictionary.models import Word, WordStatus, word_key
from translations.dictionary.normalising import REASONS
from translations.dictionary.options import DictionaryOptions, WordOptions
from translations.dictionary.review import rejections
from translations.dictionary.words import new_word


def current(words: QuerySet[Word]) -> QuerySet[Word]:
    """Words with an entry that is of the words it stands for; a pretended one counts
    only where pretended work is what this installation does."""
    found = words.filter(entry__isnull=False, entry_source_hash=F("source_hash"))
    return (
        found if is_sandbox(active_provider()) else found.filter(entry_is_sandbox=False)
    )


def words_in_need(options: DictionaryOptions, after: str, limit: int) -> Page:
    """Kept words, the commonest first; the cursor is `commonness|key`."""
    words = Word.objects.filter(language=options.word_language, status=WordStatus.KEPT)
    if options.word_list:
        words = words.filter(source=options.word_list)
    if after:
        commonness, _, key = after.partition("|")
        words = words.filter(
            Q(commonness__lt=int(commonness))
            | Q(commonness=int(commonness), key__gt=key)
        )
    if not options.redo:
        words = words.exclude(pk__in=current(Word.objects.all()).values("pk"))
    page = list(words.order_by("-commonness", "key")[:limit])
    last = page[-1] if len(page) == limit else None
    cursor = f"{last.commonness}|{last.key}" if last else None
    return Page(_subjects(page), cursor)


def words_named(
    options: WordOptions, after: str, limit: int, *, skips_current: bool
) -> Page:
    """The words of the options, normalised, each once; the cursor is a place in them.

    Words without a row are subjects too: their rows come with their answers.
    """
    language = options.word_language
    start = int(after or 0)
    rest = enumerate(normalised(options.words, language))
    taken: list[str] = []
    skipped: Counter[str] = Counter()
    cursor: str | None = None
    for place, (word, reason) in islice(rest, start, None):
        if len(taken) == limit:
            cursor = str(place)
            break
        if reason:
            skipped[f"{word[:40]!r}: {REASONS[reason]}"] += 1
        else:
            taken.append(word)
    known = {
        row.text: row
        for row in Word.objects.filter(pk__in=[word_key(language, w) for w in taken])
    }
    done = set()
    if skips_current:
        rows = current(Word.objects.filter(pk__in=[row.pk for row in known.values()]))
        done = set(rows.values_list("text", flat=True))
    if done:
        skipped["it has an entry already"] = len(done)
    words = _rows(taken, known, language, done)
    return Page(_subjects(words), cursor, dict(skipped))


def _rows(
    taken: Sequence[str], known: dict[str, Word], language: str, done: set[str]
) -> list[Word]:
    new = {text: new_word(language, text) for text in taken if text not in known}
    if new and has_frequencies(language):
        zipf = zipf_of(new, language)
        for text, word in new.items():
            word.zipf = zipf.get(text, 0.0)
            word.commonness = round(word.zipf * 100)
    for row in known.values():
        if not row.source_hash:  # rejected by a preset, and named all the same
            fresh = new_word(language, row.text)
            row.forms, row.source_hash = fresh.forms, fresh.source_hash
    return [known.get(text) or new[text] for text in taken if text not in done]


def _subjects(words: Sequence[Word]) -> list[Subject]:
    kind = ContentType.objects.get_for_model(Word).pk
    told = rejections(words)
    for word in words:
        word.rejection = told.get(word.key, "")
    return [Subject(kind, word.key, word) for word in words]
