"""The shape of an analysis; its strict JSON schema goes out with every request."""

from functools import cache
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, create_model

from batches.workloads import Workload
from translations.chats.taxonomies import Taxonomy

Sentiment = Literal["very_negative", "negative", "neutral", "positive", "very_positive"]
Level = Literal["none", "low", "high", "urgent"]
Reason = Literal[
    "repeated_contact",
    "refund_or_chargeback",
    "legal_threat",
    "safety_of_child_or_self",
    "abuse",
    "data_privacy",
    "service_outage",
    "vip_or_press",
    "none",
]
Label = Literal["sentiment", "category", "escalation", "resolution"]


class Shape(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Escalation(Shape):
    level: Level
    reasons: list[Reason]


class AskedQuestion(Shape):
    """A question of the customer's, as one sentence that stands by itself."""

    text: str
    language: str
    message_index: int
    answered: bool
    answer_message_index: int | None


class Evidence(Shape):
    label: Label
    message_index: int
    quote: str


class ChatAnalysis(Shape):
    """`category` and `secondary_categories` are of the list that was asked with."""

    primary_language: str
    languages: list[str]
    sentiment: Sentiment
    sentiment_end: Literal["worse", "same", "better"]
    category: str
    secondary_categories: list[str]
    resolution: Literal["resolved", "unresolved", "unclear"]
    escalation: Escalation
    summary: str
    questions: list[AskedQuestion]
    evidence: list[Evidence]


@cache
def reader_of(taxonomy: Taxonomy) -> Workload:
    """The engine's way to ask for an analysis and read it, with one list of categories.

    Its `result` is `ChatAnalysis`, its categories restricted to the list.
    """
    category: Any = Literal[taxonomy.categories]
    shape = create_model(
        "ChatAnalysis",
        __base__=ChatAnalysis,
        category=(category, ...),
        secondary_categories=(list[category], ...),
    )
    reader = type(
        "AnalysisReader", (Workload,), {"key": "session_analysis", "result": shape}
    )
    return reader()
