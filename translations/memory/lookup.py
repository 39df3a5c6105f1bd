"""What is known of texts before they are asked for: read for many rows at a time."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, NamedTuple

from django.contrib.contenttypes.models import ContentType
from django.db.models import Model

from batches.providers.registry import active_provider, is_sandbox
from translations.judging import pretended
from translations.models import (
    ApprovedSegment,
    ReviewStatus,
    Translation,
    TranslationVersion,
)
from translations.quality.consistency import normal
from translations.quality.pair import words
from translations.registry import Registered
from translations.segments import Piece, segment_hash, segments_of, split_text
from translations.spans import VersionSegment, segments_in

SIMILAR_ENOUGH = 0.85
MOST_EXAMPLES = 3
EXAMPLE_CHARACTERS = 400
# The newest approved segments of a pair of languages, among which similar ones are
# looked for; and how many of them may share a word that is to say something.
LOOKED_THROUGH = 1_000
COMMON_WORD = 50
COMPARED = 8

TextKey = tuple[str, str, str]  # object id, field, language


class Known(NamedTuple):
    """A translation of a segment that is there."""

    text: str
    is_sandbox: bool = False
    is_pretended: bool = False


class Example(NamedTuple):
    source: str
    text: str


@dataclass(frozen=True, slots=True)
class KnownTexts:
    """What is known of one field of a row in one language.

    `own` is of its own version, by the hash of the segment; `approved` of memory.
    """

    own: Mapping[str, Known]
    approved: Mapping[str, Known]

    def of(self, source: str) -> Known | None:
        """The text's own translation first: it is what its readers know."""
        return self.own.get(segment_hash(source)) or self.approved.get(
            memory_hash(source)
        )

    def approved_of(self, source: str) -> str | None:
        known = self.approved.get(memory_hash(source))
        return known.text if known else None


NOTHING = KnownTexts({}, {})


def memory_hash(source: str) -> str:
    """How the source of a segment is looked up in memory."""
    return segment_hash(normal(source))


class Memory:
    """What is known for one page of subjects, in these languages.

    `load` reads it for some rows with a handful of queries, however many rows.
    """

    def __init__(self, languages: Iterable[str]) -> None:
        self._languages = list(languages)
        self._may_be_of_sandbox = is_sandbox(active_provider())
        approved = ApprovedSegment.objects.filter(language__in=self._languages)
        if not self._may_be_of_sandbox:
            approved = approved.filter(is_sandbox=False)
        self._approved = approved
        self._has_approved = approved.exists()
        self._known: dict[TextKey, KnownTexts] = {}
        self._pieces: dict[tuple[str, str], list[Piece]] = {}
        self._similar: dict[tuple[str, str], _Similar] = {}

    def load(
        self,
        entry: Registered,
        wanted: Iterable[tuple[Model, Iterable[tuple[str, str]]]],
        *,
        longest: int,
        is_redo: bool,
    ) -> None:
        """Read what is known of (row, its (field, language) pairs).

        With `is_redo` what a text says by itself does not count: it is wanted anew.
        """
        wanted = list(wanted)
        keys = {
            (str(row.pk), field, language)
            for row, pairs in wanted
            for field, language in pairs
        }
        own = {} if is_redo else self._own(entry, keys)
        approved = self._approved_of(entry, wanted, longest)
        for row, pairs in wanted:
            for field, language in pairs:
                key = (str(row.pk), field, language)
                if key in own or approved:
                    self._known[key] = KnownTexts(
                        own.get(key, {}),
                        approved.get((entry.language_of(row), language), {}).get(
                            (entry.format_of(row, field), field), {}
                        ),
                    )

    def known(self, row: Model, field: str, language: str) -> KnownTexts:
        return self._known.get((str(row.pk), field, language), NOTHING)

    def pieces(self, row: Model, field: str) -> list[Piece] | None:
        """The pieces of a field, where they were needed already."""
        return self._pieces.get((str(row.pk), field))

    def similar(
        self, source_language: str, language: str, sources: Iterable[str]
    ) -> list[Example]:
        """Up to three approved pairs that say nearly what one of the sources does."""
        if not self._has_approved:
            return []
        pair = (source_language, language)
        if pair not in self._similar:
            rows = self._approved.filter(
                language=language, source_language=source_language
            ).order_by("-id")[:LOOKED_THROUGH]
            self._similar[pair] = _Similar(
                Example(*row) for row in rows.values_list("source", "text")
            )
        found = self._similar[pair].to(sources)
        return found[:MOST_EXAMPLES]

    def _own(
        self, entry: Registered, wanted: set[TextKey]
    ) -> dict[TextKey, dict[str, Known]]:
        """What texts say that have a version: the published one, then the latest."""
        units = Translation.objects.filter(
            content_type=ContentType.objects.get_for_model(entry.model),
            object_id__in={object_id for object_id, _, _ in wanted},
            language__in=self._languages,
            latest__isnull=False,
        ).exclude(status=ReviewStatus.REJECTED)
        keys: dict[TextKey, tuple[int | None, int]] = {
            (object_id, field, language): (published, latest)
            for object_id, field, language, published, latest in units.values_list(
                "object_id", "field", "language", "published_id", "latest_id"
            )
            if (object_id, field, language) in wanted
        }
        versions = TranslationVersion.objects.filter(
            pk__in={pk for both in keys.values() for pk in both if pk}
        )
        if not self._may_be_of_sandbox:
            versions = versions.filter(is_sandbox=False)
        good = {
            pk: _good_segments(segments_in(text, spans), findings, is_of_sandbox)
            for pk, text, spans, findings, is_of_sandbox in versions.values_list(
                "pk", "text", "spans", "findings", "is_sandbox"
            )
        }
        return {
            key: {**good.get(latest, {}), **good.get(published or latest, {})}
            for key, (published, latest) in keys.items()
        }

    def _approved_of(
        self,
        entry: Registered,
        wanted: list[tuple[Model, Iterable[tuple[str, str]]]],
        longest: int,
    ) -> dict[tuple[str, str], dict[tuple[str, str], dict[str, Known]]]:
        """{languages: {(format, field): {hash: known}}} for what these texts say.

        A field's own kind goes before another's.
        """
        if not self._has_approved:
            return {}
        hashes: set[str] = set()
        places: set[tuple[str, str]] = set()
        for row, pairs in wanted:
            for field in {field for field, _ in pairs}:
                if len(getattr(row, field)) > longest:
                    continue
                format = entry.format_of(row, field)
                pieces = split_text(getattr(row, field), format)
                self._pieces[str(row.pk), field] = pieces
                places.add((format, field))
                hashes.update(memory_hash(part.text) for part in segments_of(pieces))
        found: dict[tuple[str, str], dict[tuple[str, str], dict[str, Known]]]
        found = defaultdict(lambda: defaultdict(dict))
        rows = self._approved.filter(source_hash__in=hashes).order_by("pk")
        for (
            hash_,
            source_language,
            language,
            format,
            kind,
            text,
            is_of_sandbox,
        ) in rows.values_list(
            "source_hash",
            "source_language",
            "language",
            "format",
            "field",
            "text",
            "is_sandbox",
        ):
            known = Known(text, is_of_sandbox)
            for place in places:
                if place[0] != format:
                    continue
                there = found[source_language, language][place]
                if place[1] == kind:
                    there[hash_] = known
                else:
                    there.setdefault(hash_, known)
        return found


def _good_segments(
    segments: list[VersionSegment],
    findings: list[dict[str, Any]],
    is_of_sandbox: bool,
) -> dict[str, Known]:
    """{hash: known} of a version's segments that no error is held against."""
    mark = pretended().code
    is_pretended = any(finding["code"] == mark for finding in findings)
    bad = {
        finding.get("segment", "")
        for finding in findings
        if finding["severity"] == "error" and finding["code"] != mark
    }
    if "" in bad:
        return {}
    good: dict[str, Known] = {}
    for segment in segments:
        if segment["text"] and segment["id"] not in bad:
            known = Known(segment["text"], is_of_sandbox, is_pretended)
            good.setdefault(segment["source_hash"], known)
    return good


class _Similar:
    """Approved pairs by the words of their sources that few of them have."""

    def __init__(self, examples: Iterable[Example]) -> None:
        self._examples = list(examples)
        self._having: defaultdict[str, list[int]] = defaultdict(list)
        for number, example in enumerate(self._examples):
            for word in set(words(example.source)):
                self._having[word].append(number)

    def to(self, sources: Iterable[str]) -> list[Example]:
        """The most similar first, each once."""
        best: dict[int, float] = {}
        for source in sources:
            for number, ratio in self._near(source):
                best[number] = max(ratio, best.get(number, 0.0))
        ranked = sorted(best, key=lambda number: (-best[number], number))
        found = dict.fromkeys(self._examples[number] for number in ranked)
        return list(found)

    def _near(self, source: str) -> Iterator[tuple[int, float]]:
        if len(source) > EXAMPLE_CHARACTERS:
            return
        shared: Counter[int] = Counter()
        for word in set(words(source)):
            having = self._having.get(word, ())
            if len(having) <= COMMON_WORD:
                shared.update(having)
        matcher = SequenceMatcher(b=source, autojunk=False)
        for number, _ in shared.most_common(COMPARED):
            matcher.set_seq1(self._examples[number].source)
            if (
                matcher.real_quick_ratio() >= SIMILAR_ENOUGH
                and matcher.quick_ratio() >= SIMILAR_ENOUGH
                and (ratio := matcher.ratio()) >= SIMILAR_ENOUGH
            ):
                yield number, ratio
