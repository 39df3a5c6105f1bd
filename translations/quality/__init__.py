"""Automatic checks of translations: pure functions, no database.

    findings = check_segments([Pair("Jooji", "Stop", "so", "en", "html", "s1")])
    score(findings, {"s1": 5})

They order the review queue and hold back what is broken; they do not measure accuracy.
"""

from translations.quality.checks import (
    CHECKS,
    STRUCTURE,
    check_pair,
    check_segments,
    is_of_structure,
)
from translations.quality.findings import CHECKS_VERSION, Finding, has_errors, score
from translations.quality.pair import Background, Pair

__all__ = [
    "CHECKS",
    "CHECKS_VERSION",
    "STRUCTURE",
    "Background",
    "Finding",
    "Pair",
    "check_pair",
    "check_segments",
    "has_errors",
    "is_of_structure",
    "score",
]
