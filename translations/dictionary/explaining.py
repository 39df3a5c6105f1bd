"""What became of an answer about a word, for a person."""

import json

from translations.dictionary.models import Entry, FeatureAnswer
from translations.dictionary.shapes import whole_entry


def explain_entry(word: str, item_id: int) -> list[str]:
    lines = []
    for entry in Entry.objects.filter(word_id=word, item_id=item_id):
        codes = ", ".join(finding["code"] for finding in entry.findings) or "none"
        lines.append(
            f"Entry {entry.number} of {word} was made of it: automatic checks "
            f"{entry.score} of 100, findings: {codes}."
        )
        lines += [
            f"{meaning['pos']}: {meaning['definition']}"
            for meaning in whole_entry(entry.content)["meanings"]
        ]
    return lines


def explain_feature(item_id: int) -> list[str]:
    return [
        f"{told.feature} of {told.word_id}: "
        f"{json.dumps(told.content, ensure_ascii=False)}"
        for told in FeatureAnswer.objects.filter(item_id=item_id)
    ]
