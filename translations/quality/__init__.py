"""Automatic checks of translations: pure functions, no database.

    findings = check_segments([Pair("Jooji", "Stop", "so", "en", "html", "s1")])
    score(findings, {"s1": 5})

They order the review queue and hold back what is broken; they do not measure accuracy.
"""

from translations.quality.checks import CHECKS, check_pair, check_segments
from translations.quality.findings import CHECKS_VERSION, Finding, has_errors, score
from translations.quality.pair import Pair

__all__ = [
    "CHECKS",
    "CHECKS_VERSION",
    "Finding",
    "Pair",
    "check_pair",
    "check_segments",
    "has_errors",
    "score",
]
