"""The seven things that a reader can be told of a word, each with its shape."""

from functools import cache
from typing import Literal

from batches.workloads import Workload
from translations.dictionary.shapes import Shape, WordTranslation


class ContextDefinition(Shape):
    contextual_meaning: str
    confidence: float
    suggestions: list[str]


class SmartSummary(Shape):
    summary: str
    key_points: list[str]


class UsageExamples(Shape):
    examples: list[str]
    context_relevant: bool
    domain: str | None


class WordHistory(Shape):
    origin: str | None
    evolution: str | None
    related_words: list[str]


class DifficultyLevel(Shape):
    level: Literal["beginner", "intermediate", "advanced", "expert"]
    reasoning: str
    alternatives: list[str]


class Concept(Shape):
    word: str
    relevance: float


class RelatedConcepts(Shape):
    concepts: list[Concept]
    explanation: str


class TranslationContext(Shape):
    translations: list[WordTranslation]
    contextual_notes: str
    idiomatic_usage: str | None


# What each one asks, beside the prompt that all share; and the answer's shape.
FEATURES: dict[str, tuple[str, type[Shape]]] = {
    "context_definition": (
        "Say what the word means here; confidence from 0 to 1; suggest other readings.",
        ContextDefinition,
    ),
    "smart_summary": (
        "Sum up what a learner should know of the word, with 2 to 5 key points.",
        SmartSummary,
    ),
    "usage_examples": (
        "Give 3 to 5 natural sentences with the word, of the context's domain if any.",
        UsageExamples,
    ),
    "etymology": (
        "Say where the word comes from and how its meaning changed; null if unsure.",
        WordHistory,
    ),
    "difficulty_level": (
        "Say how hard the word is for a learner, why, and what is easier.",
        DifficultyLevel,
    ),
    "related_concepts": (
        "Name up to 8 related words, each with its relevance from 0 to 1.",
        RelatedConcepts,
    ),
    "translation_context": (
        "Translate the word as it is meant here, into every language that is named.",
        TranslationContext,
    ),
}


@cache
def reader_of(name: str, shape: type[Shape]) -> Workload:
    """The engine's way to ask for an answer and read it, for one shape of several."""
    return type(
        f"{shape.__name__}Reader", (Workload,), {"key": name, "result": shape}
    )()
