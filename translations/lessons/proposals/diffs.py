"""What a proposal would change, word by word."""

from typing import Any

from batches.services.diffs import Run, word_diff
from translations.lessons.models import Proposal, ProposalKind
from translations.lessons.proposals.contents import Values, proposed
from translations.lessons.quizzes.reading import IDS


def lines_diff(old: str, new: str) -> list[Run]:
    """As `word_diff`; where both have as many lines, each is compared with its own:
    they are a list."""
    lines, others = old.split("\n"), new.split("\n")
    if len(lines) != len(others):
        return word_diff(old, new)
    runs: list[Run] = []
    for one, other in zip(lines, others, strict=True):
        runs += [*word_diff(one, other), Run("same", "\n")]
    return runs[:-1]


def field_texts(proposal: Proposal) -> list[tuple[str, str, str]]:
    """(field, text before, text proposed), a line for each point, option or aim."""
    after = proposed(proposal)
    before = proposal.replaced or proposal.before or {}
    is_quiz = proposal.kind == ProposalKind.QUIZ
    return [
        (name, _text(name, before, is_quiz), _text(name, after, is_quiz))
        for name in after
    ]


def _text(name: str, values: Values, is_quiz: bool) -> str:
    value: Any = values.get(name)
    if not value:
        return ""
    if isinstance(value, str) and name != "options":
        return value
    if is_quiz and isinstance(value, list):
        return "\n".join(f"{IDS[at]}: {text}" for at, text in enumerate(value))
    if name == "objectives":
        return "\n".join(aim["text"] for aim in value)
    return "\n".join(map(str, value)) if isinstance(value, list) else str(value)
