"""Signing in, whatever page it is done on: slowed down where too many tries failed."""

import time
from datetime import timedelta
from math import ceil
from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in, user_login_failed
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from batches.api.audit.addresses import client_address
from batches.services.login_throttle import (
    forget_failures,
    note_failure,
    seconds_to_wait,
)
from batches.signals import login_throttled


class LoginThrottled(Exception):
    """Too many tries failed; the next one is possible after so many seconds."""

    def __init__(self, seconds: int, *, of_codes: bool = False) -> None:
        super().__init__(f"Too many failed attempts; wait {seconds} s.")
        self.seconds = seconds
        self.of_codes = of_codes


def check_throttle(request: HttpRequest, name: str, *, of_codes: bool = False) -> None:
    """Raises LoginThrottled where the name or the address has to wait.

    `of_codes` says that codes are tried, and not passwords.
    """
    seconds = seconds_to_wait(name, address_of(request), now=time.time())
    if seconds:
        login_throttled.send(None, request=request, username=name, seconds=seconds)
        raise LoginThrottled(seconds, of_codes=of_codes)


def address_of(request: HttpRequest | None) -> str:
    return client_address(request) if request else ""


class ThrottledBackend(ModelBackend):
    """Django's, which looks at no password while there is something to wait for.

    The exception passes through every form and view, and the middleware puts it into
    words: so a sign-in page needs to know nothing of this.
    """

    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **kwargs: Any,
    ) -> User | None:
        if request is not None:
            check_throttle(request, username or "")
        return super().authenticate(request, username, password, **kwargs)


@receiver(user_login_failed, dispatch_uid="batchsite.throttle.failed")
def count_failure(
    sender: Any,
    credentials: dict[str, Any],
    request: HttpRequest | None = None,
    **kwargs: Any,
) -> None:
    if request is not None:
        name = credentials.get("username") or ""
        note_failure(str(name), address_of(request), now=time.time())


@receiver(user_logged_in, dispatch_uid="batchsite.throttle.passed")
def forget(
    sender: Any, request: HttpRequest | None, user: AbstractBaseUser, **kwargs: Any
) -> None:
    if request is not None and address_of(request):
        forget_failures(user.get_username(), address_of(request))


def throttled_page(request: HttpRequest, throttled: LoginThrottled) -> HttpResponse:
    """Says until when, to people and to programs."""
    until = timezone.localtime() + timedelta(seconds=throttled.seconds)
    response = render(
        request,
        "429.html",
        {
            "minutes": ceil(throttled.seconds / 60),
            "until": until,
            "of_codes": throttled.of_codes,
        },
        status=429,
    )
    response["Retry-After"] = str(throttled.seconds)
    return response
