"""The same text says the same thing everywhere."""

import unicodedata
from collections.abc import Iterator

from translations.quality.findings import Finding, gettext_noop
from translations.quality.pair import Pair, shortened


def inconsistent(pair: Pair) -> Iterator[Finding]:
    """People approved another translation of the same source."""
    approved = pair.background.approved.get(normal(pair.source), ())
    others = [target for target in approved if normal(target)]
    if others and normal(pair.target or "") not in map(normal, others):
        yield Finding(
            "inconsistent",
            gettext_noop("The same text was approved as “%(found)s” elsewhere."),
            {"found": shortened(others[0])},
        )


def normal(text: str) -> str:
    """Composed letters, single blanks, none at the ends: how equal texts are found."""
    return " ".join(unicodedata.normalize("NFC", text).split())
