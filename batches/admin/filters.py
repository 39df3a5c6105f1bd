"""Filters of the lists: each asks the table whose index answers it."""

from uuid import UUID

from django.contrib import admin
from django.db.models import Q, Value
from django.db.models.functions import Greatest
from django.utils.translation import gettext_lazy as _

from batches.models import ItemAttempt, OpenItem, Run
from batches.providers import registry
from batches.states import ITEM_OPEN, AttemptOutcome, ItemStatus
from batches.workloads import all_workloads

BIGGEST_KEY = 2**63 - 1


class ChoiceFilter(admin.SimpleListFilter):
    """One of a few known values of a column, never read from the table."""

    def queryset(self, request, queryset):
        value = self.value()
        return queryset.filter(**{self.parameter_name: value}) if value else queryset


class WorkloadFilter(ChoiceFilter):
    title = _("workload")
    parameter_name = "workload"

    def lookups(self, request, model_admin):
        return [(key, key) for key in all_workloads()]


class ProviderFilter(ChoiceFilter):
    title = _("provider")
    parameter_name = "provider"

    def lookups(self, request, model_admin):
        return [(key, key) for key in registry.KEYS]


class TextFilter(admin.SimpleListFilter):
    """A field to type in, for what has too many values for a list of links."""

    template = "admin/batches/text_filter.html"

    def lookups(self, request, model_admin):
        return ()

    def has_output(self):
        return True

    def choices(self, changelist):
        kept = {
            name: value
            for name, value in changelist.get_filters_params().items()
            if name != self.parameter_name
        }
        yield {
            "name": self.parameter_name,
            "value": self.value() or "",
            "kept": [(name, value[-1]) for name, value in kept.items()],
            "clear_url": changelist.get_query_string(remove=[self.parameter_name]),
        }

    def queryset(self, request, queryset):
        value = (self.value() or "").strip()
        return self.matching(queryset, value) if value else queryset

    def matching(self, queryset, value):
        raise NotImplementedError


class JobFilter(TextFilter):
    title = _("job (number)")
    parameter_name = "job"

    def matching(self, queryset, value):
        key = whole_key(value)
        return queryset.none() if key is None else queryset.filter(job_id=key)


class RunFilter(TextFilter):
    title = _("run (number or id)")
    parameter_name = "run"
    path = "run_id"

    def matching(self, queryset, value):
        key = run_key(value)
        return queryset.none() if key is None else queryset.filter(**{self.path: key})


class ItemFilter(TextFilter):
    title = _("item (number)")
    parameter_name = "item"

    def matching(self, queryset, value):
        key = whole_key(value)
        return queryset.none() if key is None else queryset.filter(item_id=key)


class ItemStatusFilter(ChoiceFilter):
    """Items by status, although no index has it.

    Open ones are few, and have a table of their own; an item that ended otherwise than
    well has an attempt that says so, and these are indexed apart.
    """

    title = _("status")
    parameter_name = "status"

    def lookups(self, request, model_admin):
        return ItemStatus.choices

    def queryset(self, request, queryset):
        status = self.value()
        if status not in ItemStatus.values:
            return queryset
        queryset = queryset.filter(status=status)
        if status in ITEM_OPEN:
            waiting = OpenItem.objects.filter(job__isnull=status == ItemStatus.PENDING)
            return queryset.filter(pk__in=waiting.values("item_id"))
        if status == ItemStatus.COMPLETE:
            return queryset
        outcome = (
            AttemptOutcome.FAILED
            if status == ItemStatus.FAILED
            else AttemptOutcome.CANCELLED
        )
        return queryset.filter(pk__in=not_applied(outcome=outcome).values("item_id"))


class ErrorFilter(TextFilter):
    title = _("error code")
    parameter_name = "error"

    def matching(self, queryset, value):
        attempts = not_applied(error_code=value)
        return queryset.filter(error_code=value, pk__in=attempts.values("item_id"))


class AttemptOutcomeFilter(ChoiceFilter):
    title = _("outcome")
    parameter_name = "outcome"

    def lookups(self, request, model_admin):
        return AttemptOutcome.choices

    def queryset(self, request, queryset):
        outcome = self.value()
        if outcome not in AttemptOutcome.values:
            return queryset
        queryset = queryset.filter(outcome=outcome)
        if outcome != AttemptOutcome.APPLIED:
            queryset = queryset.filter(~Q(outcome=AttemptOutcome.APPLIED))
        return queryset


def not_applied(**where):
    """Attempts that did not go well, in the words of the index that holds them."""
    return ItemAttempt.objects.filter(~Q(outcome=AttemptOutcome.APPLIED), **where)


def whole_key(text):
    """A key out of what was typed; None where it can be none."""
    text = text.strip().removeprefix("#")
    if not text.isdecimal() or int(text) > BIGGEST_KEY:
        return None
    return int(text)


def run_key(text):
    """The key of the run with this number or public id; None where there is none."""
    try:
        public_id = UUID(text)
    except ValueError:
        return whole_key(text)
    runs = Run.objects.filter(public_id=public_id)
    return runs.values_list("pk", flat=True).first()


def text_range(field, start):
    """Q for texts that begin with `start`, as a range that a plain index answers.

    LIKE uses no index under most collations of PostgreSQL, nor under SQLite's. Which
    character sorts last depends on the collation: by code point (C, SQLite) and in ICU
    it is the highest one, which glibc passes over; there the last of the ideographs
    does. LIKE then sorts out what else a collation puts in between.
    """
    end = Greatest(Value(start + "\U0010ffff"), Value(start + "\u9fa5"))
    return Q(
        **{
            f"{field}__gte": start,
            f"{field}__lt": end,
            f"{field}__startswith": start,
        }
    )
