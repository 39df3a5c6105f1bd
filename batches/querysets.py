"""The query vocabulary: reads only, each with a name."""

from datetime import datetime, timedelta
from typing import Any, NoReturn, Self

from django.db import models
from django.db.models import Q

from batches.errors import AuditIsFixed, PromptIsFixed
from batches.states import (
    AT_PROVIDER,
    JOB_UNFINISHED,
    RUN_FINAL,
    TO_SUBMIT,
    JobStatus,
)

# No wait of a job is as long: one that seems so was set by a clock that went back.
LONGEST_WAIT = timedelta(hours=6)


def _has_come(field: str, now: datetime) -> Q:
    """Whether the time in a column is there, or none is set."""
    return (
        Q(**{f"{field}__isnull": True})
        | Q(**{f"{field}__lte": now})
        | Q(**{f"{field}__gt": now + LONGEST_WAIT})
    )


class RunQuerySet(models.QuerySet[Any]):
    def newest_first(self) -> Self:
        return self.order_by("-pk")

    def to_collect(self) -> Self:
        """Runs whose content is not all collected, oldest first."""
        return self.filter(
            collected_at__isnull=True, cancelled_at__isnull=True, paused_at__isnull=True
        ).order_by("pk")

    def unfinished(self) -> Self:
        return self.exclude(status__in=RUN_FINAL)


class BatchJobQuerySet(models.QuerySet[Any]):
    def newest_first(self) -> Self:
        return self.order_by("-pk")

    def unfinished(self) -> Self:
        return self.filter(status__in=JOB_UNFINISHED)

    def at_provider(self) -> Self:
        return self.filter(status__in=AT_PROVIDER)

    def within(self, since: datetime) -> Self:
        """Jobs of a range that reaches to now: not finished before it began."""
        return self.filter(Q(finished_at__isnull=True) | Q(finished_at__gte=since))

    def claimable(self, now: datetime) -> Self:
        """Jobs whose lease is free or has ended."""
        return self.filter(Q(lease_until__isnull=True) | Q(lease_until__lte=now))

    def ready_to_submit(self, now: datetime) -> Self:
        """Jobs to send, or whose sending was interrupted, oldest first."""
        return self.filter(_has_come("not_before", now), status__in=TO_SUBMIT).order_by(
            "pk"
        )

    def due_for_poll(self, now: datetime) -> Self:
        """Jobs at the provider whose poll time has come, longest overdue first."""
        due = self.filter(_has_come("next_poll_at", now), status__in=AT_PROVIDER)
        return due.order_by("next_poll_at", "pk")

    def abandoned_to_look_after(self, now: datetime, *, since: datetime) -> Self:
        """Jobs given up after `since` that are to be asked after again."""
        return self.filter(abandoned_at__gte=since, next_poll_at__lte=now).order_by(
            "pk"
        )

    def ready_to_ingest(self, now: datetime) -> Self:
        """Jobs whose results are at the provider and not all in, oldest first."""
        return self.filter(
            _has_come("not_before", now), status=JobStatus.COMPLETED
        ).order_by("pk")

    def with_files_left(self) -> Self:
        """Finished jobs whose files at the provider were not seen to be gone.

        Not those that a person gave up: their batch may still need its file.
        """
        return self.filter(
            finished_at__isnull=False,
            provider_files_deleted_at__isnull=True,
            abandoned_at__isnull=True,
        ).order_by("pk")


class OpenItemQuerySet(models.QuerySet[Any]):
    def waiting(self, now: datetime) -> Self:
        """The pool: open items in no job whose time has come."""
        return self.filter(job__isnull=True, ready_at__lte=now)

    def wanted_first(self) -> Self:
        return self.order_by("-priority", "item_id")


class HoldQuerySet(models.QuerySet[Any]):
    def active(self) -> Self:
        """Those in force, oldest first."""
        return self.filter(lifted_at__isnull=True).order_by("pk")


class AlertQuerySet(models.QuerySet[Any]):
    def open(self) -> Self:
        """Those that nobody has acknowledged, oldest first."""
        return self.filter(acknowledged_at__isnull=True).order_by("pk")


class EventQuerySet(models.QuerySet[Any]):
    def oldest_first(self) -> Self:
        return self.order_by("pk")


class PromptVersionQuerySet(models.QuerySet[Any]):
    def in_use(self, workload: str) -> Self:
        """The version in production and those on trial, by number."""
        used = Q(is_production=True) | ~Q(slots=[])
        return self.filter(used, workload=workload).order_by("number")

    def update(self, **changes: Any) -> int:
        """As Django's; raises PromptIsFixed for a column of what a version is."""
        if fixed := [name for name in changes if name in self.model.fixed]:
            raise PromptIsFixed("A prompt version", fixed)
        return super().update(**changes)

    def delete(self) -> NoReturn:
        raise PromptIsFixed("A prompt version", ["its being there"])


class AuditEntryQuerySet(models.QuerySet[Any]):
    """The audit log grows, and that is all that it does."""

    def newest_first(self) -> Self:
        return self.order_by("-pk")

    def update(self, **changes: Any) -> NoReturn:
        raise AuditIsFixed

    def bulk_update(self, *args: Any, **options: Any) -> NoReturn:
        raise AuditIsFixed

    def delete(self) -> NoReturn:
        raise AuditIsFixed

    def _raw_delete(self, using: str | None) -> NoReturn:
        raise AuditIsFixed
