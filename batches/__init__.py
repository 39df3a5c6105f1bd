"""The engine: bulk work with language models that is paid for once and never lost.

`start_run` and `find_run` can be imported from here; they are loaded when asked for, as
Django reads this package before there are models.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from batches.runs import find_run as find_run
    from batches.runs import start_run as start_run

__all__ = ["find_run", "start_run"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from batches import runs

    return getattr(runs, name)
