"""What became of the golden set under a prompt version, beside another one."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import mean

from django.contrib.contenttypes.models import ContentType

from batches.models import BatchItem, GoldenCase, GoldenResult, PromptVersion
from batches.providers.registry import active_provider
from batches.services.bulk import in_keys
from batches.states import ItemStatus


@dataclass(frozen=True)
class Trial:
    """The latest item of a case under one version, and its result if it has one."""

    item: BatchItem
    result: GoldenResult | None


@dataclass(frozen=True)
class Line:
    """A case, with its trial under the version looked at and under the other one."""

    case: GoldenCase
    trial: Trial | None
    other: Trial | None

    @property
    def chrf_difference(self) -> float | None:
        """By how much the version looked at is more like the reference."""
        return _difference(self.trial, self.other, "chrf")

    @property
    def score_difference(self) -> float | None:
        return _difference(self.trial, self.other, "score")


@dataclass(frozen=True)
class Summary:
    """All cases under one version; means are None where nothing was measured."""

    cases: int
    answered: int
    failed: int
    with_errors: int
    score: float | None
    chrf: float | None
    cost_nanos: int


@dataclass(frozen=True)
class Standing:
    """The golden set under a version and under the one that it is compared with."""

    version: PromptVersion
    other: PromptVersion | None
    lines: list[Line]

    @property
    def summary(self) -> Summary:
        return _summary(len(self.lines), (line.trial for line in self.lines))

    @property
    def other_summary(self) -> Summary:
        return _summary(len(self.lines), (line.other for line in self.lines))

    @property
    def better(self) -> int:
        """Cases in which the version is nearer the reference; else, scores higher."""
        return sum(way > 0 for way in self._ways)

    @property
    def worse(self) -> int:
        return sum(way < 0 for way in self._ways)

    @property
    def _ways(self) -> list[float]:
        found = (
            line.score_difference
            if line.chrf_difference is None
            else line.chrf_difference
            for line in self.lines
        )
        return [way for way in found if way is not None]


def standing(version: PromptVersion, other: PromptVersion | None) -> Standing:
    """Every case of the version's workload; asked of the provider that is in use."""
    cases = list(GoldenCase.objects.filter(workload=version.workload).order_by("pk"))
    versions = [one for one in (version, other) if one]
    trials = _trials(cases, versions)
    lines = [
        Line(
            case,
            trials.get((case.pk, version.pk)),
            trials.get((case.pk, other.pk)) if other else None,
        )
        for case in cases
    ]
    return Standing(version, other, lines)


def was_tried(version: PromptVersion) -> bool:
    """Whether a version has an answer to any golden case."""
    results = GoldenResult.objects.filter(
        case__workload=version.workload, item__prompt_version=version
    )
    return results.exists()


def _trials(
    cases: Sequence[GoldenCase], versions: Sequence[PromptVersion]
) -> dict[tuple[int, int], Trial]:
    """{(case, version): the latest trial}."""
    items = BatchItem.objects.filter(
        content_type=ContentType.objects.get_for_model(GoldenCase),
        object_id__in=[str(case.pk) for case in cases],
        prompt_version__in=versions,
        provider=active_provider(),
    ).exclude(status=ItemStatus.CANCELLED)
    latest = {
        (int(item.object_id), item.prompt_version_id): item
        for item in items.order_by("pk")
    }
    keys = [item.pk for item in latest.values()]
    results = in_keys(GoldenResult.objects.all(), "item_id", keys)
    by_item = {result.item_id: result for result in results}
    return {
        (case, version): Trial(item, by_item.get(item.pk))
        for (case, version), item in latest.items()
        if version is not None
    }


def _summary(cases: int, trials: Iterable[Trial | None]) -> Summary:
    tried = [trial for trial in trials if trial]
    results = [trial.result for trial in tried if trial.result]
    scores = [result.score for result in results if result.score is not None]
    likeness = [result.chrf for result in results if result.chrf is not None]
    return Summary(
        cases=cases,
        answered=len(results),
        failed=sum(trial.item.status == ItemStatus.FAILED for trial in tried),
        with_errors=sum(bool(result.errors) for result in results),
        score=mean(scores) if scores else None,
        chrf=mean(likeness) if likeness else None,
        cost_nanos=sum(trial.item.cost_nanos for trial in tried),
    )


def _difference(one: Trial | None, other: Trial | None, name: str) -> float | None:
    if not one or not other or not one.result or not other.result:
        return None
    mine, theirs = getattr(one.result, name), getattr(other.result, name)
    return None if mine is None or theirs is None else mine - theirs
