"""What a check found in a translation, and the score that findings add up to."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Literal

# Raised with every change that makes a check find more or less than before.
CHECKS_VERSION = 2

Severity = Literal["error", "warning", "note"]

ERROR_COST = 40
HIGHEST_WITH_ERROR = 49

ERRORS = frozenset(
    {
        "truncated",
        "refused",
        "segments_missing",
        "empty",
        "markup_malformed",
        "tags_mismatch",
        "unsafe_html",
        "placeholder_mismatch",
        "url_mismatch",
        "number_mismatch",
        "wrong_script",
        "wrong_language",
        "untranslated",
        "length_extreme",
        "repetition_loop",
        "meta_text",
        "glossary_forbidden",
        "too_long",
        "sandbox_text",
    }
)
# What a warning takes off the score, once per segment.
WARNING_COSTS = {
    "tags_order": 5,
    "number_extra": 10,
    "mixed_script": 10,
    "language_unsure": 5,
    "partly_untranslated": 15,
    "length_ratio": 10,
    "glossary_missing": 15,
    "doubled_word": 5,
    "end_punctuation": 3,
    "arabic_punctuation": 3,
    "whitespace": 3,
    "control_chars": 5,
    "inconsistent": 5,
    "uncertain": 5,
}
# What a reviewer should know, and what is no fault of the translation.
NOTES = frozenset({"language_unchecked"})


def gettext_noop(message: str) -> str:
    """Marks a template for translation, here where Django is not known."""
    return message


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a check holds against a translation.

    `template % params` is the sentence for the reviewer; kept apart, it can be
    translated. `segment` is empty where the whole text is meant. `span` is where it
    stands in the target, in characters, if it stands there at all. `points` is what it
    takes off the score where that is not what its code usually does.
    """

    code: str
    template: str
    params: dict[str, str] = field(default_factory=dict)
    segment: str = ""
    span: tuple[int, int] | None = None
    version: int = CHECKS_VERSION
    points: int | None = None

    @property
    def severity(self) -> Severity:
        if self.code in ERRORS:
            return "error"
        return "note" if self.code in NOTES else "warning"

    @property
    def cost(self) -> int:
        """Points off the score."""
        if self.points is not None:
            return self.points
        return {"error": ERROR_COST, "note": 0}.get(
            self.severity, WARNING_COSTS.get(self.code, 0)
        )

    @property
    def message(self) -> str:
        return self.template % self.params

    def to_json(self) -> dict[str, Any]:
        """Everything, with severity, cost and message written out, for storing."""
        stored = asdict(self)
        del stored["points"]
        return {
            **stored,
            "severity": self.severity,
            "cost": self.cost,
            "message": self.message,
        }


class TabledFinding(Finding):
    """A finding of other checks, whose code is in the tables of its class."""

    errors: ClassVar[frozenset[str]]
    warning_costs: ClassVar[Mapping[str, int]]

    @property
    def severity(self) -> Severity:
        return "error" if self.code in self.errors else "warning"

    @property
    def cost(self) -> int:
        return ERROR_COST if self.code in self.errors else self.warning_costs[self.code]


def has_errors(findings: Iterable[Finding]) -> bool:
    return any(finding.severity == "error" for finding in findings)


def score(findings: Iterable[Finding], letters: Mapping[str, int] | None = None) -> int:
    """0 to 100: 100 less the costs, and at most 49 with any error.

    `letters` ({segment id: letters of its source}) names every segment of a text that
    has several; then it is 0.7 of their mean, weighted by letters, and 0.3 of the
    lowest, less what findings about the whole text cost.
    """
    by_segment: dict[str, list[Finding]] = {}
    for finding in findings:
        by_segment.setdefault(finding.segment, []).append(finding)
    costs = {segment: _cost(found) for segment, found in by_segment.items()}
    if letters and len(letters) > 1:
        scores = {segment: max(0, 100 - costs.get(segment, 0)) for segment in letters}
        weights = {segment: max(1, count) for segment, count in letters.items()}
        total = sum(scores[key] * weight for key, weight in weights.items())
        mean = total / sum(weights.values())
        result = 0.7 * mean + 0.3 * min(scores.values())
        result -= sum(costs[segment] for segment in costs.keys() - letters.keys())
    else:
        result = 100.0 - sum(costs.values())
    if any(has_errors(found) for found in by_segment.values()):
        result = min(result, HIGHEST_WITH_ERROR)
    return max(0, int(result + 0.5))


def _cost(findings: Iterable[Finding]) -> int:
    """Of one segment: each error counts, a warning once per code, at its dearest."""
    errors = 0
    warnings: dict[str, int] = {}
    for finding in findings:
        if finding.severity == "error":
            errors += finding.cost
        else:
            warnings[finding.code] = max(finding.cost, warnings.get(finding.code, 0))
    return errors + sum(warnings.values())
