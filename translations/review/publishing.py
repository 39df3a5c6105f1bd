"""What is published without a reviewer: one rule, and others for some language pairs.

`TRANSLATION_PUBLISH` is the rule of this workload; `TRANSLATION_PUBLISH_PAIRS` has
those of pairs, as `so>ar=review`.
"""

from batches import config

Pair = tuple[str, str]


class PublishRules(dict[Pair, str]):
    """{(source language, language): `review`, `clean` or `all`}, for every pair."""

    def __init__(self, general: str, pairs: dict[Pair, str]) -> None:
        super().__init__(pairs)
        self.general = general

    def __missing__(self, pair: Pair) -> str:
        return self.general


def publish_rules() -> PublishRules:
    """The rules as they are now. Raises ConfigError where one cannot be used."""
    pairs: dict[Pair, str] = {}
    for line in config.get("TRANSLATION_PUBLISH_PAIRS"):  # so>ar=review
        languages, _, rule = line.partition("=")
        source_language, _, language = languages.partition(">")
        pairs[source_language, language] = rule
    return PublishRules(config.get("TRANSLATION_PUBLISH"), pairs)
