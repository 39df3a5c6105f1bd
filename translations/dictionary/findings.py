"""What the checks hold against an entry, and the score that it adds up to."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

# Raised with every change that makes a check find more or less than before.
CHECKS_VERSION = 1

ERROR_COST = 40
HIGHEST_WITH_ERROR = 49
# Like a text that the sandbox made up: an error, and no fault of a model.
PRETENDED = "sandbox_text"
ERRORS = frozenset(
    {
        "headword_mismatch",
        "no_meaning",
        "circular_definition",
        "example_without_headword",
        "bad_ipa",
        "synonym_is_headword",
        "synonym_antonym_clash",
        "wrong_language",
        "wrong_script",
        PRETENDED,
    }
)
WARNING_COSTS = {
    "example_too_short": 5,
    "example_too_long": 5,
    "example_unfinished": 5,
    "example_count": 5,
    "meaning_count": 5,
    "duplicate_sense": 10,
    "definition_length": 5,
    "etymology_unsure": 5,
    "cefr_odd": 5,
    "rare_real_word": 15,
    "unsafe": 15,
}


@dataclass(frozen=True, slots=True)
class Finding:
    """`place` is where in the entry, such as `meanings.0.examples.1`."""

    code: str
    message: str
    place: str = ""

    @property
    def severity(self) -> str:
        return "error" if self.code in ERRORS else "warning"

    def to_json(self) -> dict[str, Any]:
        cost = ERROR_COST if self.code in ERRORS else WARNING_COSTS[self.code]
        return {**asdict(self), "severity": self.severity, "cost": cost}


def score(findings: Iterable[Finding]) -> int:
    """100 less 40 for each error and each warning's cost once; at most 49 with any
    error, and never below 0."""
    codes = [finding.code for finding in findings]
    errors = sum(code in ERRORS for code in codes)
    warned = {code for code in codes if code not in ERRORS}
    left = 100 - errors * ERROR_COST - sum(WARNING_COSTS[code] for code in warned)
    return max(0, min(left, HIGHEST_WITH_ERROR) if errors else left)


def error_codes(findings: Iterable[Finding]) -> str:
    """The errors by code, with commas; that a text is pretended is none."""
    codes = {finding.code for finding in findings if finding.code in ERRORS}
    return ",".join(sorted(codes - {PRETENDED}))
