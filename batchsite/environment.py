"""The environment, read so that a wrong value is one sentence that names it."""

from ipaddress import ip_network
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import environ
from django.core.exceptions import ImproperlyConfigured

FALSE_WORDS = ("false", "off", "n", "no", "0")
DATABASES = ("postgres", "postgresql", "sqlite")


class Env(environ.Env):
    """django-environ's typed reads, with three differences.

    An empty value counts as none, as compose files and CI systems pass what is unset; a
    leading `$` is a character like any other, as generated keys begin with one; what is
    not of the type asked for raises ImproperlyConfigured instead of standing for false.
    """

    def get_value(
        self,
        var: str,
        cast: Any = None,
        default: Any = environ.Env.NOTSET,
        parse_default: bool = False,
    ) -> Any:
        text = self.ENVIRON.get(var, "").strip()
        if not text:
            return default
        if cast is bool and text.lower() not in self.BOOLEAN_TRUE_STRINGS + FALSE_WORDS:
            raise _wrong(var, text, "true or false")
        try:
            return self.parse_value(text, cast)
        except ValueError as err:
            expected = "a number" if cast is float else "a whole number"
            raise _wrong(var, text, expected) from err

    def choice(self, var: str, choices: tuple[str, ...], default: str) -> str:
        """One of a few words, whatever its case."""
        text = str(self.get_value(var, str, default))
        for word in choices:
            if text.lower() == word.lower():
                return word
        raise _wrong(var, text, f"one of {', '.join(choices)}")

    def time_zone(self, var: str, default: str) -> str:
        """A name of the time zone database, as Africa/Mogadishu."""
        name = str(self.get_value(var, str, default))
        try:
            ZoneInfo(name)
        except (OSError, ValueError, ZoneInfoNotFoundError) as err:
            raise _wrong(var, name, "a time zone such as Africa/Mogadishu") from err
        return name

    def networks(self, var: str, default: list[str]) -> list[str]:
        """Addresses and networks with commas between, as 10.0.0.5, 10.1.0.0/16."""
        texts = [text.strip() for text in self.list(var, default=default)]
        for text in texts:
            try:
                ip_network(text)
            except ValueError as err:
                expected = "addresses or networks such as 10.0.0.5, 10.1.0.0/16"
                raise _wrong(var, text, expected) from err
        return texts

    def database(self, var: str, default: str) -> dict[str, Any]:
        """An address as Django's settings; never repeated, as it holds a password."""
        url = self.get_value(var, str, default)
        try:
            if urlsplit(url).scheme in DATABASES:
                return dict(self.db_url_config(url))
        except ValueError:  # of the host or the port
            pass
        raise ImproperlyConfigured(
            f"{var} is no database's address; it must be like "
            "postgres://USER:PASSWORD@HOST:5432/NAME or sqlite:////PATH."
        )

    def mail(self, var: str) -> dict[str, Any]:
        """A mail server's address as Django's EMAIL_* settings; none is none."""
        url = self.get_value(var, str, "")
        if not url:
            return {"EMAIL_BACKEND": "django.core.mail.backends.console.EmailBackend"}
        try:
            if urlsplit(url).scheme in self.EMAIL_SCHEMES:
                return dict(self.email_url_config(url))
        except ValueError:  # of the host or the port
            pass
        raise ImproperlyConfigured(
            f"{var} is no mail server's address; it must be like "
            "smtp+tls://USER:PASSWORD@HOST:587."
        )


def _wrong(var: str, text: str, expected: str) -> ImproperlyConfigured:
    return ImproperlyConfigured(
        f"{var} is {text!r} in the environment; it must be {expected}."
    )
