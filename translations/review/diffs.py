"""What changed between two versions of a translation, word by word."""

from batches.services.diffs import Run, word_diff
from translations.models import TranslationVersion


def version_diff(old: TranslationVersion, new: TranslationVersion) -> list[list[Run]]:
    """The segments that differ, each word by word; the whole where they do not fit."""
    then = {segment["id"]: segment["text"] for segment in old.segments}
    now = {segment["id"]: segment["text"] for segment in new.segments}
    if not then or then.keys() != now.keys():
        return [word_diff(old.text, new.text)] if old.text != new.text else []
    return [
        word_diff(then[key], text) for key, text in now.items() if then[key] != text
    ]
