"""My keys: for programs that work in a user's name; made here, shown once, revoked."""

from typing import Any

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from batches.admin.display import link, moment
from batches.admin.panels import Panel
from batches.errors import BadOptions
from batches.models import ApiKey
from batches.models.api_key import Scope
from batches.my.access import own_page, user_of
from batches.services.api_keys import (
    OWN_SCOPES,
    create_own_key,
    revoke_api_key,
    working_keys_of,
)

DAYS = {
    "30": gettext_lazy("In 30 days"),
    "90": gettext_lazy("In 90 days"),
    "365": gettext_lazy("In a year"),
    "": gettext_lazy("Never"),
}
# What each lets a program do with its owner's runs; reading figures goes with all.
SAID = {
    Scope.READ: gettext_lazy("Read how runs stand"),
    Scope.READ_CONTENT: gettext_lazy("Read results"),
    Scope.SUBMIT: gettext_lazy("Start runs, which costs money"),
    Scope.OPERATE: gettext_lazy("Cancel runs"),
}


class KeyForm(forms.Form):
    name = forms.CharField(
        label=gettext_lazy("Name"),
        max_length=60,
        help_text=gettext_lazy("Of what will use it, such as “laptop”."),
        widget=forms.TextInput(attrs={"autocomplete": "off", "dir": "auto"}),
    )
    scopes = forms.MultipleChoiceField(
        label=gettext_lazy("It may"),
        choices=[(scope.value, SAID[scope]) for scope in OWN_SCOPES],
        initial=[Scope.READ.value],
        widget=forms.CheckboxSelectMultiple,
    )
    expires_days = forms.TypedChoiceField(
        label=gettext_lazy("It ends"),
        choices=list(DAYS.items()),
        coerce=int,
        empty_value=None,
        initial="90",
        required=False,
    )


@own_page
@require_http_methods(["GET", "HEAD", "POST"])
def keys_page(request: HttpRequest) -> HttpResponseBase:
    """What there is, and a form for another; its text is in this one answer alone."""
    shown: dict[str, Any] = {}
    form = KeyForm(request.POST or None)
    if form.is_valid():
        try:
            key, text = create_own_key(user_of(request), **form.cleaned_data)
        except BadOptions as err:
            form.add_error("name", str(err))
        else:
            shown = {"new_key": key, "new_text": text}
            form = KeyForm()
    return render(
        request,
        "my/keys.html",
        {
            "title": _("My keys"),
            "form": form,
            "panels": [_panel(working_keys_of(user_of(request)).order_by("-pk"))],
            **shown,
        },
    )


def _panel(keys: Any) -> Panel:
    return Panel(
        title=_("Keys that work"),
        key="keys",
        columns=[
            _("Name"),
            _("Begins with"),
            _("It may"),
            _("Last used"),
            _("Ends"),
            "",
        ],
        rows=[
            (
                key.name,
                key.prefix,
                ", ".join(str(SAID.get(scope, scope)) for scope in key.scopes),
                moment(key.last_used_at),
                moment(key.expires_at) if key.expires_at else _("never"),
                link(reverse("my:revoke", args=[key.prefix]), _("Revoke…")),
            )
            for key in keys
        ],
        empty=_("None yet. A program needs one to use the API in your name."),
        is_stacked=True,
    )


@own_page
@require_http_methods(["GET", "HEAD", "POST"])
def revoke_page(request: HttpRequest, prefix: str) -> HttpResponseBase:
    user = user_of(request)
    key = ApiKey.objects.filter(owner=user, prefix=prefix).first()
    if key is None:
        raise Http404(f"You have no key {prefix}.")
    if request.method == "POST":
        revoke_api_key(key, by=user.get_username())
        messages.success(request, _("The key %(key)s is revoked.") % {"key": key.name})
        return redirect("my:keys")
    return render(
        request,
        "my/sure.html",
        {
            "title": _("Revoke this key?"),
            "what": key.name,
            "says": _("Programs that use it are refused, at once and for good."),
            "yes": _("Yes, revoke it"),
            "back_url": reverse("my:keys"),
        },
    )
