"""What the checks can hold against an analysis, beside those of translations."""

from translations.quality.findings import TabledFinding

# Raised with every change that makes a check find more or less than before.
CHECKS_VERSION = 1

ERRORS = frozenset(
    {
        "escalation_missed",
        "evidence_not_in_source",
        "pii_in_summary",
        "question_bad_index",
    }
)
# What a warning takes off the score, once per place.
WARNING_COSTS = {
    "duplicate_question": 5,
    "escalation_conflict": 10,
    "language_conflict": 10,
    "question_missed": 5,
    "resolution_conflict": 10,
    "sentiment_conflict": 15,
    "summary_length": 5,
}


class ChatFinding(TabledFinding):
    """A finding whose code is in the tables here. `segment` is a field's name."""

    errors = ERRORS
    warning_costs = WARNING_COSTS
