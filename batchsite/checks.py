"""What is wrong with the settings, said at the start of every command."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error

from batches.config import OVERRIDABLE
from batches.errors import UnknownProvider
from batches.providers.registry import active_provider
from translations.chats.taxonomies import taxonomy_of
from translations.languages import is_known
from translations.quality.detection import detectable


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
    if settings.EVENT_STREAMS < 0:
        messages.append(
            _wrong(
                f"EVENT_STREAMS is {settings.EVENT_STREAMS}",
                "a number of streams, 0 or more; 0 pushes nothing",
            )
        )
    for name in ("LOGIN_FAILURES", "LOGIN_LOCK_MINUTES"):
        value = getattr(settings, name)
        if value < 1:
            messages.append(_wrong(f"{name} is {value}", "a whole number, 1 or more"))
    known = detectable()
    if strange := sorted({*settings.LANGUAGES_TOLD_APART} - {*known}):
        messages.append(
            _wrong(
                f"LANGUAGES_TOLD_APART has {', '.join(strange)}",
                f"codes that the language detector knows: {', '.join(known)}",
            )
        )
    if not is_known(settings.CHAT_STAFF_LANGUAGE):
        messages.append(
            _wrong(
                f"CHAT_STAFF_LANGUAGE is {settings.CHAT_STAFF_LANGUAGE}",
                "a language tag such as en or nl",
            )
        )
    try:
        taxonomy_of(settings.CHAT_CATEGORIES)
    except ValueError:
        messages.append(
            _wrong(
                f"CHAT_CATEGORIES is {settings.CHAT_CATEGORIES}",
                "academy, staff, or 2 to 48 categories with | between them, each once",
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
