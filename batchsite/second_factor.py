"""The page of the second factor, and what keeps everything else shut before it.

A session knows how far it came: nothing, where none was asked for at sign-in; `ASKED`
until a code is given, and `PASSED` from then on.
"""

from typing import Any

import segno
from django import forms
from django.contrib import admin, messages
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme, urlencode
from django.utils.safestring import mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters

from batches.api.middleware import ROOT
from batches.services import second_factor
from batches.services.login_throttle import forget_failures, note_failure
from batchsite.signing_in import address_of, check_throttle

STATE = "second_factor"
ASKED, PASSED = "asked", "passed"
URL_NAME = "second-factor"
# Names of pages that are open before the second factor: to leave, and to come in as
# somebody else.
OPEN_BEFORE = {
    URL_NAME,
    "admin:login",
    "admin:logout",
    "admin:jsi18n",
    "my:sign_in",
    "my:sign_out",
}


@receiver(user_logged_in, dispatch_uid="batchsite.second_factor")
def ask_at_sign_in(
    sender: Any, request: HttpRequest | None, user: AbstractBaseUser, **kwargs: Any
) -> None:
    """Every sign-in begins before the second factor, if its user has one."""
    if request is None or not isinstance(user, User):
        return
    request.session.pop(STATE, None)
    if second_factor.factor_of(user):
        request.session[STATE] = ASKED


def is_missing(request: HttpRequest) -> bool:
    """Whether this session may not go on before a code is given."""
    if not isinstance(request.user, User):
        return False
    state = request.session.get(STATE)
    if state is None:
        return second_factor.is_required_of(request.user)
    return state != PASSED


class SecondFactorGate:
    """Middleware: who has not given the code is led to the page that asks for it.

    The API answers for itself, as a key may come with the same request.
    """

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Any, args: Any, kwargs: Any
    ) -> HttpResponse | None:
        request.lacks_second_factor = is_missing(request)  # type: ignore[attr-defined]
        found = request.resolver_match
        if not request.lacks_second_factor or found is None:  # type: ignore[attr-defined]
            return None
        is_document = found.view_name in ("api:openapi-view", "api:openapi-json")
        if request.path_info.startswith(ROOT) and not is_document:
            return None
        if found.view_name in OPEN_BEFORE:
            return None
        asked = urlencode({"next": request.get_full_path()})
        return HttpResponseRedirect(f"{reverse(URL_NAME)}?{asked}")


class CodeForm(forms.Form):
    code = forms.CharField(
        label=gettext_lazy("Code"),
        max_length=40,
        widget=forms.TextInput(
            attrs={"autocomplete": "one-time-code", "autofocus": True, "dir": "ltr"}
        ),
    )


@sensitive_post_parameters("code")
@never_cache
@login_required
def second_factor_page(request: HttpRequest) -> HttpResponse:
    """Asks for a code; sets a factor up; or shows the one there is, and its end."""
    user = request.user
    assert isinstance(user, User)  # noqa: S101 (login_required)
    factor = second_factor.factor_of(user)
    form = CodeForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        act = request.POST.get("act", "pass")
        answer = _carry_out(request, user, act if factor else "confirm", form)
        if answer is not None:
            return answer
        factor = second_factor.factor_of(user)
    context: dict[str, Any] = {"form": form, "next": request.GET.get("next", "")}
    if factor is None:
        waiting = second_factor.begin(user)
        context |= {"qr": _qr(waiting), "secret": _in_groups(waiting.secret)}
    return _page(request, user, factor, context)


def _carry_out(
    request: HttpRequest, user: User, act: str, form: CodeForm
) -> HttpResponse | None:
    """Do what the button says, if the code is right; None where it is not."""
    code, now = form.cleaned_data["code"], timezone.now()
    name, address = f"{user.get_username()} second factor", address_of(request)
    check_throttle(request, name, of_codes=True)
    codes: list[str] | None = None
    if act == "confirm":
        codes = second_factor.confirm(user, code, now=now)
        is_right = codes is not None
    else:
        is_right = second_factor.check(user, code, now=now)
    if not is_right:
        note_failure(name, address, now=now.timestamp())
        form.add_error(
            "code",
            _(
                "This is not the code of now, or it was used before. Wait for the "
                "next one; if none fits, set your telephone's clock by the network."
            ),
        )
        return None
    forget_failures(name, address)
    request.session.cycle_key()
    request.session[STATE] = PASSED
    if act == "renew":
        codes = second_factor.renew_recovery_codes(user)
    if codes:
        return _page(
            request, user, second_factor.factor_of(user), {"codes": codes, "next": ""}
        )
    if act == "remove" and not second_factor.is_required_of(user):
        second_factor.remove(user, by=user.get_username())
        request.session.pop(STATE, None)
        messages.success(request, _("Your second factor is off."))
        return HttpResponseRedirect(reverse(URL_NAME))
    return HttpResponseRedirect(_next_of(request))


def _next_of(request: HttpRequest) -> str:
    """Where they were going, if that is on this site."""
    wanted = request.GET.get("next", "")
    if url_has_allowed_host_and_scheme(
        wanted, {request.get_host()}, require_https=request.is_secure()
    ):
        return wanted
    return reverse("admin:index")


def _page(
    request: HttpRequest, user: User, factor: Any, context: dict[str, Any]
) -> HttpResponse:
    is_open = not is_missing(request)
    return TemplateResponse(
        request,
        "second_factor.html",
        {
            # The menu of the admin is for those who are in.
            **(admin.site.each_context(request) if is_open else {}),
            "site_header": admin.site.site_header,
            "site_title": admin.site.site_title,
            "is_nav_sidebar_enabled": False,
            "has_permission": is_open and user.is_staff,
            "title": _("Second factor"),
            "factor": factor,
            "is_open": is_open,
            "is_required": second_factor.is_required_of(user),
            "codes_left": len(factor.recovery_digests) if factor else 0,
            **context,
        },
    )


def _qr(factor: Any) -> str:
    """An SVG drawing, black on white whatever the page's colours are."""
    code = segno.make(second_factor.address_for_app(factor), error="m")
    drawing = code.svg_inline(scale=5, light="#fff", omitsize=False)
    return mark_safe(drawing)  # noqa: S308 (squares alone: what it says is drawn)


def _in_groups(secret: str) -> str:
    return " ".join(secret[start : start + 4] for start in range(0, len(secret), 4))
