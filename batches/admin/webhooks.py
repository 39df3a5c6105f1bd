"""Webhooks in the admin: whom we tell, and what became of what was sent."""

from django import forms
from django.contrib import admin, messages
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from batches.admin.acts import Act, ActsAdmin, how_many
from batches.admin.base import KeysetAdmin, PanelAdmin, ReadOnlyAdmin
from batches.admin.display import badge, moment, number, pretty_json, row_link
from batches.admin.groups import OPERATOR, every, ship
from batches.admin.panels import Block, Panel, facts
from batches.models import ReceivedWebhook, WebhookDelivery, WebhookEndpoint
from batches.services.webhook_calls import NotReached, check_address
from batches.services.webhooks import (
    change_endpoint,
    create_endpoint,
    new_secret_for,
    send_again,
    send_test,
)
from batches.states import WebhookKind

SHOWN = 20
TOLD = [pair for pair in WebhookKind.choices if pair[0] != WebhookKind.TEST]


class EndpointForm(forms.ModelForm):
    kinds = forms.MultipleChoiceField(
        label=gettext_lazy("Events"),
        choices=TOLD,
        widget=forms.CheckboxSelectMultiple,
        initial=[kind for kind, _label in TOLD],
    )

    class Meta:
        model = WebhookEndpoint
        fields = ["name", "url", "kinds", "is_active"]

    def clean_url(self):
        url = self.cleaned_data["url"]
        try:
            check_address(url)
        except NotReached as err:
            raise forms.ValidationError(str(err)) from err
        return url


@admin.register(WebhookEndpoint)
class WebhookEndpointAdmin(PanelAdmin):
    form = EndpointForm
    add_form_template = "admin/batches/form_with_panels.html"
    change_form_template = "admin/batches/form_with_panels.html"
    actions = ["test_selected", "new_secrets"]
    list_display = ["name", "url", "kinds_label", "is_active", "last_told"]
    ordering = ["name"]

    @admin.display(description=gettext_lazy("events"))
    def kinds_label(self, endpoint):
        return endpoint.kinds_in_words

    @admin.display(description=gettext_lazy("last delivery"))
    def last_told(self, endpoint):
        last = endpoint.deliveries.order_by("-pk").first()
        return delivery_label(last) if last else self.empty_value_display

    def save_model(self, request, obj, form, change):
        by = request.user.get_username()
        if change:
            change_endpoint(obj, by=by)
        else:
            self._show(request, obj, create_endpoint(obj, by=by))

    def _show(self, request, endpoint, secret):
        text = _(
            "The secret of {} is {}. Copy it now: it is not shown again. Whoever "
            "receives events checks their signature with it."
        )
        self.message_user(
            request, format_html(text, endpoint, secret), messages.WARNING
        )

    @admin.action(description=gettext_lazy("Send a test event"), permissions=["change"])
    def test_selected(self, request, queryset):
        active = list(queryset.filter(is_active=True))
        for endpoint in active:
            send_test(endpoint, by=request.user.get_username())
        text = ngettext(
            "%(n)s test event is on its way.",
            "%(n)s test events are on their way.",
            len(active),
        )
        self.message_user(request, text % {"n": len(active)})

    @admin.action(
        description=gettext_lazy("Make a new secret; the old one counts no more"),
        permissions=["change"],
    )
    def new_secrets(self, request, queryset):
        for endpoint in queryset:
            secret = new_secret_for(endpoint, by=request.user.get_username())
            self._show(request, endpoint, secret)

    def panels(self, request, endpoint):
        if endpoint is None:
            return []
        latest = endpoint.deliveries.order_by("-pk")[:SHOWN]
        return [
            Panel(
                title=_("Latest deliveries"),
                columns=[_("Event"), _("At"), _("Tries"), _("What came of it")],
                rows=[
                    (
                        row_link(WebhookDelivery, one.pk, one.get_kind_display()),
                        moment(one.created_at),
                        one.tries,
                        delivery_label(one),
                    )
                    for one in latest.defer("body")
                ],
                empty=_("Nothing was sent there yet."),
            )
        ]


def rows_in_words(count):
    return ngettext("%(count)s delivery.", "%(count)s deliveries.", count) % {
        "count": number(count)
    }


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(ActsAdmin, KeysetAdmin):
    acts = (
        Act(
            name="send_again",
            kind="again",
            label=gettext_lazy("Send again"),
            says=gettext_lazy(
                "The same event, with the same id, is sent once more at once. Who has "
                "it already knows it by its id."
            ),
            done=gettext_lazy("On the way"),
            permission="batches.change_webhookdelivery",
            do=send_again,
            effect=how_many,
            in_words=rows_in_words,
        ),
    )
    act_column = gettext_lazy("Webhook")
    list_display = ["id", "endpoint", "kind", "created_at", "tries", "state"]
    list_filter = ["endpoint", "kind"]
    list_select_related = ["endpoint"]
    list_defer = ("body",)

    @admin.display(description=gettext_lazy("what came of it"))
    def state(self, delivery):
        return delivery_label(delivery)

    def act_row(self, delivery):
        return (
            row_link(WebhookDelivery, delivery.pk, str(delivery)),
            delivery_label(delivery),
            delivery.endpoint,
        )

    def possible_acts(self, delivery, context):
        return set() if delivery.next_at else {"again"}

    def panels(self, request, delivery):
        names = ["message_id", "created_at", "tries", "next_at", "delivered_at"]
        return [
            Panel(
                title=_("Delivery"),
                facts=[
                    (_("webhook"), row_link(WebhookEndpoint, delivery.endpoint_id)),
                    (_("event"), delivery.get_kind_display()),
                    (_("what came of it"), delivery_label(delivery)),
                    *facts(delivery, [*names, "last_status", "last_error"]),
                ],
                blocks=[Block(_("body"), pretty_json(delivery.body), is_code=True)],
            )
        ]


@admin.register(ReceivedWebhook)
class ReceivedWebhookAdmin(ReadOnlyAdmin):
    """What providers told us, for as long as they may tell it again."""

    list_display = ["webhook_id", "kind", "received_at"]
    list_filter = ["kind"]
    ordering = ["-received_at"]
    show_full_result_count = False


def delivery_label(delivery):
    if delivery.delivered_at:
        return badge(_("delivered"), "good")
    if delivery.is_given_up:
        return badge(_("given up"), "bad")
    return badge(_("to be tried again") if delivery.tries else _("waits"), "open")


ship(
    OPERATOR,
    *every(WebhookEndpoint, of=["view", "add", "change", "delete"]),
    *every(WebhookDelivery, of=["view", "change"]),
    *every(ReceivedWebhook, of=["view"]),
)
