"""A copy of a database does nothing in the original's name until somebody says so.

Each test works on real databases: files that are copied and moved, or databases on the
PostgreSQL server. A machine is a DATA_DIR.
"""

import json
import stat
import uuid
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
import time_machine
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from batches.errors import HeldBack
from batches.models import (
    Alert,
    AuditEntry,
    BatchItem,
    BatchJob,
    Installation,
    InstallationDisk,
    OpenItem,
    Run,
)
from batches.providers.registry import get_provider
from batches.services.installation import (
    NotTheOriginal,
    check_may_act,
    database_hash,
    installation_id,
    may_act,
    why_not_act,
)
from batches.services.polling import poll_jobs
from batches.services.reconciliation import NOT_OURS, clean_up, reconcile
from batches.services.recount import recount
from batches.services.requeue import failed_of_run, requeue
from batches.services.submission import submit_jobs
from batches.states import ItemStatus, JobStatus, RunStatus
from tests.batches.elsewhere import (
    copy_file,
    copy_on_server,
    drop_on_server,
    inside,
    migrate,
    new_file,
    rename_on_server,
)
from tests.conftest import SERVER
from tests.databases import PREFIX, PostgresServer, new_database
from tests.driving import work_off
from tests.factories import make_collected_run, make_job, make_run
from tests.gallery.models import Caption
from tests.sandbox.fixtures import SandboxProcess, wait_for


@pytest.fixture(scope="module")
def empty_file(tmp_path_factory, django_db_blocker) -> Path:
    path: Path = tmp_path_factory.mktemp("empty") / "db.sqlite3"
    with django_db_blocker.unblock():
        if connection.vendor == "sqlite":
            migrate(path, path.parent)
    return path


@pytest.fixture
def home(
    empty_file: Path, tmp_path: Path, django_db_blocker, sandbox: SandboxProcess
) -> Iterator[Path]:
    """The original's folder, with its database `db.sqlite3`."""
    if connection.vendor != "sqlite":
        pytest.skip("about files")
    with django_db_blocker.unblock():
        new_file(empty_file, tmp_path / "home" / "db.sqlite3")
        yield tmp_path / "home"


def test_the_id_is_as_old_as_the_database(empty_file, home):
    copy = copy_file(empty_file, home / "fresh.sqlite3")

    with inside(copy, home):
        assert Installation.objects.get().database_hash == ""


def test_a_new_database_acts_without_a_question_and_leaves_its_mark(home):
    with inside(home / "db.sqlite3", home):
        check_may_act()
        check_may_act()

        row, disk = Installation.objects.get(), InstallationDisk.objects.get()
    (mark,) = home.glob("installation-*")
    assert mark.name == f"installation-{row.public_id.hex}"
    assert mark.read_text() == disk.id.hex
    assert stat.S_IMODE(mark.stat().st_mode) == 0o600
    assert disk.inode == mark.stat().st_ino


def test_a_file_that_is_moved_with_its_folder_acts_without_a_question(home, tmp_path):
    with inside(home / "db.sqlite3", home):
        check_may_act()
        make_job()
    moved = home.rename(tmp_path / "moved")

    with inside(moved / "db.sqlite3", moved):
        work_off()

        assert Caption.objects.count() == 3
        assert not Alert.objects.exists()


def test_a_file_moved_to_another_disk_waits_for_adopt_and_then_goes_on(home, tmp_path):
    """Which no program can tell from a copy whose original goes on."""
    with inside(home / "db.sqlite3", home):
        check_may_act()
        before = installation_id()
        make_job()
    moved = copy_file(home / "db.sqlite3", tmp_path / "moved" / "db.sqlite3")
    (home / "db.sqlite3").unlink()

    with inside(moved, moved.parent):
        with pytest.raises(NotTheOriginal, match="--adopt"):
            submit_jobs(now=timezone.now())
        job = BatchJob.objects.get()
        assert "moved, restored or copied" in job.waiting_reason
        assert Alert.objects.get().code == "copied_database"

        call_command("reconcile_batches", "--adopt", stdout=StringIO())

        assert installation_id() == before
        work_off()
        assert Caption.objects.count() == 3
        assert Alert.objects.get().acknowledged_at is not None
        assert AuditEntry.objects.filter(action="installation.adopt").exists()


@pytest.mark.slow
def test_a_copied_file_sends_cancels_and_deletes_nothing(home, tmp_path, sandbox):
    with inside(home / "db.sqlite3", home):
        work_off_but_leave_files()
        sandbox.faults(never_ending=True)
        at_provider = make_job(2)
        submit_jobs(now=timezone.now())
        make_job(4)
        wait_for(lambda: "in_progress" in str(at_the_provider()))
    copy = copy_file(home / "db.sqlite3", tmp_path / "copy" / "db.sqlite3")

    with inside(copy, copy.parent):
        before = at_the_provider()
        BatchJob.objects.filter(pk=at_provider.pk).update(intent="cancel")
        for act in (
            lambda: submit_jobs(now=timezone.now()),
            lambda: clean_up(now=timezone.now()),
            lambda: reconcile(apply=True, now=timezone.now()),
        ):
            with pytest.raises(NotTheOriginal):
                act()
        poll_jobs(now=timezone.now() + timedelta(hours=1))

        assert at_the_provider() == before
        at_provider.refresh_from_db()
        assert at_provider.status == JobStatus.IN_PROGRESS


@pytest.mark.slow
def test_a_copy_may_look_without_touching(home, tmp_path):
    with inside(home / "db.sqlite3", home):
        make_job()
        submit_jobs(now=timezone.now())
    copy = copy_file(home / "db.sqlite3", tmp_path / "copy" / "db.sqlite3")

    with inside(copy, copy.parent):
        out = StringIO()
        call_command("reconcile_batches", "--dry-run", "--json", stdout=out)

        said = json.loads(out.getvalue())
        assert (said["batches"], said["known"], said["is_dry_run"]) == (1, 1, True)
        assert not Installation.objects.get().reconciled_at


@pytest.mark.parametrize("with_mark", [False, True], ids=["alone", "with its mark"])
def test_a_copy_at_the_same_path_is_told(home, tmp_path, with_mark):
    """As between two machines, or two stacks of containers, that are laid out alike."""
    with inside(home / "db.sqlite3", home):
        check_may_act()
        make_job()
    away = home.rename(tmp_path / "the other machine")
    copy_file(away / "db.sqlite3", home / "db.sqlite3")
    if with_mark:
        for mark in away.glob("installation-*"):
            copy_file(mark, home / mark.name)

    with inside(home / "db.sqlite3", home), later(minutes=20):
        with pytest.raises(NotTheOriginal):
            submit_jobs(now=timezone.now())
        assert Alert.objects.get().code == "copied_database"

        call_command("reconcile_batches", "--adopt", stdout=StringIO())

        assert may_act()


@pytest.mark.parametrize("with_mark", [False, True], ids=["no mark", "copied mark"])
def test_the_mark_tells_where_everything_else_is_equal(home, tmp_path, with_mark):
    """As after a disk was copied block by block, but for DATA_DIR."""
    with inside(home / "db.sqlite3", home):
        check_may_act()
        make_job()
    other = tmp_path / "other"
    other.mkdir()
    if with_mark:
        (mark,) = home.glob("installation-*")
        copy_file(mark, other / mark.name)

    with inside(home / "db.sqlite3", other), later(minutes=20):
        with pytest.raises(NotTheOriginal, match="on this disk"):
            submit_jobs(now=timezone.now())

        assert Alert.objects.get().code == "copied_database"


def test_a_copy_that_becomes_an_installation_of_its_own_pays_for_nothing_again(
    home, tmp_path, sandbox
):
    with inside(home / "db.sqlite3", home):
        work_off_but_leave_files()
        make_job(2)
        submit_jobs(now=timezone.now())
        make_job(3)
        waiting = make_collected_run(5)
        collecting = make_run(kind="photo")
    copy = copy_file(home / "db.sqlite3", tmp_path / "copy" / "db.sqlite3")

    with inside(copy, copy.parent):
        original, before = installation_id(), at_the_provider()
        call_command("reconcile_batches", "--new-installation", stdout=StringIO())

        assert installation_id() != original
        assert at_the_provider(original) == before
        assert not BatchJob.objects.unfinished().exists()
        assert not OpenItem.objects.exists()
        failed = BatchItem.objects.filter(status=ItemStatus.FAILED)
        assert set(failed.values_list("error_code", flat=True)) == {NOT_OURS}
        assert failed.count() == 2 + 3 + 5
        waiting.refresh_from_db()
        collecting.refresh_from_db()
        assert (waiting.status, collecting.status) == (
            RunStatus.FAILED,
            RunStatus.CANCELLED,
        )
        assert recount(repair=False) == []
        # What somebody wants here all the same is paid here.
        requeue(failed_of_run(waiting), by="me")
        work_off()
        assert BatchItem.objects.filter(run=waiting, status="processing_complete")

    with inside(home / "db.sqlite3", home):
        work_off()
        reconcile(apply=True, now=timezone.now())
        assert not BatchItem.objects.filter(status=ItemStatus.FAILED).exists()
        assert not Alert.objects.exists()
        assert set(Run.objects.values_list("status", flat=True)) == {"completed"}


def test_two_installations_on_one_account_leave_each_other_alone(
    home, empty_file, tmp_path
):
    other = new_file(empty_file, tmp_path / "other" / "db.sqlite3")
    with inside(other, other.parent):
        make_job()
        submit_jobs(now=timezone.now())
        theirs, before = installation_id(), at_the_provider()

    with inside(home / "db.sqlite3", home):
        make_job()
        submit_jobs(now=timezone.now())
        found = reconcile(apply=True, now=timezone.now())

        assert installation_id() != theirs
        assert (found.batches, found.known, found.unknown) == (1, 1, [])
        assert found.foreign >= 1
        work_off()
        reconcile(apply=True, now=timezone.now())
        assert at_the_provider(theirs)[1] == before[1]
        assert not Alert.objects.exists()

    with inside(other, other.parent):
        work_off()
        assert Caption.objects.count() == 3


def test_an_installation_from_before_the_marks_acts_without_a_question(home):
    with inside(home / "db.sqlite3", home):
        assert Installation.objects.get().database_hash == ""

        assert may_act()


def test_adopt_and_new_installation_in_a_dry_run_change_nothing(home, tmp_path):
    with inside(home / "db.sqlite3", home):
        check_may_act()
        make_job()
    copy = copy_file(home / "db.sqlite3", tmp_path / "copy" / "db.sqlite3")

    with inside(copy, copy.parent):
        before = installation_id()
        for flag in ("--adopt", "--new-installation"):
            call_command(
                "reconcile_batches",
                flag,
                "--dry-run",
                stdout=StringIO(),
                stderr=StringIO(),
            )

        assert installation_id() == before
        assert not may_act()
        assert BatchJob.objects.unfinished().count() == 1
        with pytest.raises(CommandError, match="--adopt"):
            call_command("reconcile_batches", stdout=StringIO())


# --- on a server ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def server(request: pytest.FixtureRequest) -> PostgresServer:
    found: PostgresServer = request.config.stash[SERVER]
    return found


@pytest.fixture(scope="module")
def empty_on_server(
    server: PostgresServer, tmp_path_factory, django_db_blocker
) -> Iterator[str]:
    with new_database(server) as url, django_db_blocker.unblock():
        name = url.rpartition("/")[2]
        migrate(name, tmp_path_factory.mktemp("empty"))
        yield name


@pytest.fixture
def served(
    server: PostgresServer,
    empty_on_server: str,
    django_db_blocker,
    tmp_path: Path,
    sandbox: SandboxProcess,
) -> Iterator[str]:
    """A database on the server that has acted from the machine `first`."""
    with django_db_blocker.unblock():
        name = copy_on_server(server, empty_on_server, new_name())
        try:
            with inside(name, tmp_path / "first"):
                # The tests share one sandbox, and each is an installation there.
                Installation.objects.update(public_id=uuid.uuid4())
                check_may_act()
            yield name
        finally:
            drop_on_server(server, name)


def new_name() -> str:
    return f"{PREFIX}_{uuid.uuid4().hex[:12]}"


@pytest.mark.postgres
def test_a_second_machine_is_admitted_once_the_first_is_seen_at_work(served, tmp_path):
    with inside(served, tmp_path / "second"):
        assert "has worked on this disk" in why_not_act()
        assert not Alert.objects.exists()  # the first was seen a moment ago

    with inside(served, tmp_path / "first"), later(minutes=5):
        check_may_act()

    with inside(served, tmp_path / "second"):
        check_may_act()
        make_job()
        work_off()
        assert Caption.objects.count() == 3


@pytest.mark.postgres
def test_a_machine_that_nobody_vouches_for_is_told_of(served, tmp_path):
    with inside(served, tmp_path / "second"), later(minutes=20):
        assert why_not_act()

        assert Alert.objects.get().code == "copied_database"


@pytest.mark.postgres
def test_a_copy_of_a_cluster_with_equal_names_is_told_by_the_mark(served, tmp_path):
    """Identifier, address, name and number are equal there; only the disk is not."""
    with inside(served, tmp_path / "copy of the stack"):
        with later(minutes=1), pytest.raises(NotTheOriginal):
            check_may_act()
        with later(minutes=30), pytest.raises(NotTheOriginal):
            check_may_act()  # in the copy no known machine is ever seen


@pytest.mark.postgres
def test_a_database_made_from_another_as_template_is_a_copy(served, server, tmp_path):
    copy = copy_on_server(server, served, new_name())
    try:
        with inside(copy, tmp_path / "first"), pytest.raises(NotTheOriginal):
            check_may_act()
    finally:
        drop_on_server(server, copy)


@pytest.mark.postgres
def test_a_copy_that_took_the_originals_name_is_told_by_its_number(
    served, server, tmp_path
):
    copy = copy_on_server(server, served, new_name())
    original = rename_on_server(server, served, new_name())
    rename_on_server(server, copy, served)
    try:
        with inside(served, tmp_path / "first"):
            with pytest.raises(HeldBack, match="moved, restored or copied"):
                check_may_act()
            call_command("reconcile_batches", "--adopt", stdout=StringIO())
            check_may_act()
    finally:
        drop_on_server(server, original)


@pytest.mark.postgres
def test_a_server_that_does_not_tell_its_identifier_is_known_by_the_rest(
    served, server, tmp_path
):
    """To a role without the right to ask, as on some hosted servers."""
    role = "pg_signal_backend"  # one that every server has; its rights end with the db
    with inside(served, tmp_path / "first"), connection.cursor() as cursor:
        cursor.execute("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC")
        cursor.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}")
        cursor.execute(f"GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {role}")
        with_identifier = database_hash()
        cursor.execute(f"SET ROLE {role}")
        Installation.objects.update(database_hash="")

        check_may_act()
        check_may_act()

        assert Installation.objects.get().database_hash != with_identifier


def later(**given: float) -> time_machine.travel:
    return time_machine.travel(timezone.now() + timedelta(**given))


def work_off_but_leave_files() -> None:
    """A finished job whose files are still at the provider."""
    make_job()
    work_off()
    BatchJob.objects.update(provider_files_deleted_at=None)


def at_the_provider(installation: str = "") -> tuple[list[str], list[str]]:
    """Ids of batches with their status, and of files, of an installation."""
    provider = get_provider("sandbox")
    ours = installation or installation_id()
    batches = [
        f"{batch.id} {batch.status}"
        for batch in provider.batches_since(0)
        if batch.metadata.get("installation") == ours
    ]
    files = [f.id for f in provider.input_files() if f.filename.startswith(ours)]
    return sorted(batches), sorted(files)
