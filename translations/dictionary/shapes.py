"""The shapes of answers; each goes out as a strict JSON schema with its request."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

PartOfSpeech = Literal[
    "noun",
    "proper_noun",
    "verb",
    "adjective",
    "adverb",
    "pronoun",
    "determiner",
    "article",
    "preposition",
    "conjunction",
    "interjection",
    "numeral",
    "particle",
    "prefix",
    "suffix",
    "phrase",
    "abbreviation",
    "symbol",
]


class Shape(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Pronunciation(Shape):
    ipa: str
    variety: Literal["general", "british", "american", "other"]
    pos: str | None


class WordTranslation(Shape):
    language: str
    text: str


class Meaning(Shape):
    cluster: str
    pos: PartOfSpeech
    definition: str
    tone: Literal[
        "neutral", "formal", "informal", "slang", "offensive", "dated", "technical"
    ] = Field(alias="register")  # a name that pydantic keeps for itself
    cefr: Literal["A1", "A2", "B1", "B2", "C1", "C2", "unknown"]
    examples: list[str]
    synonyms: list[str]
    antonyms: list[str]
    translations: list[WordTranslation]


class Inflection(Shape):
    form: str
    label: str


class Etymology(Shape):
    text: str | None
    confidence: Literal["high", "medium", "low"]


class DictionaryEntry(Shape):
    headword: str
    language: str
    is_word: bool
    pronunciations: list[Pronunciation]
    meanings: list[Meaning]
    inflections: list[Inflection]
    etymology: Etymology


class Cluster(Shape):
    """Definitions that mean the same; `definitions` are their places, from 0."""

    id: str
    description: str
    definitions: list[int]


class Clusters(Shape):
    clusters: list[Cluster]
