"""The workload `translation`: registered fields of any model, into any language."""

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import orjson
from django.conf import settings
from django.contrib.contenttypes.models import ContentType
from django.db.models import QuerySet

from batches import config
from batches.workloads import (
    Answer,
    FollowUp,
    Measure,
    Page,
    Reception,
    Request,
    Subject,
    Target,
    Verdict,
    Workload,
    register,
)
from translations.explaining import explain_unit
from translations.fields import field_targets
from translations.judging import (
    Judged,
    all_sources,
    asked_for,
    error_codes,
    judge_answer,
)
from translations.languages import language_name
from translations.models import Translation
from translations.options import TranslationOptions
from translations.prompt import (
    SPARE_OUTPUT_TOKENS,
    SYSTEM_PROMPT,
    TranslationResult,
    narrowed_body,
    prompt_values,
    texts_of,
)
from translations.quality.detection import preload
from translations.reception import receptions
from translations.repair import repairs_of
from translations.requests import request_for
from translations.segments import Piece, from_json, halves, segments_of, to_json
from translations.selection import Wanted, content_type_of, entries_of, rows_in_need
from translations.storing import store_judged, store_judged_again, store_known
from translations.targets import split_target, target_key, wholes_of

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
    judges_by_context = True

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

    def naming(self, key: str, given: dict[str, Any]) -> dict[str, Any]:
        """`app.model:5`, or `5` where the options name one model."""
        label, _, key = key.rpartition(":")
        content = {"content": [label]} if label else {}
        return {**given, **content, "keys": [key], "redo": True}

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

    def trait(self, target: str) -> str:
        return split_target(target)[1]

    def usual_output(self, input_tokens: int, output_limit: int) -> tuple[int, int]:
        """By the source's characters, which the limit is made of.

        Measured on the 72 shipped references, Somali into English and Arabic: 0.28
        tokens a character in the middle, 0.55 at nine of ten, and the JSON around them.
        """
        characters = max(0, output_limit - SPARE_OUTPUT_TOKENS)
        return 14 + characters * 28 // 100, 14 + characters * 55 // 100

    def build_request(
        self, subject: Subject, target: Target, options: TranslationOptions, prompt: str
    ) -> Request:
        wanted: Wanted = subject.source
        return request_for(
            wanted.entry,
            wanted.row,
            target.source,
            prompt=prompt,
            response_format=self.response_format(),
            notes=wanted.notes.get((target.source.field, target.source.language), ()),
        )

    def store_ready(self, ready: Sequence[tuple[Subject, Target]]) -> None:
        store_known([(subject, target.ready) for subject, target in ready])

    def judge_one(self, answer: Answer) -> Verdict:
        verdict = self.read_result(answer)
        if not verdict.error_code:
            judged = verdict.result = judge_answer(answer, verdict.result)
            if judged.findings:
                verdict.errors = error_codes(judged.findings)
        return verdict

    def warm_up(self) -> None:
        preload(frozenset(settings.LANGUAGES_TOLD_APART))

    def store(self, verdicts: Sequence[Verdict]) -> list[FollowUp]:
        faulty = store_judged(
            [(verdict.answer, verdict.result) for verdict in verdicts]
        )
        _log_stored(verdicts)
        if faulty and config.get("TRANSLATION_REPAIR"):
            return repairs_of(faulty, response_format=self.response_format())
        return []

    def split(self, answer: Answer) -> list[FollowUp]:
        """Both halves of what was asked; a segment alone cannot be cut."""
        kept = orjson.loads(answer.context)
        known = kept.get("known", {})
        sources = all_sources(kept["pieces"], asked_for(answer, kept), known)
        pieces = from_json(kept["pieces"], sources)
        return [
            _half(answer, kept, f"{kept.get('path', '')}{number}", half)
            for number, half in enumerate(halves(pieces, known), start=1)
        ]

    def wholes(self, target: str) -> list[str]:
        return wholes_of(target)

    def store_again(self, verdicts: Sequence[Verdict]) -> list[FollowUp]:
        store_judged_again([(verdict.answer, verdict.result) for verdict in verdicts])
        return []

    def prompt_values(self, body: dict[str, Any]) -> dict[str, str]:
        return prompt_values(orjson.loads(body["messages"][1]["content"]))

    def measure(self, result: Judged) -> Measure:
        return Measure(result.text, result.score)

    def receptions(self, items: QuerySet[Any]) -> dict[int | None, Reception]:
        return receptions(items)

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
    ids = {segment.id for segment in segments_of(pieces)}
    context = {
        **kept,
        "path": path,
        "pieces": to_json(pieces),
        "asked": texts_of(pieces, kept.get("known", ())),
    }
    if "known" in kept:
        context["known"] = {
            key: told for key, told in kept["known"].items() if key in ids
        }
    return FollowUp(
        parent_item_id=answer.item_id,
        subject=Subject(answer.content_type_id, answer.object_id),
        target=target_key(
            kept["field"], kept["language"], kept["part"], kept["parts"], path
        ),
        request=Request(
            body=narrowed_body(answer.body, pieces, context.get("known", ())),
            context=context,
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
