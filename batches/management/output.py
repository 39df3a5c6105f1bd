"""How commands speak: results on stdout, progress and trouble on stderr."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.core.management.base import CommandError

from batches.errors import BatchError


@contextmanager
def told_to_the_operator() -> Iterator[None]:
    """A BatchError ends the command with its sentence, and no traceback."""
    try:
        yield
    except BatchError as err:
        raise CommandError(str(err)) from err


def positive_whole(text: str) -> int:
    """An argparse type: 1, 2, 3 …"""
    from argparse import ArgumentTypeError

    try:
        value = int(text)
    except ValueError as err:
        raise ArgumentTypeError(
            f"{text!r} is no whole number; give 1 or more."
        ) from err
    if value < 1:
        raise ArgumentTypeError(f"{value} is too small; give 1 or more.")
    return value


def counted(number: int, one: str, many: str | None = None) -> str:
    """`1 item`, `2 items`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
