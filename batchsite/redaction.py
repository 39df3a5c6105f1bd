"""Keeps secrets out of what is shown and written: error pages and log lines.

A secret is known by its value, wherever it turns up, and our own keys by their form;
with DEBUG too, since a trial may well have a provider's key.
"""

import logging
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any
from urllib.parse import unquote, urlsplit

from django.conf import settings
from django.http import HttpRequest, QueryDict
from django.views.debug import SafeExceptionReporterFilter

HIDDEN = SafeExceptionReporterFilter.cleansed_substitute
SETTINGS = (
    "SECRET_KEY",
    "OPENAI_API_KEY",
    "OPENAI_ADMIN_KEY",
    "OPENAI_WEBHOOK_SECRET",
    "EMAIL_HOST_PASSWORD",
)
ADDRESSES = ("DATABASE_URL", "REDIS_URL")
# What is shorter may be a word of any text.
SHORTEST = 6
OUR_KEYS = r"bs_[0-9a-f]{10}\.[\w-]{43}|whsec_[\w+/=-]{16,}"
NAMES = re.compile(
    "passw|secret|api_?key|credential|authorization|cookie", re.IGNORECASE
)


def harmless(text: str) -> str:
    """The text with each secret replaced by stars."""
    return _pattern(tuple(_secrets())).sub(HIDDEN, text)


def _secrets() -> Iterator[str]:
    for name in SETTINGS:
        yield str(getattr(settings, name, "") or "")
    for name in ADDRESSES:
        address = str(getattr(settings, name, "") or "")
        try:
            password = urlsplit(address).password or ""
        except ValueError:  # no address; it is refused elsewhere, in words
            continue
        yield from (password, unquote(password))


@lru_cache
def _pattern(secrets: tuple[str, ...]) -> re.Pattern[str]:
    known = sorted({one for one in secrets if len(one) >= SHORTEST}, key=len)
    return re.compile("|".join([*map(re.escape, reversed(known)), OUR_KEYS]))


class LineFormatter(logging.Formatter):
    """Log lines, tracebacks included, without secrets."""

    def format(self, record: logging.LogRecord) -> str:
        return harmless(super().format(record))


class ErrorReports(SafeExceptionReporterFilter):
    """Django's filter of error pages, which also works with DEBUG, and by value."""

    hidden_settings = re.compile(
        f"{SafeExceptionReporterFilter.hidden_settings.pattern}|_URL$", re.IGNORECASE
    )

    def is_active(self, request: HttpRequest | None) -> bool:
        return True

    def cleanse_setting(self, key: Any, value: Any) -> Any:
        return _shown(super().cleanse_setting(key, value))

    def get_post_parameters(self, request: HttpRequest | None) -> Any:
        found = super().get_post_parameters(request)
        if not isinstance(found, QueryDict):
            return found
        clean = found.copy()
        for name in clean:
            if NAMES.search(name):
                clean[name] = HIDDEN
        return clean

    def get_traceback_frame_variables(self, request: Any, tb_frame: Any) -> Any:
        found = super().get_traceback_frame_variables(request, tb_frame)
        return [
            (name, HIDDEN if NAMES.search(str(name)) else _shown(value))
            for name, value in found
        ]


def _shown(value: Any) -> Any:
    """The value, or what its repr says where that holds a secret."""
    try:
        text = value if isinstance(value, str) else repr(value)
    except Exception:  # a repr may fail in any way; Django shows that as it is
        return value
    clean = harmless(text)
    return value if clean == text else clean
