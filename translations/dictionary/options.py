"""What may be asked of runs over words."""

from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from batches.workloads import RunOptions
from translations.dictionary.normalising import LONGEST
from translations.languages import is_known, known_tags

Feature = Literal[
    "context_definition",
    "smart_summary",
    "usage_examples",
    "etymology",
    "difficulty_level",
    "related_concepts",
    "translation_context",
]
LONGEST_CONTEXT = 4_000


class WordOptions(RunOptions):
    words: list[str] = Field(
        default_factory=list,
        description="word to take, whatever presets say of it",
        json_schema_extra={"flag": "word"},
    )
    word_language: str = Field(
        default="en", description="language of the words; default en"
    )
    translate_into: list[str] = Field(
        default_factory=list, description="language to give translations in"
    )

    @field_validator("word_language")
    @classmethod
    def _language_is_known(cls, tag: str) -> str:
        if not is_known(tag):
            raise ValueError("this is no language tag we know; write en, so or ar.")
        return tag

    @field_validator("translate_into")
    @classmethod
    def _languages_are_known(cls, tags: list[str]) -> list[str]:
        return known_tags(tags, such_as="so or ar")


def named_word(key: str, given: dict[str, Any]) -> dict[str, Any]:
    """Options for the word `en:patience`, or `patience` in their own language."""
    language, _, text = key.rpartition(":")
    said = {"word_language": language} if language else {}
    return {**given, **said, "words": [text]}


class DictionaryOptions(WordOptions):
    word_list: str = Field(
        default="", description="list that the words are of; default all lists"
    )
    no_clustering: bool = Field(
        default=False, description="write entries in one step, also with definitions"
    )
    redo: bool = Field(
        default=False, description="write anew what is current already, too"
    )


class FeatureOptions(WordOptions):
    features: list[Feature] = Field(
        default_factory=list,
        description="what to tell of each word",
        json_schema_extra={"flag": "feature"},
    )
    sentence: str = Field(
        default="",
        max_length=LONGEST_CONTEXT,
        description="the sentence that the words stand in",
    )
    paragraph: str = Field(
        default="", max_length=LONGEST_CONTEXT, description="the paragraph around it"
    )
    domain: str = Field(
        default="", max_length=100, description="subject of the text, such as medicine"
    )

    notify_progress: bool = Field(
        default=True, description="tell of progress among the events of the run"
    )

    @model_validator(mode="after")
    def _something_is_asked(self) -> Self:
        if not self.words:
            raise ValueError("name at least one word.")
        if not self.features:
            raise ValueError("name at least one feature.")
        for word in self.words:
            if not word.strip() or len(word) > LONGEST:
                raise ValueError(
                    f"{word[:80]!r} is no word; words have 1 to {LONGEST} letters."
                )
        self.features = list(dict.fromkeys(self.features))
        return self
