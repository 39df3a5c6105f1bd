"""Settings as the engine reads them: an override row wins over the environment.

Secrets and addresses are not here: they stay in the environment, and what needs them
reads `django.conf.settings`.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
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


def _ratio() -> Setting:
    def check(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError
        if not 0 <= value <= 1:
            raise ValueError
        return float(value)

    return Setting(check, "a number from 0 to 1, such as 0.8")


def _amount(minimum: float, maximum: float) -> Setting:
    def check(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError
        if not minimum <= value <= maximum:
            raise ValueError
        return float(value)

    return Setting(check, f"a number from {minimum} to {maximum:,}, such as 0.5")


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


def _some_of(*choices: str) -> Setting:
    def check(value: Any) -> list[str]:
        if not set(_list().check(value)) <= set(choices):
            raise ValueError
        return list(dict.fromkeys(value))

    return Setting(check, f"a list of {', '.join(choices)}, or empty for none")


def _list() -> Setting:
    def check(value: Any) -> list[str]:
        if not isinstance(value, list) or not all(
            isinstance(part, str) for part in value
        ):
            raise ValueError
        return value

    return Setting(check, "a list of texts")


def _figures(minimum: int, maximum: int) -> Setting:
    """A number for each of some names, written `name=number, name=number`."""

    def check(value: Any) -> dict[str, int]:
        if isinstance(value, str):
            value = [part for part in value.split(",") if part.strip()]
        if isinstance(value, list):
            pairs = [str(part).partition("=") for part in value]
            value = {name.strip(): int(number) for name, _, number in pairs}
            if len(value) != len(pairs):
                raise ValueError
        if not isinstance(value, dict):
            raise ValueError
        whole = _whole(minimum, maximum)
        if not all(isinstance(name, str) and name for name in value):
            raise ValueError
        return {name: whole.check(number) for name, number in value.items()}

    return Setting(
        check, f"names with whole numbers from {minimum} to {maximum}, as in name=5"
    )


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


LANGUAGE_PAIR = re.compile(r"([A-Za-z0-9-]+)\s*>\s*([A-Za-z0-9-]+)\s*=\s*(\w+)")


def _rules_of_pairs(*choices: str) -> Setting:
    def check(value: Any) -> list[str]:
        rules = []
        for part in _list().check(value):
            match = LANGUAGE_PAIR.fullmatch(part.strip())
            if match is None or match[3] not in choices:
                raise ValueError
            rules.append(f"{match[1]}>{match[2]}={match[3]}")
        return rules

    rules = ", ".join(choices)
    return Setting(
        check, f"a list of language pairs, each with one of {rules}: so>ar=review"
    )


# At most 50,000 lines: the provider's own bound for one batch.
OVERRIDABLE: dict[str, Setting] = {
    "ALERT_CHANNELS": _some_of("email", "log"),
    "ALERT_ERROR_PERCENT": _amount(0, 100),
    "ALERT_FAILED_JOBS": _whole(1, 1_000),
    "ALERT_JOBS_PER_HOUR": _amount(0, 1_000),
    "ALERT_PROCESSING_SECONDS": _whole(1, 14 * 86_400),
    "ALERT_SUPPRESSION_MINUTES": _figures(0, 60 * 24 * 30),
    "BATCH_AUTO_SCALING": _switch(),
    "BATCH_CREATE_INTERVAL": _cron(),
    "BATCH_CREATION_ENABLED": _switch(),
    "BATCH_MAX_ATTEMPTS": _whole(1, 10),
    "BATCH_MAX_JOBS": _whole(1, 1_000),
    "BATCH_MAX_JOBS_PER_WORKLOAD": _figures(1, 1_000),
    "BATCH_MAX_REQUESTS": _whole(1, 50_000),
    "BATCH_MAX_WAIT_MINUTES": _whole(0, 1_440),
    "BATCH_MIN_PASS_RATIO": _ratio(),
    "BATCH_MIN_SIZE": _whole(1, 50_000),
    "BATCH_POLLING_ENABLED": _switch(),
    "BATCH_PROCESSING_ENABLED": _switch(),
    "BATCH_RECONCILE_SCHEDULE": _cron(),
    "BATCH_RESULT_PROCESSING_INTERVAL": _cron(),
    "BATCH_STATUS_CHECK_INTERVAL": _cron(),
    "BATCH_SWEEP_SCHEDULE": _cron(),
    "BATCH_TIMEOUT_HOURS": _whole(1, 24 * 14),
    "DAILY_CAP_USD": _dollars(),
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
    "QUIZ_AUTO_APPLY": _switch(),
    "REVIEW_DIGEST_SCHEDULE": _cron(),
    "SOURCE_SWEEP_SCHEDULE": _cron(),
    "REVIEW_TWO_PEOPLE": _switch(),
    "RUN_CAP_USD": _dollars(),
    "STAGING": _switch(),
    "TOKEN_QUEUE_LIMITS": _figures(1, 10**15),
    "TRANSLATION_LANGUAGES": _list(),
    "TRANSLATION_PUBLISH": _one_of("review", "clean", "all"),
    "TRANSLATION_PUBLISH_PAIRS": _rules_of_pairs("review", "clean", "all"),
    "TRANSLATION_REPAIR": _switch(),
}


def get(name: str) -> Any:
    """A setting's value: its override row's, else the environment's or the default.

    Raises ConfigError where the value cannot be used, naming it and what would do.
    """
    setting = OVERRIDABLE[name]
    override = _override(name)
    value = override.value if override else getattr(settings, name)
    try:
        return setting.check(value)
    except ValueError as err:
        source = "its override in the admin" if override else "the environment"
        raise ConfigError(
            f"{name} is {value!r} in {source}; it must be {setting.expected}."
        ) from err


@contextmanager
def read_once() -> Iterator[None]:
    """Inside, all overrides are read together, by whoever asks first, and then kept.

    For what only reads, as a page does: dozens of settings there would be as many
    queries. What is changed inside the block is not seen in it.
    """
    token = _kept.set({})
    try:
        yield
    finally:
        _kept.reset(token)


# None where each reading looks anew; empty until the first one.
_kept: ContextVar[dict[str, dict[str, ConfigOverride]] | None] = ContextVar(
    "kept", default=None
)


def _override(name: str) -> ConfigOverride | None:
    kept = _kept.get()
    if kept is None:
        return ConfigOverride.objects.filter(pk=name).first()
    if "rows" not in kept:
        kept["rows"] = ConfigOverride.objects.in_bulk()
    return kept["rows"].get(name)


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
