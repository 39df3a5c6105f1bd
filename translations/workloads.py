"""The workload `translation`: registered fields of any model, into any language."""

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import orjson
from django.contrib.contenttypes.models import ContentType

from batches.workloads import (
    Answer,
    FollowUp,
    Page,
    Request,
    Subject,
    Target,
    Verdict,
    Workload,
    register,
)
from translations.explaining import explain_unit
from translations.fields import (
    Part,
    field_targets,
    split_target,
    target_key,
    wholes_of,
)
from translations.judging import Judged, judge_answer
from translations.languages import language_name
from translations.models import Translation
from translations.options import TranslationOptions
from translations.prompt import (
    SYSTEM_PROMPT,
    TranslationResult,
    build_body,
    narrowed_body,
    sent_segments,
)
from translations.segments import Piece, from_json, halves, to_json
from translations.selection import Wanted, content_type_of, entries_of, rows_in_need
from translations.storing import store_judged, store_judged_again

log = logging.getLogger(__name__)

# Above this, one line in the log for a chunk, not one for each text.
LOGGED_ONE_BY_ONE = 100


@register
class TranslationWorkload(Workload):
    key = "translation"
    noun = ("text", "texts")
    options = TranslationOptions
    result = TranslationResult
    prompt = SYSTEM_PROMPT
    runs_nightly = True

    def nouns(self, options: TranslationOptions) -> tuple[str, str]:
        """Those of the model, where a run is about one."""
        models = {entry.model for entry in entries_of(options, "")}
        if len(models) != 1:
            return self.noun
        meta = models.pop()._meta
        return str(meta.verbose_name), str(meta.verbose_name_plural)

    def subjects(self, options: TranslationOptions, after: str, limit: int) -> Page:
        """Rows that lack a current translation; the cursor is `app.model|last key`."""
        found: list[Subject] = []
        skipped: Counter[str] = Counter()
        cursor = after
        for entry in entries_of(options, after):
            label, _, last = cursor.partition("|")
            last = last if label == entry.label else ""
            for key, wanted in rows_in_need(entry, options, last, skipped):
                cursor = f"{entry.label}|{key}"
                if wanted:
                    found.append(_subject(wanted))
                if len(found) == limit:
                    return Page(found, cursor, dict(skipped))
        return Page(found, None, dict(skipped))

    def targets(
        self, subject: Subject, options: TranslationOptions
    ) -> Iterable[Target]:
        wanted: Wanted = subject.source
        for field in wanted.entry.fields:
            languages = [
                language for name, language in sorted(wanted.pairs) if name == field
            ]
            if languages:
                yield from field_targets(wanted, field, languages)

    def build_request(
        self, subject: Subject, target: Target, options: TranslationOptions, prompt: str
    ) -> Request:
        wanted: Wanted = subject.source
        part: Part = target.source
        entry, row = wanted.entry, wanted.row
        source_language = entry.language_of(row)
        body = build_body(
            prompt=prompt,
            response_format=self.response_format(),
            object_type=str(entry.model._meta.verbose_name),
            field=part.field,
            format=part.format,
            source_language=source_language,
            target_language=part.language,
            context=entry.context(row) if entry.context else {},
            pieces=part.pieces,
        )
        context = {
            "field": part.field,
            "language": part.language,
            "source_language": source_language,
            "format": part.format,
            "source_hash": part.source_hash,
            "part": part.number,
            "parts": part.total,
            "pieces": to_json(part.pieces),
        }
        return Request(body=body, context=context)

    def judge_one(self, answer: Answer) -> Verdict:
        verdict = self.read_result(answer)
        if not verdict.error_code:
            verdict.result = judge_answer(answer, verdict.result)
        return verdict

    def store(self, verdicts: Sequence[Verdict]) -> list[FollowUp]:
        store_judged([(verdict.answer, verdict.result) for verdict in verdicts])
        _log_stored(verdicts)
        return []

    def split(self, answer: Answer) -> list[FollowUp]:
        """Both halves of what was asked; a segment alone cannot be cut."""
        kept = orjson.loads(answer.context)
        pieces = from_json(kept["pieces"], sent_segments(answer.body))
        return [
            _half(answer, kept, f"{kept.get('path', '')}{number}", half)
            for number, half in enumerate(halves(pieces), start=1)
        ]

    def wholes(self, target: str) -> list[str]:
        return wholes_of(target)

    def store_again(self, verdicts: Sequence[Verdict]) -> list[FollowUp]:
        store_judged_again([(verdict.answer, verdict.result) for verdict in verdicts])
        return []

    def explain_result(
        self, *, content_type_id: int, object_id: str, target: str, item_id: int
    ) -> list[str]:
        field, language, _ = split_target(target)
        unit = (
            Translation.objects.filter(
                content_type_id=content_type_id,
                object_id=object_id,
                field=field,
                language=language,
            )
            .select_related("latest", "published")
            .first()
        )
        return explain_unit(unit, item_id) if unit else []


def _subject(wanted: Wanted) -> Subject:
    return Subject(
        content_type_id=content_type_of(wanted.entry).pk,
        object_id=str(wanted.row.pk),
        source=wanted,
    )


def _half(
    answer: Answer, kept: dict[str, Any], path: str, pieces: list[Piece]
) -> FollowUp:
    """A request like the answered one, for some of its pieces."""
    return FollowUp(
        parent_item_id=answer.item_id,
        subject=Subject(answer.content_type_id, answer.object_id),
        target=target_key(
            kept["field"], kept["language"], kept["part"], kept["parts"], path
        ),
        request=Request(
            body=narrowed_body(answer.body, pieces),
            context={**kept, "path": path, "pieces": to_json(pieces)},
        ),
    )


def _log_stored(verdicts: Sequence[Verdict]) -> None:
    if len(verdicts) > LOGGED_ONE_BY_ONE:
        log.info("[Batch API] Stored %d translations", len(verdicts))
        return
    for verdict in verdicts:
        judged: Judged = verdict.result
        kind = ContentType.objects.get_for_id(verdict.answer.content_type_id)
        log.info(
            "[Batch API] Stored %s translation for %s %s.%s",
            language_name(judged.language).lower(),
            kind.name,
            verdict.answer.object_id,
            judged.field,
        )
