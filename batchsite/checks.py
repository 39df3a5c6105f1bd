"""What is wrong with the settings, said at the start of every command."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error

from batches.config import OVERRIDABLE
from batches.errors import UnknownProvider
from batches.providers.registry import active_provider


def check_settings(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """Values out of their range, and a provider that cannot be used."""
    messages: list[CheckMessage] = []
    for name, setting in OVERRIDABLE.items():
        value = getattr(settings, name)
        try:
            setting.check(value)
        except ValueError:
            messages.append(_wrong(f"{name} is {value!r}", setting.expected))
    if settings.SECURE_HSTS_SECONDS < 0:
        messages.append(
            _wrong(
                f"SECURE_HSTS_SECONDS is {settings.SECURE_HSTS_SECONDS}",
                "a number of seconds, 0 or more",
            )
        )
    try:
        active_provider()
    except UnknownProvider as err:
        messages.append(Error(str(err), id="batchsite.E002"))
    return messages


def _wrong(found: str, expected: str) -> Error:
    return Error(
        f"{found}; it must be {expected}.",
        hint="Correct it in the environment or in .env.",
        id="batchsite.E001",
    )
