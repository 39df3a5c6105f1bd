"""Provider limits: slots, job sizes, token queues and rate limits, on one page."""

from django.contrib import admin
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from batches.admin.base import ReadOnlyAdmin
from batches.admin.display import EMPTY, badge, moment, number
from batches.admin.panels import Panel
from batches.models import ProviderState
from batches.monitoring.limits import BY_HAND, LEARNED, TOLD, UNKNOWN, limits_now

SOURCES = {
    BY_HAND: gettext_lazy("set by hand (TOKEN_QUEUE_LIMITS)"),
    TOLD: gettext_lazy("told by the provider"),
    LEARNED: gettext_lazy("learned from refusals"),
    UNKNOWN: gettext_lazy("not known yet"),
}


@admin.register(ProviderState)
class ProviderStateAdmin(ReadOnlyAdmin):
    """The list is the page with all that is known; a row is one provider's."""

    change_list_template = "admin/batches/limits.html"
    list_display = ["provider", "state", "rate_limits_at"]
    ordering = ["provider"]

    @admin.display(description=gettext_lazy("state"))
    def state(self, provider):
        return state_badge(provider.open_until)

    def changelist_view(self, request, extra_context=None):
        limits = limits_now(timezone.now())
        panels = [
            slots_panel(limits.slots),
            queues_panel(limits.queues),
            sizes_panel(limits.sizes),
        ]
        context = {**(extra_context or {}), "panels": panels}
        return super().changelist_view(request, context)

    def panels(self, request, provider):
        found = limits_now(timezone.now())
        mine = [queue for queue in found.queues if queue.provider == provider.pk]
        (limits,) = [one for one in found.providers if one.provider == provider.pk]
        return [provider_panel(provider, limits), queues_panel(mine)]


def state_badge(open_until):
    if open_until is None:
        return badge(_("answers"), "good")
    return badge(_("rests"), "bad")


def provider_panel(provider, limits):
    headers = sorted(limits.rate_limits.items())
    return Panel(
        title=_("Provider"),
        facts=[
            (_("provider"), provider.pk),
            (_("state"), state_badge(provider.open_until)),
            (_("failures in a row"), number(limits.failures)),
            (_("asked again"), moment(limits.rests_until)),
            (_("last error"), provider.last_error or EMPTY),
            *headers,
            (_("rate limits seen"), moment(limits.rate_limits_at)),
        ],
        notes=[_("Waits for %(what)s") % {"what": limits.rests}]
        if limits.rests
        else [],
    )


def slots_panel(slots):
    return Panel(
        title=_("Slots"),
        columns=[_("kind of work"), _("unfinished jobs"), _("at most")],
        rows=[
            (one.workload or _("all"), number(one.taken), number(one.most))
            for one in slots
        ],
        is_stacked=True,
    )


def sizes_panel(sizes):
    return Panel(
        title=_("Job sizes"),
        columns=[_("kind of work"), _("items planned"), _("bounds"), _("last job")],
        rows=[
            (
                size.workload,
                number(size.planned),
                "{}–{}".format(*map(number, size.bounds)) if size.bounds else EMPTY,
                _last_job(size.learned),
            )
            for size in sizes
        ],
        is_stacked=True,
    )


def _last_job(learned):
    if learned is None:
        return EMPTY
    return _("%(done)s done, %(failed)s failed") % {
        "done": number(learned.items_complete),
        "failed": number(learned.items_failed),
    }


def queues_panel(queues):
    return Panel(
        title=_("Queues of input tokens"),
        columns=[
            _("provider"),
            _("model"),
            _("queued"),
            _("to send"),
            _("limit"),
            _("where it comes from"),
            _("refusals"),
            _("last refusal"),
        ],
        rows=[
            (
                queue.provider,
                queue.model,
                number(queue.queued),
                number(queue.to_send),
                EMPTY if queue.limit is None else number(queue.limit),
                SOURCES[queue.source],
                number(queue.learned.refusals) if queue.learned else EMPTY,
                moment(queue.learned.refused_at) if queue.learned else EMPTY,
            )
            for queue in queues
        ],
        empty=_("Nothing was queued at a provider yet."),
        is_stacked=True,
    )
