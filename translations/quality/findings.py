"""What a check found in a translation, and the score that findings add up to."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

# Raised with every change that makes a check find more or less than before.
CHECKS_VERSION = 1

Severity = Literal["error", "warning"]

ERROR_COST = 40
HIGHEST_WITH_ERROR = 49

ERRORS = frozenset(
    {
        "segments_missing",
        "empty",
        "markup_malformed",
        "tags_mismatch",
        "placeholder_mismatch",
        "url_mismatch",
        "number_mismatch",
        "sandbox_text",
    }
)
# What a warning takes off the score, once per segment.
WARNING_COSTS = {
    "tags_order": 5,
    "number_extra": 10,
}


def gettext_noop(message: str) -> str:
    """Marks a template for translation, here where Django is not known."""
    return message


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a check holds against a translation.

    `template % params` is the sentence for the reviewer; kept apart, it can be
    translated. `segment` is empty where the whole text is meant. `span` is where it
    stands in the target, in characters, if it stands there at all.
    """

    code: str
    template: str
    params: dict[str, str] = field(default_factory=dict)
    segment: str = ""
    span: tuple[int, int] | None = None
    version: int = CHECKS_VERSION

    @property
    def severity(self) -> Severity:
        return "error" if self.code in ERRORS else "warning"

    @property
    def cost(self) -> int:
        """Points off the score."""
        return ERROR_COST if self.code in ERRORS else WARNING_COSTS[self.code]

    @property
    def message(self) -> str:
        return self.template % self.params

    def to_json(self) -> dict[str, Any]:
        """Everything, with severity, cost and message written out, for storing."""
        return {
            **asdict(self),
            "severity": self.severity,
            "cost": self.cost,
            "message": self.message,
        }


def has_errors(findings: Iterable[Finding]) -> bool:
    return any(finding.severity == "error" for finding in findings)


def score(findings: Iterable[Finding], letters: Mapping[str, int] | None = None) -> int:
    """0 to 100: 100 less the costs, and at most 49 with any error.

    `letters` ({segment id: letters of its source}) names every segment of a text that
    has several; then it is 0.7 of their mean, weighted by letters, and 0.3 of the
    lowest, less what findings about the whole text cost.
    """
    findings = list(findings)
    if letters and len(letters) > 1:
        scores = {
            segment: max(0, 100 - _cost(findings, segment)) for segment in letters
        }
        weights = {segment: max(1, count) for segment, count in letters.items()}
        total = sum(scores[key] * weight for key, weight in weights.items())
        mean = total / sum(weights.values())
        result = 0.7 * mean + 0.3 * min(scores.values())
        elsewhere = {finding.segment for finding in findings} - letters.keys()
        result -= sum(_cost(findings, segment) for segment in elsewhere)
    else:
        segments = {finding.segment for finding in findings}
        result = 100.0 - sum(_cost(findings, segment) for segment in segments)
    if has_errors(findings):
        result = min(result, HIGHEST_WITH_ERROR)
    return max(0, int(result + 0.5))


def _cost(findings: Iterable[Finding], segment: str) -> int:
    """Of one segment: each error counts, a warning once per code."""
    here = [finding for finding in findings if finding.segment == segment]
    errors = sum(finding.cost for finding in here if finding.severity == "error")
    warnings = {f.code: f.cost for f in here if f.severity == "warning"}
    return errors + sum(warnings.values())
