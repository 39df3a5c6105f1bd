"""Jobs: what stands at the provider, what was read of it, and what fitted nowhere."""

from django.contrib import admin
from django.db.models import F, Q, Sum
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from batches.admin.acts import ActsAdmin
from batches.admin.base import KeysetAdmin, PublicIdAdmin, ReadOnlyAdmin
from batches.admin.display import (
    EMPTY,
    cost,
    link,
    list_url,
    moment,
    moment_and_age,
    number,
    percent,
    pretty_json,
    progress,
    row_link,
    status_badge,
)
from batches.admin.filters import (
    JobFilter,
    ProviderFilter,
    RunFilter,
    WorkloadFilter,
)
from batches.admin.history import events_panel
from batches.admin.job_acts import ACTS
from batches.admin.live import QUICK_SECONDS, STOP, Live, LiveAdmin
from batches.admin.notices import NoticesAdmin
from batches.admin.panels import Block, Panel, facts, row_panel, status_fact
from batches.models import BatchItem, BatchJob, JobShare, JobTally, Run, StrayLine
from batches.services.steering import (
    possible_for_job,
)
from batches.states import AT_PROVIDER, JOB_FINAL, JobStatus

SHARES_SHOWN = 100
STRAYS_COUNTED = 1_000


class JobRunFilter(RunFilter):
    path = "shares__run_id"


@admin.register(BatchJob)
class BatchJobAdmin(NoticesAdmin, LiveAdmin, ActsAdmin, PublicIdAdmin):
    acts = ACTS
    list_display = [
        "id",
        "status_label",
        "workload",
        "model",
        "provider",
        "progress_bar",
        "items",
        "failed",
        "cost",
        "created",
    ]
    list_filter = ["status", WorkloadFilter, ProviderFilter, JobRunFilter]
    list_per_page = 50
    ordering = ["-pk"]
    search_fields = ["id", "public_id", "provider_batch_id"]
    search_help_text = gettext_lazy(
        "A job's number, or the beginning of its id or of the provider's batch id."
    )

    def get_queryset(self, request):
        queryset = super().get_queryset(request)
        if request.resolver_match.url_name.endswith(("_change", "_live")):
            return queryset
        return queryset.defer("provider_answer")

    def found_by(self, term):
        return super().found_by(term) | Q(provider_batch_id__startswith=term)

    @admin.display(description=gettext_lazy("status"), ordering="status")
    def status_label(self, job):
        return status_badge(JobStatus, job.status)

    @admin.display(description=gettext_lazy("progress"))
    def progress_bar(self, job):
        return percent(*job_progress(job))

    @admin.display(description=gettext_lazy("items"), ordering="items_total")
    def items(self, job):
        return link(list_url(BatchItem, job=job.pk), number(job.items_total))

    @admin.display(description=gettext_lazy("failed"), ordering="items_failed")
    def failed(self, job):
        return number(job.items_failed)

    @admin.display(description=gettext_lazy("cost"), ordering="cost_nanos")
    def cost(self, job):
        return cost(job.cost_usd, job.provider)

    @admin.display(description=gettext_lazy("created"), ordering="created_at")
    def created(self, job):
        return moment_and_age(job.created_at)

    def act_row(self, job):
        return (
            row_link(BatchJob, job.pk, str(job)),
            status_badge(JobStatus, job.status),
            percent(*job_progress(job)),
        )

    def live(self, request, job):
        done, total = job_progress(job)
        return Live(
            panels=self._panels(job),
            sentence=_("%(status)s: %(done)s of %(items)s.")
            % {
                "status": job.get_status_display(),
                "done": number(done),
                "items": number(total),
            },
            seconds=STOP if job.status in JOB_FINAL else QUICK_SECONDS,
            acts=possible_for_job(job),
        )

    def _panels(self, job):
        panels = [
            job_panel(job),
            counts_panel(job),
            shares_panel(job),
            errors_panel(job),
            strays_panel(job),
            times_panel(job),
            events_panel(job.events, job=job.pk),
            provider_panel(job),
        ]
        return [panel for panel in panels if panel]


def job_progress(job):
    """(done, total): the provider's word while it works, then what was read of it."""
    if job.status in AT_PROVIDER:
        done = job.provider_completed + job.provider_failed
        return done, job.provider_total or job.items_total
    return job.items_done + job.items_returned, job.items_total


def job_panel(job):
    names = ["provider_status", "workload", "model", "provider", "endpoint", "account"]
    names += ["waiting_reason", "intent", "not_before", "submission_number"]
    names += ["abandoned_at"] if job.abandoned_at else []
    names += ["input_tokens", "cached_tokens", "output_tokens", "file_bytes"]
    return Panel(
        title=_("Where it stands"),
        key="figures",
        facts=[
            status_fact(job, JobStatus),
            (_("progress"), progress(*job_progress(job))),
            (_("cost"), cost(job.cost_usd, job.provider)),
            *facts(job, names),
            (_("continues"), row_link(BatchJob, job.parent_id)),
        ],
        links=[link(list_url(BatchItem, job=job.pk), _("Its items"))],
    )


def counts_panel(job):
    """Two views of one job, which agree once its files are read."""
    said_done = job.provider_completed + job.provider_failed
    read_done = job.items_done + job.items_returned
    return Panel(
        title=_("Counts"),
        key="counts",
        columns=[
            _("By"),
            _("Progress"),
            _("Done"),
            _("Failed"),
            _("Cancelled"),
            _("Returned"),
        ],
        rows=[
            (
                _("The provider"),
                progress(said_done, job.provider_total),
                number(job.provider_completed),
                number(job.provider_failed),
                EMPTY,
                EMPTY,
            ),
            (
                _("Read here"),
                progress(read_done, job.items_total),
                number(job.items_complete),
                number(job.items_failed),
                number(job.items_cancelled),
                number(job.items_returned),
            ),
        ],
        notes=[_("Returned: not executed, and back in the pool of waiting items.")],
    )


def shares_panel(job):
    shares = list(job.shares.select_related("run").order_by("run")[: SHARES_SHOWN + 1])
    panel = Panel(
        title=_("Runs in it"),
        key="runs",
        columns=[
            _("Run"),
            _("Progress"),
            _("Done"),
            _("Failed"),
            _("Cancelled"),
            _("Returned"),
            _("Follow-ups"),
            _("Cost"),
        ],
        rows=[
            (
                row_link(Run, share.run_id, str(share.run)),
                progress(share.sent - share.in_flight, share.sent),
                number(share.complete),
                number(share.failed),
                number(share.cancelled),
                number(share.returned),
                number(share.follow_ups),
                cost(share.cost_usd, job.provider),
            )
            for share in shares[:SHARES_SHOWN]
        ],
        empty=_("No run has a share in it."),
    )
    if len(shares) > SHARES_SHOWN:
        panel.notes.append(
            _("The first %(count)s are shown.") % {"count": number(SHARES_SHOWN)}
        )
        panel.links.append(link(list_url(JobShare, job=job.pk), _("All shares")))
    return panel


def errors_panel(job):
    counts = (
        job.tallies.exclude(error_code="")
        .values(code=F("error_code"))
        .annotate(total=Sum("attempts"))
        .order_by("-total")
    )
    if not counts:
        return None
    return Panel(
        title=_("Errors"),
        key="errors",
        columns=[_("Error"), _("Items")],
        rows=[
            (
                link(list_url(BatchItem, job=job.pk, error=row["code"]), row["code"]),
                number(row["total"]),
            )
            for row in counts
        ],
    )


def strays_panel(job):
    keys = job.stray_lines.values_list("pk", flat=True)[: STRAYS_COUNTED + 1]
    found = len(keys)
    if not found:
        return None
    count = number(min(found, STRAYS_COUNTED)) + ("+" if found > STRAYS_COUNTED else "")
    return Panel(
        title=_("Stray lines"),
        key="strays",
        notes=[
            ngettext(
                "%(count)s line of its files was recorded and not applied.",
                "%(count)s lines of its files were recorded and not applied.",
                found,
            )
            % {"count": count}
        ],
        links=[link(list_url(StrayLine, job=job.pk), _("See them"))],
    )


def times_panel(job):
    steps = [(_("Created"), job.created_at)]
    steps += [
        (status.label, getattr(job, f"{status}_at"))
        for status in JobStatus
        if status != JobStatus.PENDING
    ]
    reached = sorted((step for step in steps if step[1]), key=lambda step: step[1])
    return Panel(
        title=_("When"),
        key="times",
        facts=[(label, moment(at)) for label, at in reached],
    )


def provider_panel(job):
    names = ["public_id", "provider_batch_id", "input_file_id", "output_file_id"]
    names += ["error_file_id", "lease_owner", "lease_until", "next_poll_at"]
    panel = Panel(title=_("At the provider"), key="provider", facts=facts(job, names))
    if job.provider_answer:
        panel.blocks.append(
            Block(
                _("last answer"),
                pretty_json(job.provider_answer),
                direction="ltr",
                is_code=True,
            )
        )
    return panel


@admin.register(JobShare)
class JobShareAdmin(ReadOnlyAdmin):
    list_display = [
        "id",
        "job_link",
        "run_link",
        "progress_bar",
        "failed",
        "returned",
        "cost",
    ]
    list_filter = [JobFilter, RunFilter]
    list_select_related = ["job"]
    ordering = ["-pk"]
    sortable_by = ()

    @admin.display(description=gettext_lazy("job"))
    def job_link(self, share):
        return row_link(BatchJob, share.job_id)

    @admin.display(description=gettext_lazy("run"))
    def run_link(self, share):
        return row_link(Run, share.run_id)

    @admin.display(description=gettext_lazy("progress"))
    def progress_bar(self, share):
        return progress(share.sent - share.in_flight, share.sent)

    @admin.display(description=gettext_lazy("cost"))
    def cost(self, share):
        return cost(share.cost_usd, share.job.provider)


@admin.register(JobTally)
class JobTallyAdmin(ReadOnlyAdmin):
    list_display = ["id", "outcome", "error_code", "attempts", "job_link", "run_link"]
    list_filter = [JobFilter, RunFilter]
    ordering = ["-pk"]

    @admin.display(description=gettext_lazy("job"))
    def job_link(self, row):
        return row_link(BatchJob, row.job_id)

    @admin.display(description=gettext_lazy("run"))
    def run_link(self, row):
        return row_link(Run, row.run_id)


@admin.register(StrayLine)
class StrayLineAdmin(KeysetAdmin):
    list_display = ["id", "job_link", "file_id", "line", "kind", "custom_id"]
    list_filter = ["kind", JobFilter]
    list_defer = ["raw_line"]

    @admin.display(description=gettext_lazy("job"))
    def job_link(self, stray):
        return row_link(BatchJob, stray.job_id)

    def panels(self, request, stray):
        panel = row_panel(stray)
        for block in panel.blocks:
            block.is_code, block.direction = True, "ltr"
        return [panel]
