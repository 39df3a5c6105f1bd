"""An order for words, as the API and the page take it: checked, and as options."""

from collections.abc import Iterable
from typing import Any

from batches.errors import BatchError
from translations.dictionary.features import FEATURES
from translations.dictionary.filtering import normalised
from translations.dictionary.normalising import REASONS

WORKLOAD = "word_features"
MAX_WORDS = 100
# BATCH_MAX_ATTEMPTS goes up to ten, the first attempt included.
MAX_RETRIES = 9


class BadOrder(BatchError):
    code = "bad_request"


def order_options(
    *,
    words: list[str],
    features: Iterable[str],
    language: str = "en",
    translate_into: Iterable[str] = (),
    sentence: str = "",
    paragraph: str = "",
    domain: str = "",
    notify_progress: bool = True,
) -> dict[str, Any]:
    """The options of a run for an order. Raises BadOrder for what is no word."""
    return {
        "words": words_of(words, language),
        "features": list(features),
        "word_language": language,
        "translate_into": list(translate_into),
        "sentence": sentence,
        "paragraph": paragraph,
        "domain": domain,
        "notify_progress": notify_progress,
    }


def words_of(given: list[str], language: str) -> list[str]:
    """The words, each once. Raises BadOrder naming the first that is none."""
    found = list(normalised(given, language))
    for raw, reason in found:
        if reason:
            raise BadOrder(
                f"words.{given.index(raw)} is {raw[:50]!r}: {REASONS[reason]}. Correct "
                "it or leave it out."
            )
    return [word for word, _ in found]


def features_of(given: dict[str, bool]) -> list[str]:
    """Those that are enabled. Raises BadOrder where none is, or one is unknown."""
    unknown = [name for name in given if name not in FEATURES]
    if unknown:
        raise BadOrder(
            f"features.{unknown[0][:50]} is no feature; there are "
            f"{', '.join(FEATURES)}."
        )
    wanted = [name for name in FEATURES if given.get(name)]
    if not wanted:
        raise BadOrder(
            f"features enables none; set at least one of {', '.join(FEATURES)} to true."
        )
    return wanted
