"""Settings as the engine reads them: an override row wins over the environment.

Secrets and addresses are not here: they stay in the environment, and what needs them
reads `django.conf.settings`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from django.conf import settings

from batches.errors import ConfigError
from batches.models import ConfigOverride


@dataclass(frozen=True)
class Setting:
    """How one overridable setting is checked; `check` returns the usable value."""

    check: Callable[[Any], Any]
    expected: str


def _whole(minimum: int, maximum: int) -> Setting:
    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError
        if not minimum <= value <= maximum:
            raise ValueError
        return value

    return Setting(check, f"a whole number from {minimum} to {maximum}")


def _switch() -> Setting:
    def check(value: Any) -> bool:
        if not isinstance(value, bool):
            raise ValueError
        return value

    return Setting(check, "true or false")


def _one_of(*choices: str) -> Setting:
    def check(value: Any) -> str:
        if value not in choices:
            raise ValueError
        return str(value)

    return Setting(check, "one of " + ", ".join(choices))


def _text() -> Setting:
    def check(value: Any) -> str:
        if not isinstance(value, str) or not value.strip():
            raise ValueError
        return value.strip()

    return Setting(check, "a text that is not empty")


def _list() -> Setting:
    def check(value: Any) -> list[str]:
        if not isinstance(value, list) or not all(
            isinstance(part, str) for part in value
        ):
            raise ValueError
        return value

    return Setting(check, "a list of texts")


def _cron() -> Setting:
    def check(value: Any) -> str:
        from croniter import croniter

        if not isinstance(value, str) or not croniter.is_valid(value):
            raise ValueError
        return value

    return Setting(check, "a cron line of five fields, such as */5 * * * *")


def _dollars() -> Setting:
    def check(value: Any) -> Decimal | None:
        if value in ("", None):
            return None
        try:
            dollars = Decimal(str(value))
        except InvalidOperation as err:
            raise ValueError from err
        if not dollars.is_finite() or dollars < 0:
            raise ValueError
        return dollars

    return Setting(check, "an amount of dollars of 0 or more, or empty for none")


# At most 50,000 lines: the provider's own bound for one batch.
OVERRIDABLE: dict[str, Setting] = {
    "BATCH_CREATE_INTERVAL": _cron(),
    "BATCH_CREATION_ENABLED": _switch(),
    "BATCH_MAX_ATTEMPTS": _whole(1, 10),
    "BATCH_MAX_REQUESTS": _whole(1, 50_000),
    "BATCH_MAX_WAIT_MINUTES": _whole(0, 1_440),
    "BATCH_MIN_SIZE": _whole(1, 50_000),
    "BATCH_POLLING_ENABLED": _switch(),
    "BATCH_PROCESSING_ENABLED": _switch(),
    "BATCH_RECONCILE_SCHEDULE": _cron(),
    "BATCH_RESULT_PROCESSING_INTERVAL": _cron(),
    "BATCH_STATUS_CHECK_INTERVAL": _cron(),
    "BATCH_SWEEP_SCHEDULE": _cron(),
    "BATCH_TIMEOUT_HOURS": _whole(1, 24 * 14),
    "KEEP_PROVIDER_FILES": _switch(),
    "LEASE_SECONDS": _whole(5, 3_600),
    "MAX_FIELD_CHARACTERS": _whole(1, 10_000_000),
    "MONTHLY_CAP_USD": _dollars(),
    "NIGHTLY_LIMIT": _whole(1, 100_000),
    "NIGHTLY_SCHEDULE": _cron(),
    "OPENAI_MODEL": _text(),
    "PROVIDER_DELETE_SECONDS": _whole(0, 3_600),
    "PROVIDER_TIMEOUT_SECONDS": _whole(1, 3_600),
    "PROVIDER_VISIBILITY_SECONDS": _whole(0, 3_600),
    "STAGING": _switch(),
    "TRANSLATION_LANGUAGES": _list(),
    "TRANSLATION_PUBLISH": _one_of("review", "clean", "all"),
}


def get(name: str) -> Any:
    """A setting's value: its override row's, else the environment's or the default.

    Raises ConfigError where the value cannot be used, naming it and what would do.
    """
    setting = OVERRIDABLE[name]
    override = ConfigOverride.objects.filter(pk=name).first()
    value = override.value if override else getattr(settings, name)
    try:
        return setting.check(value)
    except ValueError as err:
        source = "its override in the admin" if override else "the environment"
        raise ConfigError(
            f"{name} is {value!r} in {source}; it must be {setting.expected}."
        ) from err


def creation_enabled() -> bool:
    """Whether new jobs may be made and sent."""
    return (
        get("BATCH_PROCESSING_ENABLED")
        and get("BATCH_CREATION_ENABLED")
        and not get("STAGING")
    )


def polling_enabled() -> bool:
    """Whether jobs are polled and their results read.

    It goes on while BATCH_PROCESSING_ENABLED is off: what is paid for is not left
    there.
    """
    return get("BATCH_POLLING_ENABLED") and not get("STAGING")
