"""The workloads of the dictionary: entries for words, and answers about them."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import orjson
from django.db.models import QuerySet

from batches.services.prompts import fill_prompt
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
from translations.dictionary.checks import Asked, check_entry
from translations.dictionary.definitions import definition_source
from translations.dictionary.explaining import explain_entry, explain_feature
from translations.dictionary.features import FEATURES, reader_of
from translations.dictionary.findings import PRETENDED, Finding, error_codes, score
from translations.dictionary.models import Word
from translations.dictionary.options import (
    DictionaryOptions,
    FeatureOptions,
    named_word,
)
from translations.dictionary.prompt import (
    CLUSTER_PROMPT,
    CLUSTER_TOKENS,
    DICTIONARY_PROMPT,
    ENTRY_TOKENS,
    FEATURE_PROMPT,
    FEATURE_TOKENS,
    body_of,
    grouped,
    prompt_values,
)
from translations.dictionary.reception import receptions
from translations.dictionary.selection import words_in_need, words_named
from translations.dictionary.shapes import Clusters, DictionaryEntry, Shape
from translations.dictionary.storing import store_entries, store_features
from translations.languages import language_name
from translations.review.models import REJECTED_BECAUSE

ENTRY, CLUSTERS = "entry", "clusters"
FORMS_SENT = 10
WORDS_NAMED = 3
# How the sandbox signs what it only pretends to know.
SANDBOX_SIGN = "sandbox_pseudo"


class Judged(NamedTuple):
    entry: DictionaryEntry
    findings: list[Finding]


@register
class DictionaryWorkload(Workload):
    """One entry a word. Where definitions are given they are grouped first, and the
    entry is a follow-up that gets the groups."""

    key = "dictionary"
    noun = ("word", "words")
    options = DictionaryOptions
    result = DictionaryEntry
    prompt = DICTIONARY_PROMPT
    job_size_bounds = (500, 2000)

    def subjects(self, options: DictionaryOptions, after: str, limit: int) -> Page:
        if options.words:
            return words_named(options, after, limit, skips_current=not options.redo)
        return words_in_need(options, after, limit)

    def naming(self, key: str, given: dict[str, Any]) -> dict[str, Any]:
        return {**named_word(key, given), "redo": True}

    def targets(self, subject: Subject, options: DictionaryOptions) -> Iterable[Target]:
        word: Word = subject.source
        source = None if options.no_clustering else definition_source()
        said = source.definitions(word.text, word.language) if source else []
        yield Target(CLUSTERS, source=said) if said else Target(ENTRY)

    def trait(self, target: str) -> str:
        return target

    def wholes(self, target: str) -> Sequence[str]:
        return (CLUSTERS,) if target == ENTRY else ()

    def build_request(
        self, subject: Subject, target: Target, options: DictionaryOptions, prompt: str
    ) -> Request:
        word: Word = subject.source
        system = fill_prompt(prompt, {"language": language_name(word.language)})
        message = {
            "headword": word.text,
            "language": word.language,
            "forms": sorted(word.forms)[:FORMS_SENT],
            "zipf": word.zipf,
            "translate_into": options.translate_into,
        }
        if word.rejection:
            message[REJECTED_BECAUSE] = word.rejection
        context = _context(word, target.key)
        if target.key == ENTRY:
            return self._entry_request(system, message, context)
        asked = {
            "headword": word.text,
            "language": word.language,
            "definitions": target.source,
        }
        reader = reader_of("dictionary_clusters", Clusters)
        return Request(
            body=body_of(
                CLUSTER_PROMPT, asked, reader.response_format(), CLUSTER_TOKENS
            ),
            context={
                **context,
                "definitions": target.source,
                "next": {"system": system, "message": message},
            },
        )

    def _entry_request(
        self, system: str, message: dict[str, Any], context: dict[str, Any]
    ) -> Request:
        body = body_of(system, message, self.response_format(), ENTRY_TOKENS)
        return Request(body=body, context=context)

    def judge_one(self, answer: Answer) -> Verdict:
        kept = orjson.loads(answer.context)
        if kept["step"] == CLUSTERS:
            return reader_of("dictionary_clusters", Clusters).read_result(answer)
        verdict = self.read_result(answer)
        if not verdict.error_code:
            findings = judge_entry(verdict.result, kept, answer.fingerprint)
            verdict.errors = error_codes(findings)
            verdict.result = Judged(verdict.result, findings)
        return verdict

    def store(self, verdicts: Sequence[Verdict]) -> list[FollowUp]:
        entries, asked = [], []
        for verdict in verdicts:
            answer, result = verdict.answer, verdict.result
            if isinstance(result, Clusters):
                asked.append(self._after_clusters(answer, result))
            else:
                entries.append((answer, result.entry, result.findings))
        if entries:
            store_entries(entries)
        return asked

    def _after_clusters(self, answer: Answer, result: Clusters) -> FollowUp:
        kept = orjson.loads(answer.context)
        further = kept.pop("next")
        groups = grouped(result.clusters, kept.pop("definitions"))
        message = {**further["message"], "clusters": groups}
        context = {**kept, "step": ENTRY}
        return FollowUp(
            parent_item_id=answer.item_id,
            subject=Subject(answer.content_type_id, answer.object_id),
            target=ENTRY,
            request=self._entry_request(further["system"], message, context),
        )

    def prompt_values(self, body: dict[str, Any]) -> dict[str, str]:
        return prompt_values(body)

    def measure(self, result: Judged) -> Measure:
        return Measure(result.entry.model_dump_json(), score(result.findings))

    def receptions(self, items: QuerySet[Any]) -> dict[int | None, Reception]:
        return receptions(items)

    def explain_result(
        self, *, content_type_id: int, object_id: str, target: str, item_id: int
    ) -> list[str]:
        return explain_entry(object_id, item_id)


def judge_entry(
    entry: DictionaryEntry, kept: dict[str, Any], fingerprint: str
) -> list[Finding]:
    """What the checks find; of what the sandbox made up, only that it did."""
    if fingerprint == SANDBOX_SIGN:
        said = "The sandbox made this up. A real provider will write a real entry."
        return [Finding(PRETENDED, said)]
    asked = Asked(
        headword=kept["headword"],
        language=kept["language"],
        zipf=kept["zipf"],
        forms=tuple(kept["forms"]),
    )
    return check_entry(entry, asked)


def _context(word: Word, step: str) -> dict[str, Any]:
    return {
        "step": step,
        "headword": word.text,
        "language": word.language,
        "zipf": word.zipf,
        "forms": sorted(word.forms)[:FORMS_SENT],
        "source_hash": word.source_hash,
    }


@register
class WordFeatures(Workload):
    """What a reader asks of a word in its context; each run has answers of its own."""

    key = "word_features"
    noun = ("word", "words")
    options = FeatureOptions
    result = DictionaryEntry  # each feature has its own: features.py
    prompt = FEATURE_PROMPT
    owes_own_answer = True

    def asks(self, options: FeatureOptions) -> Sequence[str]:
        return options.features

    def in_short(self, options: dict[str, Any]) -> str:
        words = options["words"]
        more = f" … ({len(words)})" if len(words) > WORDS_NAMED else ""
        return ", ".join(words[:WORDS_NAMED]) + more

    def subject_name(self, key: str) -> tuple[str, str]:
        language, _, text = key.partition(":")
        return text, language

    def subjects(self, options: FeatureOptions, after: str, limit: int) -> Page:
        return words_named(options, after, limit, skips_current=False)

    def naming(self, key: str, given: dict[str, Any]) -> dict[str, Any]:
        return {"features": sorted(FEATURES), **named_word(key, given)}

    def targets(self, subject: Subject, options: FeatureOptions) -> Iterable[Target]:
        return [Target(feature) for feature in options.features]

    def trait(self, target: str) -> str:
        return target

    def build_request(
        self, subject: Subject, target: Target, options: FeatureOptions, prompt: str
    ) -> Request:
        word: Word = subject.source
        task, shape = FEATURES[target.key]
        context = {
            "sentence": options.sentence,
            "paragraph": options.paragraph,
            "domain": options.domain,
        }
        message = {
            "word": word.text,
            "language": word.language,
            "task": task,
            "translate_into": options.translate_into,
            "context": {name: said for name, said in context.items() if said},
        }
        return Request(
            body=body_of(
                fill_prompt(prompt, {"language": language_name(word.language)}),
                message,
                reader_of(target.key, shape).response_format(),
                FEATURE_TOKENS,
            ),
            context=_context(word, target.key),
        )

    def prompt_values(self, body: dict[str, Any]) -> dict[str, str]:
        return prompt_values(body)

    def measure(self, result: tuple[str, Shape]) -> Measure:
        return Measure(result[1].model_dump_json())

    def judge_one(self, answer: Answer) -> Verdict:
        feature = orjson.loads(answer.context)["step"]
        verdict = reader_of(feature, FEATURES[feature][1]).read_result(answer)
        if not verdict.error_code:
            verdict.result = (feature, verdict.result)
        return verdict

    def store(self, verdicts: Sequence[Verdict]) -> list[FollowUp]:
        told: list[tuple[Answer, str, Shape]] = []
        for verdict in verdicts:
            feature, said = verdict.result
            told.append((verdict.answer, feature, said))
        store_features(told)
        return []

    def explain_result(
        self, *, content_type_id: int, object_id: str, target: str, item_id: int
    ) -> list[str]:
        return explain_feature(item_id)
