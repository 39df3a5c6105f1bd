"""Asking a workload's own code, so that a bug in it costs only its own rows."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from django.db import InterfaceError, OperationalError, transaction

from batches.errors import SubjectGone
from batches.signals import tell_items_applied
from batches.workloads import Answer, FollowUp, Verdict, Workload

Store = Callable[[Sequence[Verdict]], list[FollowUp]]


@dataclass
class Judgement:
    """Verdicts, and what the workload raised over answers that it could not judge."""

    verdicts: list[Verdict] = field(default_factory=list)
    bugs: dict[int, Exception] = field(default_factory=dict)  # by item


def judge_answers(workload: Workload, answers: Sequence[Answer]) -> Judgement:
    """Judge all at once; where that raises, one by one, and the culprit fails alone."""
    if not answers:
        return Judgement()
    try:
        return Judgement(workload.judge(answers))
    except Exception as err:
        if len(answers) == 1:
            return Judgement(bugs={answers[0].item_id: err})
    found = Judgement()
    for answer in answers:
        one = judge_answers(workload, [answer])
        found.verdicts += one.verdicts
        found.bugs |= one.bugs
    return found


@dataclass
class Stored:
    """What a workload asks for further, and the items whose results it did not store:
    over which it raised, or whose subject (named) is gone."""

    follow_ups: list[FollowUp] = field(default_factory=list)
    bugs: dict[int, Exception] = field(default_factory=dict)
    gone: dict[int, str] = field(default_factory=dict)

    def add(self, other: "Stored") -> None:
        self.follow_ups += other.follow_ups
        self.bugs |= other.bugs
        self.gone |= other.gone


def store_verdicts(store: Store, verdicts: Sequence[Verdict]) -> Stored:
    """Have results stored; where that raises, half by half, until the row is found.

    Raises OperationalError and InterfaceError: the database is away then, nothing of
    all this is lost, and it comes again.
    """
    if not verdicts:
        return Stored()
    try:
        with transaction.atomic():
            return Stored(store(verdicts))
    except (OperationalError, InterfaceError):
        raise
    except SubjectGone as err:
        rest = [v for v in verdicts if v.answer.item_id not in err.gone]
        if len(rest) == len(verdicts):
            return _store_halves(store, verdicts, err)
        found = Stored(
            gone={
                v.answer.item_id: err.gone[v.answer.item_id]
                for v in verdicts
                if v.answer.item_id in err.gone
            }
        )
        found.add(store_verdicts(store, rest))
        return found
    except Exception as err:
        return _store_halves(store, verdicts, err)


def _store_halves(store: Store, verdicts: Sequence[Verdict], err: Exception) -> Stored:
    if len(verdicts) == 1:
        return Stored(bugs={verdicts[0].answer.item_id: err})
    half = len(verdicts) // 2
    found = store_verdicts(store, verdicts[:half])
    found.add(store_verdicts(store, verdicts[half:]))
    return found


def tell_stored(workload: Workload, verdicts: Iterable[Verdict | None]) -> None:
    """Have `item_applied` sent for what was stored, after the commit."""
    tell_items_applied(
        type(workload),
        (
            {
                "item_id": verdict.answer.item_id,
                "content_type_id": verdict.answer.content_type_id,
                "object_id": verdict.answer.object_id,
                "target": verdict.answer.target,
            }
            for verdict in verdicts
            if verdict is not None
        ),
    )


def bug_in_words(workload: Workload, err: Exception) -> str:
    """What an item says whose answer the workload's code could not take."""
    return (
        f"The workload {workload.key} raised {err!r}. The answer is kept; "
        "mend the workload and apply it again."
    )
