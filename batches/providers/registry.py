"""Providers by key. Which one new work goes to is the environment's choice alone."""

from functools import lru_cache
from typing import TYPE_CHECKING

from django.conf import settings

from batches import config
from batches.errors import ConfigError, UnknownProvider

if TYPE_CHECKING:
    from batches.providers.openai_batch import BatchProvider
    from batches.providers.openai_organization import OrganizationUsage

OPENAI = "openai"
SANDBOX = "sandbox"
KEYS = (OPENAI, SANDBOX)


def active_provider() -> str:
    """The key of the provider that new items go to.

    Raises UnknownProvider where BATCH_PROVIDER names none, or one that lacks its key.
    """
    key = settings.BATCH_PROVIDER
    if key not in KEYS:
        raise UnknownProvider(
            f"BATCH_PROVIDER is {key!r}; it must be one of {', '.join(KEYS)}."
        )
    if key == OPENAI and not settings.OPENAI_API_KEY:
        raise UnknownProvider(
            "BATCH_PROVIDER is openai, but there is no key. Set OPENAI_API_KEY, "
            "or BATCH_PROVIDER=sandbox to work without one."
        )
    return key


def is_sandbox(key: str) -> bool:
    """Whether answers of this provider are pretended, and its money is none."""
    return key == SANDBOX


def get_provider(key: str) -> "BatchProvider":
    """The client of a provider; one a process and address."""
    if key == SANDBOX:
        address, secret = settings.SANDBOX_URL, "sandbox"
    elif key == OPENAI:
        address, secret = settings.OPENAI_BASE_URL, settings.OPENAI_API_KEY
    else:
        raise UnknownProvider(
            f"No provider is called {key!r}; there are {', '.join(KEYS)}."
        )
    return _client(key, address, secret, config.get("PROVIDER_TIMEOUT_SECONDS"))


@lru_cache(maxsize=8)
def _client(
    key: str, address: str, secret: str, timeout_seconds: int
) -> "BatchProvider":
    # Half a second of imports: left to the first process that talks to a provider.
    from batches.providers.openai_batch import BatchProvider

    return BatchProvider(
        key,
        base_url=address,
        api_key=secret,
        timeout_seconds=timeout_seconds,
        is_sandbox=is_sandbox(key),
    )


def get_organization(key: str) -> "OrganizationUsage":
    """Who tells what a provider's whole account used and cost; needs an admin key.

    Raises ConfigError where there is none.
    """
    from batches.providers.openai_organization import OrganizationUsage

    address, secret = settings.OPENAI_BASE_URL, settings.OPENAI_ADMIN_KEY
    if is_sandbox(key):
        address, secret = settings.SANDBOX_URL, "sk-admin-sandbox"
    if not secret:
        raise ConfigError(
            "OPENAI_ADMIN_KEY is not set, so the provider's own figures cannot be "
            "read. An owner of the organisation makes such a key under “Admin keys”."
        )
    return OrganizationUsage(
        key,
        base_url=address,
        admin_key=secret,
        timeout_seconds=config.get("PROVIDER_TIMEOUT_SECONDS"),
        is_sandbox=is_sandbox(key),
    )
