"""Items: what was asked about which subject, every attempt, and what came of it."""

from django.contrib import admin
from django.db.models import Q
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from batches.admin.acts import ActsAdmin
from batches.admin.base import KeysetAdmin
from batches.admin.display import (
    EMPTY,
    cost,
    link,
    list_url,
    moment,
    number,
    pretty_json,
    row_link,
    status_badge,
)
from batches.admin.filters import (
    AttemptOutcomeFilter,
    ErrorFilter,
    ItemFilter,
    ItemStatusFilter,
    JobFilter,
    ProviderFilter,
    RunFilter,
    WorkloadFilter,
    text_range,
    whole_key,
)
from batches.admin.panels import Block, Panel, facts, status_fact
from batches.admin.reapplying import REAPPLY_ITEMS
from batches.admin.subjects import name_subjects
from batches.errors import UnknownWorkload
from batches.models import (
    BatchItem,
    BatchJob,
    ItemAttempt,
    ItemRequest,
    OpenItem,
    PromptVersion,
    Run,
)
from batches.services.reapply import possible_for_item
from batches.states import AttemptOutcome, ItemStatus
from batches.workloads import get_workload

FAILURES_SHOWN = 50
FOLLOW_UPS_SHOWN = 100


class ItemLinks:
    """Columns that link by key alone, without a query a row."""

    @admin.display(description=gettext_lazy("item"))
    def item_link(self, row):
        return row_link(BatchItem, row.item_id)

    @admin.display(description=gettext_lazy("run"))
    def run_link(self, row):
        return row_link(Run, row.run_id)

    @admin.display(description=gettext_lazy("job"))
    def job_link(self, row):
        return row_link(BatchJob, row.job_id)


class SubjectColumn:
    @admin.display(description=gettext_lazy("subject"))
    def subject(self, row):
        return row.subject_name

    def prepare_page(self, request, rows):
        name_subjects(request, rows)


@admin.register(BatchItem)
class BatchItemAdmin(SubjectColumn, ItemLinks, ActsAdmin, KeysetAdmin):
    acts = (REAPPLY_ITEMS,)
    act_column = gettext_lazy("Error")
    list_display = [
        "id",
        "status_label",
        "subject",
        "target",
        "error_code",
        "cost",
        "run_link",
        "job_link",
        "attempts",
        "workload",
        "finished",
    ]
    list_filter = [
        ItemStatusFilter,
        WorkloadFilter,
        ProviderFilter,
        ErrorFilter,
        RunFilter,
        JobFilter,
    ]
    search_fields = ["id", "object_id"]
    search_help_text = gettext_lazy(
        "An item's number, or the beginning of its subject's key."
    )

    def get_search_results(self, request, queryset, search_term):
        term = search_term.strip()
        if not term:
            return queryset, False
        where = text_range("object_id", term)
        if (key := whole_key(term)) is not None:
            where |= Q(pk=key)
        return queryset.filter(where), False

    @admin.display(description=gettext_lazy("status"))
    def status_label(self, item):
        return status_badge(ItemStatus, item.status)

    @admin.display(description=gettext_lazy("cost"))
    def cost(self, item):
        return cost(item.cost_usd, item.provider)

    @admin.display(description=gettext_lazy("finished"))
    def finished(self, item):
        return moment(item.finished_at)

    def act_row(self, item):
        return (
            row_link(BatchItem, item.pk, str(item)),
            status_badge(ItemStatus, item.status),
            item.error_code or EMPTY,
        )

    def possible_acts(self, item, context):
        return possible_for_item(item)

    def panels(self, request, item):
        panels = [item_panel(request, item), became_panel(item)]
        attempts = item.tries.order_by("pk")
        panels += [
            attempt_panel(item, attempt, position)
            for position, attempt in enumerate(attempts, start=1)
        ]
        panels.append(follow_ups_panel(item))
        panels.append(request_panel(item))
        return [panel for panel in panels if panel]


def item_panel(request, item):
    name_subjects(request, [item])
    names = ["model", "endpoint", "attempts", "input_tokens", "cached_tokens"]
    names += ["output_tokens", "created_at", "finished_at"]
    return Panel(
        title=_("Item"),
        facts=[
            status_fact(item, ItemStatus),
            (_("subject"), item.subject_name),
            (_("target"), item.target),
            (_("workload"), item.workload),
            (_("run"), row_link(Run, item.run_id)),
            (_("job"), row_link(BatchJob, item.job_id)),
            (_("error"), item.error_code or EMPTY),
            (_("cost"), cost(item.cost_usd, item.provider)),
            (_("provider"), item.provider),
            (_("prompt"), row_link(PromptVersion, item.prompt_version_id)),
            (_("follows"), row_link(BatchItem, item.parent_id)),
            *facts(item, names),
        ],
    )


def became_panel(item):
    """What the workload says of the item's answer; None where it says nothing."""
    try:
        said = get_workload(item.workload).explain_result(
            content_type_id=item.content_type_id,
            object_id=item.object_id,
            target=item.target,
            item_id=item.pk,
        )
    except UnknownWorkload as error:
        said = [str(error)]
    return Panel(title=_("What came of it"), notes=list(said)) if said else None


def attempt_panel(item, attempt, position):
    names = ["http_status", "finish_reason", "input_tokens", "cached_tokens"]
    names += ["output_tokens", "price_version", "model_snapshot", "file_kind", "line"]
    panel = Panel(
        title=_("Attempt %(number)s") % {"number": position},
        facts=[
            (_("outcome"), status_badge(AttemptOutcome, attempt.outcome)),
            (_("at"), moment(attempt.created_at)),
            (_("job"), row_link(BatchJob, attempt.job_id)),
            (_("prompt"), row_link(PromptVersion, attempt.prompt_version_id)),
            (_("error"), attempt.error_code or EMPTY),
            (_("cost"), cost(attempt.cost_usd, item.provider)),
            *facts(attempt, names),
        ],
    )
    if attempt.error_message:
        panel.notes.append(attempt.error_message)
    panel.blocks = attempt_blocks(attempt)
    return panel


def attempt_blocks(attempt):
    blocks = []
    if attempt.answer:
        blocks.append(Block(_("answer"), pretty_json(attempt.answer), is_code=True))
    if attempt.raw_line:
        blocks.append(
            Block(_("raw line"), attempt.raw_line, direction="ltr", is_code=True)
        )
    return blocks


def follow_ups_panel(item):
    follow_ups = list(item.follow_ups.order_by("pk")[:FOLLOW_UPS_SHOWN])
    if not follow_ups:
        return None
    return Panel(
        title=_("Follow-ups"),
        columns=[_("Item"), _("Target"), _("Status")],
        rows=[
            (
                row_link(BatchItem, child.pk),
                child.target,
                status_badge(ItemStatus, child.status),
            )
            for child in follow_ups
        ],
    )


def request_panel(item):
    panel = Panel(title=_("Request"), empty=_("Nothing was written to be sent."))
    request = ItemRequest.objects.filter(item_id=item.pk).first()
    if request:
        panel.blocks = request_blocks(request)
    return panel


def request_blocks(request):
    blocks = [Block(_("body"), pretty_json(request.body), is_code=True)]
    if request.context:
        blocks.append(
            Block(
                _("context (kept here, never sent)"),
                pretty_json(request.context),
                is_code=True,
            )
        )
    return blocks


def failures_panel(request, attempts, **of):
    """Failed items with their errors, from their last attempts."""
    attempts = attempts.select_related("item").defer("answer", "raw_line")
    found = list(attempts.order_by("item_id")[: FAILURES_SHOWN + 1])
    name_subjects(request, [attempt.item for attempt in found])
    panel = Panel(
        title=_("Failed items"),
        key="failures",
        columns=[_("Item"), _("Subject"), _("Target"), _("Error"), _("Message")],
        rows=[
            (
                row_link(BatchItem, attempt.item_id),
                attempt.item.subject_name,
                attempt.item.target,
                attempt.error_code,
                attempt.error_message,
            )
            for attempt in found[:FAILURES_SHOWN]
        ],
        links=[
            link(
                list_url(BatchItem, status=ItemStatus.FAILED.value, **of),
                _("All its failed items"),
            )
        ],
    )
    if len(found) > FAILURES_SHOWN:
        panel.notes.append(
            _("The first %(count)s are shown.") % {"count": number(FAILURES_SHOWN)}
        )
    return panel


@admin.register(OpenItem)
class OpenItemAdmin(SubjectColumn, ItemLinks, KeysetAdmin):
    list_display = [
        "item_id",
        "subject",
        "target",
        "workload",
        "run_link",
        "job_link",
        "priority",
        "ready_at",
    ]
    list_filter = [WorkloadFilter, ProviderFilter, JobFilter]


@admin.register(ItemRequest)
class ItemRequestAdmin(ItemLinks, KeysetAdmin):
    list_display = ["item_id", "item_link"]
    list_filter = [ItemFilter]
    list_defer = ["body", "context"]

    def panels(self, request, row):
        blocks = request_blocks(row)
        item = (_("item"), row_link(BatchItem, row.pk))
        return [Panel(title=_("Request"), facts=[item], blocks=blocks)]


@admin.register(ItemAttempt)
class ItemAttemptAdmin(ItemLinks, KeysetAdmin):
    list_display = [
        "id",
        "item_link",
        "job_link",
        "outcome_label",
        "error_code",
        "cost",
        "created_at",
    ]
    list_filter = [AttemptOutcomeFilter, ItemFilter]
    list_defer = ["answer", "raw_line", "error_message"]
    list_select_related = ["item"]

    @admin.display(description=gettext_lazy("outcome"))
    def outcome_label(self, attempt):
        return status_badge(AttemptOutcome, attempt.outcome)

    @admin.display(description=gettext_lazy("cost"))
    def cost(self, attempt):
        return cost(attempt.cost_usd, attempt.item.provider)

    def panels(self, request, attempt):
        tries = attempt.item.tries.order_by("pk").values_list("pk", flat=True)
        position = list(tries).index(attempt.pk) + 1
        panel = attempt_panel(attempt.item, attempt, position)
        panel.facts.insert(0, (_("item"), row_link(BatchItem, attempt.item_id)))
        return [panel]
