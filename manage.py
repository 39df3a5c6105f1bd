#!/usr/bin/env python
"""Batchsite's command line; ``manage.py help`` lists the commands."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "batchsite.settings")
    try:
        from django.conf import settings
        from django.core.exceptions import ImproperlyConfigured
        from django.core.management import execute_from_command_line
        from django.db import OperationalError, ProgrammingError
    except ImportError as err:
        raise SystemExit(
            "Django is not installed in this Python. Run "
            "`pip install -r requirements.txt` in the environment you use."
        ) from err
    try:
        settings.INSTALLED_APPS  # noqa: B018  # the settings are loaded here, or never
    except ImproperlyConfigured as err:
        raise SystemExit(str(err)) from err
    try:
        execute_from_command_line(sys.argv)
    except (OperationalError, ProgrammingError) as err:
        if "--traceback" in sys.argv:
            raise
        raise SystemExit(about_the_database(str(err).partition("\n")[0])) from err
    except KeyboardInterrupt:
        raise SystemExit(130) from None  # 128 + SIGINT, as shells expect


def about_the_database(problem: str) -> str:
    """The sentence for a database that is away, or lacks what the code expects."""
    if problem.startswith(("no such ", "relation ", "column ")):
        next_step = "run `python manage.py migrate`, then this again"
    else:
        next_step = (
            "see that it is there and DATABASE_URL is right, then run this again"
        )
    return f"The database: {problem}; {next_step} (--traceback shows where)."


if __name__ == "__main__":
    main()
