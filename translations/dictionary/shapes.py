"""The shapes of answers; each goes out as a strict JSON schema with its request."""

from typing import Any, Literal

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


def whole_entry(content: dict[str, Any]) -> dict[str, Any]:
    """A stored entry with each of its parts; what an older one lacks is empty."""
    empty: dict[str, Any] = {
        "headword": "",
        "language": "",
        "is_word": bool(content.get("meanings")),
        "pronunciations": [],
        "meanings": [],
        "inflections": [],
        "etymology": {},
    }
    whole = _filled(content, empty)
    whole["etymology"] = _filled(
        whole["etymology"], {"text": None, "confidence": "low"}
    )
    whole["meanings"] = [
        _filled(
            meaning,
            dict.fromkeys(("pos", "cluster", "cefr", "definition"), "")
            | {"examples": [], "synonyms": [], "antonyms": [], "translations": []},
        )
        for meaning in whole["meanings"]
    ]
    return whole


def _filled(given: dict[str, Any], empty: dict[str, Any]) -> dict[str, Any]:
    """Only of a list or an object does None say that it is not there."""
    there = {
        name: part
        for name, part in given.items()
        if part is not None or not isinstance(empty.get(name), list | dict)
    }
    return empty | there


class Cluster(Shape):
    """Definitions that mean the same; `definitions` are their places, from 0."""

    id: str
    description: str
    definitions: list[int]


class Clusters(Shape):
    clusters: list[Cluster]
