"""What cannot be overlooked: holds in force and critical alerts, over the lists."""

from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from batches.admin.display import list_url, number, row_url
from batches.admin.subjects import may_see
from batches.models import Alert, Hold
from batches.monitoring.attention import critical_alerts
from batches.services.holds import active_holds
from batches.states import HoldScope

SHOWN = 3  # of each kind; the others are a link away

# What the engine's codes mean; one that is not here is shown as it is.
CODES = {
    "by_hand": gettext_lazy("Raised by hand"),
    "wrong_key": gettext_lazy("Wrong key"),
    "account_trouble": gettext_lazy("Account trouble"),
    "job_late": gettext_lazy("Late job"),
    "job_very_late": gettext_lazy("Very late job"),
    "refused_often": gettext_lazy("Refused again and again"),
    "file_not_visible": gettext_lazy("File not visible"),
    "usage_differs": gettext_lazy("Usage differs from the provider's total"),
    "usage_missing": gettext_lazy("Answers without usage"),
    "abandoned_job_ended": gettext_lazy("Abandoned job has ended"),
    "low_pass_ratio": gettext_lazy("Too few answers passed"),
}


@dataclass(frozen=True)
class Notice:
    """One thing that needs somebody: what, why, and the page that leads on."""

    title: str
    text: str
    url: str
    label: Any


def code_label(code):
    return CODES.get(code, code)


def what_is_held(hold):
    if hold.scope == HoldScope.ALL:
        return hold.get_scope_display()
    return f"{hold.get_scope_display()} {hold.key}"


def notices(request):
    """Holds first; an alert that tells of a hold in force is not told twice."""
    holds = active_holds() if may_see(request, Hold) else []
    found = [
        Notice(
            _("On hold: %(what)s") % {"what": what_is_held(hold)},
            hold.message,
            row_url(Hold, hold.pk),
            _("See the hold"),
        )
        for hold in holds[:SHOWN]
    ]
    found += _others(len(holds) - SHOWN, list_url(Hold))
    if may_see(request, Alert):
        told = {(hold.code, hold.key) for hold in holds}
        alerts = [a for a in critical_alerts() if (a.code, a.key) not in told]
        found += [
            Notice(
                code_label(alert.code),
                alert.message,
                row_url(Alert, alert.pk),
                _("See the alert"),
            )
            for alert in alerts[:SHOWN]
        ]
        found += _others(len(alerts) - SHOWN, list_url(Alert))
    return found


def _others(count, url):
    if count <= 0:
        return []
    text = ngettext("and %(count)s more", "and %(count)s more", count)
    return [Notice("", text % {"count": number(count)}, url, _("See them all"))]


class NoticesAdmin:
    """A list under the notices; stands before a `ModelAdmin`."""

    change_list_template = "admin/batches/list_with_notices.html"

    def changelist_view(self, request, extra_context=None):
        context = {**(extra_context or {}), "notices": notices(request)}
        return super().changelist_view(request, context)
