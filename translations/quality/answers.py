"""What a model's answer says of itself: how it ended, and what it was unsure of."""

from collections.abc import Iterator

from translations.quality.findings import Finding, gettext_noop

# A reviewer reads why; the model's own words are shown beside it.
REASONS = {
    "ambiguous_source": gettext_noop("the source can be read in two ways"),
    "source_error": gettext_noop("the source seems to be wrong"),
    "unknown_term": gettext_noop("a term is unknown"),
    "culture_specific": gettext_noop("it would not be understood elsewhere"),
    "other": gettext_noop("another reason"),
}


def ending(finish_reason: str) -> Iterator[Finding]:
    """`truncated` or `refused`, by how the provider says the answer ended."""
    if finish_reason == "length":
        yield Finding(
            "truncated",
            gettext_noop("The answer was cut off at the output limit."),
        )
    elif finish_reason == "content_filter":
        yield Finding(
            "refused", gettext_noop("The provider held the answer back as unsuitable.")
        )


def uncertain(reason: str, note: str, segment: str) -> Finding:
    """The model's own doubt; it is no measure of quality."""
    return Finding(
        "uncertain",
        gettext_noop("The model is unsure (%(reason)s): %(note)s"),
        {"reason": REASONS.get(reason, reason), "note": note},
        segment=segment,
    )
