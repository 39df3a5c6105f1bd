"""How much a process grows while it does one thing, measured in a process of its own.

Imports nothing that needs Django to be set up: the child begins here.
"""

import gc
import logging
import resource
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import django
from django.conf import settings
from django.db import connection

from batches.errors import BatchError

MB = 1_000_000
STATUS = Path("/proc/self/status")
CLEAR_REFS = Path("/proc/self/clear_refs")
RESET_PEAK = "5"  # proc(5): the peak begins anew at what is resident now


def growth_mb(errand: str, *given: Any, overrides: dict[str, Any]) -> float:
    """Peak over settled memory of a new process that runs one errand, in MB.

    `errand` names a function of `errands`, and `given` what it gets; the process works
    in our database with these settings. Raises BatchError when it dies.
    """
    return growth_and_answer(errand, *given, overrides=overrides)[0]


def growth_and_answer(
    errand: str, *given: Any, overrides: dict[str, Any]
) -> tuple[float, Any]:
    """The same, and what the errand returned."""
    context = get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    database = str(connection.settings_dict["NAME"])
    process = context.Process(
        target=_child, args=(sender, database, overrides, errand, given), daemon=True
    )
    process.start()
    sender.close()
    try:
        grown, answer = receiver.recv()
    except EOFError as err:
        raise BatchError(
            f"The process that was to {errand} died; its own words stand above."
        ) from err
    finally:
        process.terminate()
        process.join()
    return round(grown / MB, 1), answer


def _child(
    sender: Connection,
    database: str,
    overrides: dict[str, Any],
    errand: str,
    given: tuple[Any, ...],
) -> None:
    settings.DATABASES["default"]["NAME"] = database
    for name, value in overrides.items():
        setattr(settings, name, value)
    django.setup()
    logging.disable(logging.INFO)
    from batches.benchmark import errands

    errands.warm_up()
    gc.collect()
    base = _begin()
    answer = getattr(errands, errand)(*given)
    sender.send((_peak() - base, answer))


def _begin() -> int:
    """Resident bytes now; the peak begins anew where the system lets it."""
    if not CLEAR_REFS.exists():
        return _peak()
    CLEAR_REFS.write_text(RESET_PEAK)
    return _status("VmRSS")


def _peak() -> int:
    if STATUS.exists():
        return _status("VmHWM")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _status(name: str) -> int:
    for line in STATUS.read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise BatchError(f"{STATUS} has no {name}; memory cannot be measured here.")
