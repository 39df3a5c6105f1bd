"""What may be approved and published, and how it is said where something may not."""

from collections.abc import Collection

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from batches.errors import BatchError
from batches.providers.registry import active_provider, is_sandbox
from translations.judging import checked_columns
from translations.models import Translation, TranslationVersion
from translations.review.texts import (
    Reading,
    judge_texts,
    read_version,
)

# What no reason makes right: nothing, or no translation, or nothing that may be shown.
NEVER_WAIVED = frozenset(
    {
        *("truncated", "refused", "invalid_json", "segments_missing", "empty"),
        *("unsafe_html", "markup_malformed", "sandbox_text"),
        *("key_changed", "pii_in_summary"),
    }
)


class ReviewRefused(BatchError):
    """An act that the rules of review do not allow; the text says why."""

    code = "review_refused"


class EditedMeanwhile(ReviewRefused):
    """The unit has another latest version than the one that was edited."""

    code = "edited_meanwhile"


class NeedsAnother(ReviewRefused):
    """A second person has to approve what this one edited."""

    code = "needs_another"


class OpenErrors(ReviewRefused):
    """Errors that nobody has mended: `codes`."""

    code = "open_errors"

    def __init__(self, codes: list[str]) -> None:
        self.codes = sorted(set(codes))
        may = (
            _("Mend the text.")
            if NEVER_WAIVED.intersection(codes)
            else _("Mend the text, or say why it is right all the same.")
        )
        found = _("The checks still find errors: %(codes)s.") % {
            "codes": ", ".join(self.codes)
        }
        super().__init__(f"{found} {may}")


def reading_of(unit: Translation, version: TranslationVersion) -> Reading:
    reading = read_version(unit, version)
    if reading is None:
        raise ReviewRefused(
            _("The source of this text is gone, or is no longer translated.")
        )
    return reading


def check_each_is_seen(reading: Reading, seen: Collection[str]) -> None:
    """A version that is up to date has something for each source that has changed."""
    left = [pair for pair in reading.pairings if pair.is_new and pair.id not in seen]
    if left:
        raise ReviewRefused(
            ngettext(
                "The source of %(count)s segment has changed. Write it anew, or say "
                "that it is still right; what you wrote is kept.",
                "The source of %(count)s segments has changed. Write each anew, or say "
                "that it is still right; what you wrote is kept.",
                len(left),
            )
            % {"count": len(left)}
        )


def check_again(reading: Reading) -> None:
    """Check a version with the rules of today, and write down what that finds."""
    version = reading.version
    columns = checked_columns(judge_texts(reading, {}))
    if any(getattr(version, name) != value for name, value in columns.items()):
        TranslationVersion.objects.filter(pk=version.pk).update(**columns)
        for name, value in columns.items():
            setattr(version, name, value)


def check_now(unit: Translation, version: TranslationVersion, waiver: str) -> None:
    """Check a version anew, write down what that finds, and refuse it on an error."""
    reading = reading_of(unit, version)
    if reading.is_stale:
        raise ReviewRefused(
            _(
                "The source has changed since this version was made. Bring the "
                "text up to date first, or have it translated anew."
            )
        )
    if version.is_sandbox and not is_sandbox(active_provider()):
        raise ReviewRefused(
            _(
                "The sandbox made this text up, and a real provider is active now. "
                "Have it translated anew."
            )
        )
    check_again(reading)
    errors = [f["code"] for f in version.findings if f["severity"] == "error"]
    if errors and not (waiver.strip() and NEVER_WAIVED.isdisjoint(errors)):
        raise OpenErrors(errors)
