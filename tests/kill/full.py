"""The kill test: `python -m tests.kill.full --database sqlite --rounds 100 --seed 1`.

Real workers on a real database against the real sandbox, killed with SIGKILL at every
boundary between their steps and at random moments. In the end the database says what it
says after an undisturbed run, and the provider's ledger bills each line once. Exit
status 1 where that is not so, or where a boundary was never died at.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tests.databases import find_postgres, new_database
from tests.processes import clean_environment

if TYPE_CHECKING:
    from tests.kill.places import Databases

# As short as they may be where the sandbox shows a batch half a second late.
SHORT_WAITS = {
    "PROVIDER_VISIBILITY_SECONDS": "1",
    "PROVIDER_DELETE_SECONDS": "1",
    "PROVIDER_TIMEOUT_SECONDS": "2",
    "LEASE_SECONDS": "5",
    "BATCH_MAX_REQUESTS": "7",
}


def worker_environment(**variables: str) -> dict[str, str]:
    """The environment of workers: the sandbox, short waits, small jobs."""
    return clean_environment(
        DJANGO_SETTINGS_MODULE="batchsite.settings",
        SECRET_KEY="only-for-tests",
        DEBUG="false",
        BATCH_PROVIDER="sandbox",
        BATCHSITE_APPS="tests.gallery,tests.kill.letters",
        **SHORT_WAITS | variables,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--log", type=Path, help="write the result here, as Markdown")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kill-") as made:
        directory = Path(made)
        with _databases(given.database, directory) as databases:
            # Only now: what they import reads the environment.
            from tests.kill.campaign import Campaign, prepare
            from tests.kill.report import Report

            prepare(databases, directory)
            campaign = Campaign(databases, given.seed)
            report = Report(campaign, given.database)
            for ended in campaign.run(given.rounds):
                print(report.line(ended), file=sys.stderr, flush=True)  # noqa: T201
            if given.log:
                given.log.write_text(report.markdown())
            print(report.verdict())  # noqa: T201
            return 0 if report.is_well else 1


@contextmanager
def _databases(kind: str, directory: Path) -> Iterator["Databases"]:
    """Databases of a kind, with this process and its children set up for them."""
    if kind == "sqlite":
        _set_up(DATA_DIR=str(directory))
        from tests.kill.places import SqliteDatabases

        yield SqliteDatabases(directory)
        return
    server = find_postgres()
    with new_database(server) as url:
        _set_up(DATA_DIR=str(directory), DATABASE_URL=url)
        from tests.kill.places import PostgresDatabases

        yield PostgresDatabases(server, urlsplit(url).path.removeprefix("/"))


def _set_up(**variables: str) -> None:
    os.environ.clear()
    os.environ.update(worker_environment(**variables))
    import django

    django.setup()


if __name__ == "__main__":
    sys.exit(main())
