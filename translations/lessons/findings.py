"""What the checks of summaries and questions can find, beside those of translations."""

from translations.quality.findings import TabledFinding

# Raised with every change that makes a check find more or less than before.
CHECKS_VERSION = 1

ERRORS = frozenset(
    {
        "duplicate_options",
        "evidence_not_in_source",
        "key_changed",
        "missing_explanation",
        "no_key",
        "no_objectives",
        "number_not_in_source",
        "options_lost",
        "overlapping_options",
    }
)
# What a warning takes off the score, once per place.
WARNING_COSTS = {
    "all_or_none_of_above": 10,
    "answer_in_stem": 10,
    "bloom_mismatch": 5,
    "copied": 10,
    "counts": 10,
    "duplicate_objective": 10,
    "duplicate_point": 10,
    "key_disputed": 15,
    "length": 10,
    "length_cue": 10,
    "low_coverage": 10,
    "negative_stem": 10,
    "not_in_lesson": 15,
    "option_count": 5,
    "options_uneven": 5,
    "position_bias": 5,
    "silent_change": 10,
    "vague_objective_verb": 10,
    "verb_not_first": 5,
}


class LessonFinding(TabledFinding):
    """A finding whose code is in the tables here. `segment` is a field's name."""

    errors = ERRORS
    warning_costs = WARNING_COSTS
