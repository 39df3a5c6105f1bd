"""What people do to entries: approve, publish, take from view, reject. Each may be
repeated. Readers of the dictionary get the published entry of a word, one at most."""

from collections.abc import Iterable

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from batches.errors import NotPossible
from batches.providers.registry import active_provider, is_sandbox
from batches.services.events import audit
from translations.dictionary.models import Entry, Word
from translations.models import ReviewStatus
from translations.review.models import Reason, why_rejected

APPROVE, PUBLISH, UNPUBLISH, REJECT = "approve", "publish", "unpublish", "reject"


def possible_for_entry(entry: Entry) -> set[str]:
    """The acts that its status and its findings allow; others may still be refused."""
    match entry.status:
        case ReviewStatus.PENDING_REVIEW if entry.errors:
            return {REJECT}
        case ReviewStatus.PENDING_REVIEW:
            return {APPROVE, PUBLISH, REJECT}
        case ReviewStatus.APPROVED:
            return {PUBLISH}
        case ReviewStatus.PUBLISHED:
            return {UNPUBLISH}
    return set()


def approve_entry(entry: Entry, *, by: str) -> Entry:
    """Say that it is right. Raises NotPossible where it has an error."""
    with transaction.atomic():
        _word, entry = _locked(entry, APPROVE)
        _decide(entry, ReviewStatus.APPROVED, by)
        audit("entry:approve", actor=by, target=str(entry))
    return entry


def publish_entry(entry: Entry, *, by: str) -> Entry:
    """Make it the one that readers get; the one before is approved from then on.

    Raises NotPossible where it has an error, is of other words than the word stands for
    now, or is pretended while a real provider is active.
    """
    with transaction.atomic():
        word, entry = _locked(entry, PUBLISH)
        _refuse_to_publish(entry, word)
        before = Entry.objects.filter(word=word, status=ReviewStatus.PUBLISHED)
        replaced = list(before.values_list("number", flat=True))
        before.update(status=ReviewStatus.APPROVED)
        _decide(entry, ReviewStatus.PUBLISHED, by)
        audit("entry:publish", actor=by, target=str(entry), before={"was": replaced})
    return entry


def unpublish_entry(entry: Entry, *, by: str) -> Entry:
    """Take it from readers' view; it stays approved."""
    with transaction.atomic():
        _word, entry = _locked(entry, UNPUBLISH)
        _decide(entry, ReviewStatus.APPROVED, by)
        audit("entry:unpublish", actor=by, target=str(entry))
    return entry


def reject_entry(entry: Entry, *, by: str, reason: str, explanation: str = "") -> Entry:
    """Put it aside; the next request for its word tells the model why."""
    if reason not in Reason.values:
        raise NotPossible(_("Say why it is rejected: choose a reason."))
    with transaction.atomic():
        _word, entry = _locked(entry, REJECT)
        entry.reason, entry.explanation = reason, explanation
        _decide(entry, ReviewStatus.REJECTED, by)
        after = {"reason": reason, "explanation": explanation}
        audit("entry:reject", actor=by, target=str(entry), after=after)
    return entry


def rejections(words: Iterable[Word]) -> dict[str, str]:
    """{key of a word: why its latest entry was rejected}"""
    rejected = Entry.objects.filter(
        pk__in=[word.entry_id for word in words if word.entry_id],
        status=ReviewStatus.REJECTED,
    )
    return {
        entry.word_id: why_rejected(entry.reason, entry.explanation)
        for entry in rejected.only("word_id", "reason", "explanation")
    }


def _locked(entry: Entry, act: str) -> tuple[Word, Entry]:
    """Both locked, the word first: storing does it in that order, too."""
    word = Word.objects.select_for_update().get(pk=entry.word_id)
    entry = Entry.objects.select_for_update().get(pk=entry.pk)
    if act in possible_for_entry(entry):
        return word, entry
    if entry.errors and entry.status == ReviewStatus.PENDING_REVIEW:
        codes = {one["code"] for one in entry.findings if one["severity"] == "error"}
        raise NotPossible(
            f"{entry} has errors ({', '.join(sorted(codes))}). Reject it, and have a "
            f"new one written: {_again(word)}."
        )
    raise NotPossible(f"{entry} is “{entry.get_status_display()}” by now.")


def _refuse_to_publish(entry: Entry, word: Word) -> None:
    if entry.source_hash != word.source_hash:
        raise NotPossible(
            f"{entry} was written for other words than {word} stands for now. Have a "
            f"new one written: {_again(word)}."
        )
    if entry.is_sandbox and not is_sandbox(active_provider()):
        raise NotPossible(
            f"{entry} was made up by the sandbox, and a real provider is active now. "
            f"Have a new one written: {_again(word)}."
        )


def _again(word: Word) -> str:
    """The command that has the word's entry written anew."""
    return f"manage.py run_workload dictionary --word {word.text} --redo"


def _decide(entry: Entry, status: ReviewStatus, by: str) -> None:
    entry.status = status
    entry.decided_by = by[:150]
    entry.decided_at = timezone.now()
    names = ["status", "decided_by", "decided_at", "reason", "explanation"]
    entry.save(update_fields=names)
