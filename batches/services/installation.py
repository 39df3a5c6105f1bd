"""Who we are at the provider, and whether this database may act in that name.

A copy of a database carries the installation's id with it: it would send what the
original sends, and delete the original's files. So a database acts only

- from the place it acted from before: the same file, or its server and name there;
- by a process on a known disk: one with our mark in DATA_DIR.

The first place and the first disk are taken as they come. A disk that is new, as that
of a second worker machine, is admitted when a known one is seen at work in the same
database after it came; in a copy there is none. Everything else is for a person to
say: `reconcile_batches --adopt` or `--new-installation`.
"""

import hashlib
import os
import socket
import uuid
from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from batches.errors import HeldBack
from batches.models import Alert, Installation, InstallationDisk
from batches.services.alerts import acknowledge, raise_alert
from batches.services.events import audit
from batches.signals import announce
from batches.states import Severity

# How often a disk at work says so, and how long it is waited for by one that is new.
SEEN_EVERY = timedelta(minutes=1)
VOUCHED_WITHIN = timedelta(minutes=10)
COPIED = "copied_database"
WHAT_TO_DO = (
    "If this is the original, moved or restored here, say `manage.py reconcile_batches "
    "--adopt`; if it is a copy, say `--new-installation`."
)


class NotTheOriginal(HeldBack):
    """This database may be a copy: it must not act at the provider."""

    code = COPIED


def installation_id() -> str:
    """This installation's id, as text; as old as the database."""
    return installation().public_id.hex


def installation() -> Installation:
    """The row that the migrations made."""
    row, _ = Installation.objects.get_or_create(pk=1)
    return row


def check_may_act() -> None:
    """The one question before anything is sent, cancelled or deleted at a provider.

    Raises NotTheOriginal where this database may be a copy, and alerts; reading at the
    provider needs no permission.
    """
    if why_not := why_not_act():
        raise NotTheOriginal(why_not)


def may_act() -> bool:
    """Whether `check_may_act` would let us."""
    return not why_not_act()


def why_not_act() -> str:
    """Why nothing may be sent, cancelled or deleted from here; empty where it may."""
    row = installation()
    here = database_hash()
    if not row.database_hash:
        Installation.objects.filter(pk=row.pk, database_hash="").update(
            database_hash=here
        )
    elif row.database_hash != here:
        return _told(
            f"The database of installation {row} is not where it was when it last "
            f"acted: it was moved, restored or copied. Nothing is sent. {WHAT_TO_DO}"
        )
    now = timezone.now()
    disk = _this_disk(row, now)
    if disk.admitted_at is None and not _is_vouched_for(disk):
        message = (
            f"No process of installation {row} has worked on this disk "
            f"({settings.DATA_DIR}) before. Nothing is sent from here until a process "
            f"on a known disk is seen at work. {WHAT_TO_DO}"
        )
        known = row.disks.filter(admitted_at__isnull=False)
        if known.filter(seen_at__gt=now - VOUCHED_WITHIN).exists():
            return message
        return _told(message)
    if disk.admitted_at is None:
        row.disks.filter(pk=disk.pk).update(admitted_at=now, seen_at=now)
    elif disk.seen_at < now - SEEN_EVERY:
        row.disks.filter(pk=disk.pk).update(seen_at=now)
    return ""


def _told(message: str) -> str:
    raise_alert(COPIED, message, severity=Severity.CRITICAL)
    return message


def database_hash() -> str:
    """A hash of where the database is: which file, or the server and the name.

    A file is known by its inode: moved or renamed it is the same, a copy never is. A
    PostgreSQL server is known by its address and by the identifier that its cluster
    was given when it was made; a database by its name and by its number there, which a
    copy on the same server does not share.
    """
    place = connection.settings_dict
    if connection.vendor == "sqlite":
        file = Path(place["NAME"])
        parts = ["sqlite", str(file.stat().st_ino if file.exists() else file)]
    else:
        parts = [str(place.get(key) or "") for key in ("HOST", "PORT", "NAME")]
        parts += _on_its_server()
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _on_its_server() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT oid, has_function_privilege('pg_control_system()', 'execute') "
            "FROM pg_database WHERE datname = current_database()"
        )
        number, may_ask = cursor.fetchone()
        if not may_ask:
            return [str(number)]
        cursor.execute("SELECT system_identifier FROM pg_control_system()")
        return [str(number), str(cursor.fetchone()[0])]


# --- disks ----------------------------------------------------------------------------


def _this_disk(row: Installation, now: datetime) -> InstallationDisk:
    """The disk that DATA_DIR is on, by our mark there; marked now where it has none.

    The first disk of an installation is admitted as it comes.
    """
    mark, inode = _read_or_make_mark(row)
    disk = row.disks.filter(pk=mark).first()
    if disk is not None and disk.inode == inode:
        return disk
    if disk is not None:  # a copy of another disk's mark
        mark, inode = _make_mark(row, replace=True)
    with transaction.atomic():
        Installation.objects.select_for_update().get(pk=row.pk)
        disk, _ = InstallationDisk.objects.get_or_create(
            pk=mark,
            defaults={
                "installation": row,
                "inode": inode,
                "host": socket.gethostname()[:100],
                "created_at": now,
                "seen_at": now,
                "admitted_at": None if row.disks.exists() else now,
            },
        )
    return disk


def _is_vouched_for(disk: InstallationDisk) -> bool:
    known = disk.installation.disks.filter(admitted_at__isnull=False)
    return known.filter(seen_at__gt=disk.created_at).exists()


def _mark_path(row: Installation) -> Path:
    # One file an installation: two databases may share a DATA_DIR.
    path: Path = settings.DATA_DIR / f"installation-{row.public_id.hex}"
    return path


def _read_or_make_mark(row: Installation) -> tuple[uuid.UUID, int]:
    """The key on this disk, and the inode of the file that holds it."""
    path = _mark_path(row)
    try:
        with path.open() as file:
            return uuid.UUID(file.read()), os.fstat(file.fileno()).st_ino
    except FileNotFoundError:
        return _make_mark(row, replace=False)
    except ValueError:
        return _make_mark(row, replace=True)


def _make_mark(row: Installation, *, replace: bool) -> tuple[uuid.UUID, int]:
    """Write a new mark whole; where another process was first, its mark counts."""
    path = _mark_path(row)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    draft.touch(mode=0o600)
    draft.write_text(uuid.uuid4().hex)
    try:
        if replace:
            draft.replace(path)
        else:
            os.link(draft, path)  # atomic, and refuses to replace
    except FileExistsError:
        pass  # read below
    finally:
        draft.unlink(missing_ok=True)
    with path.open() as file:
        return uuid.UUID(file.read()), os.fstat(file.fileno()).st_ino


# --- what a person says ---------------------------------------------------------------


def adopt_database(*, by: str) -> None:
    """This database is the original: it acts from this place and this disk from now."""
    with transaction.atomic():
        row = installation()
        _settle_here(row)
        audit("installation.adopt", actor=by, target=str(row))
    _tell_the_workers(by)


def renew_installation(*, by: str) -> None:
    """Take a new id, and this place and disk; nothing of the old id is ours any more.

    What is under way in its name must be given up first.
    """
    with transaction.atomic():
        row = installation()
        before = str(row)
        row.disks.all().delete()
        row.public_id = uuid.uuid4()
        row.created_at, row.reconciled_at = timezone.now(), None
        row.save(update_fields=["public_id", "created_at", "reconciled_at"])
        _settle_here(row)
        audit("installation.renew", actor=by, target=str(row), before={"id": before})
    _tell_the_workers(by)


def _settle_here(row: Installation) -> None:
    row.database_hash = database_hash()
    row.save(update_fields=["database_hash"])
    now = timezone.now()
    disk = _this_disk(row, now)
    row.disks.filter(pk=disk.pk).update(admitted_at=disk.admitted_at or now)


def _tell_the_workers(by: str) -> None:
    for alert in Alert.objects.filter(code=COPIED, acknowledged_at__isnull=True):
        acknowledge(alert, by=by)
    announce("submit")
