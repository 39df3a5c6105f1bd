"""Signing in and out, one's password, and who may see a page."""

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.forms import PasswordChangeForm
from django.contrib.auth.models import User
from django.contrib.auth.views import LoginView, PasswordChangeView
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse, reverse_lazy
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache

Page = Callable[..., HttpResponseBase]


def own_page(view: Page) -> Page:
    """A page for whoever is signed in; no browser and no proxy keeps a copy of it."""
    page: Page = never_cache(login_required(view, login_url=reverse_lazy("my:sign_in")))
    return page


def user_of(request: HttpRequest) -> User:
    assert isinstance(request.user, User)  # noqa: S101 (own_page lets nobody else in)
    return request.user


def home_of(user: Any) -> str:
    """The first page for somebody: the desk for staff, their own runs for others."""
    return reverse("admin:index" if user.is_staff else "my:runs")


def front_door(request: HttpRequest) -> HttpResponse:
    return redirect(home_of(request.user))


class SignIn(LoginView):
    template_name = "my/sign_in.html"
    redirect_authenticated_user = True
    extra_context = {"title": gettext_lazy("Sign in")}

    def get_default_redirect_url(self) -> str:
        return home_of(self.request.user)


class ChangePassword(PasswordChangeView):
    template_name = "my/password.html"
    success_url = reverse_lazy("my:runs")
    title = gettext_lazy("Change password")

    def form_valid(self, form: PasswordChangeForm) -> HttpResponse:
        messages.success(self.request, _("Your password is changed."))
        return super().form_valid(form)
