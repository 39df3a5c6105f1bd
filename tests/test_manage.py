"""What `manage.py` says when the world around it is not in order: a sentence each."""

import os

import pytest

from tests.processes import clean_environment, manage


@pytest.mark.parametrize(
    "command", ["recount --check", "explain item 1", "process_batches"]
)
def test_a_database_without_tables_is_told_with_the_next_step(tmp_path, command):
    done = manage(*command.split(), env=clean_environment(DATA_DIR=str(tmp_path)))

    assert done.returncode == 1
    assert done.stderr.startswith("The database: no such table")
    assert "manage.py migrate" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_database_that_is_away_is_told_in_one_sentence(tmp_path):
    env = clean_environment(
        DATA_DIR=str(tmp_path),
        DATABASE_URL="postgres://nobody@127.0.0.1:1/none",
        SECRET_KEY="s",
        DEBUG="true",
    )

    done = manage("migrate", env=env)

    assert done.returncode == 1
    assert "DATABASE_URL" in done.stderr
    assert "Traceback" not in done.stderr


def test_where_it_happened_is_shown_to_who_asks(tmp_path):
    env = clean_environment(DATA_DIR=str(tmp_path))

    done = manage("recount", "--check", "--traceback", env=env)

    assert "Traceback" in done.stderr


def test_an_interrupt_ends_a_command_quietly(tmp_path):
    # A process that was started in the background may have inherited to ignore it.
    interrupt = (
        "import os, signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "os.kill(os.getpid(), signal.SIGINT)"
    )
    env = clean_environment(DATA_DIR=str(tmp_path))

    done = manage("shell", "--no-imports", "-c", interrupt, env=env)

    assert (done.returncode, done.stderr) == (130, "")


def test_without_django_it_says_what_to_install(tmp_path):
    (tmp_path / "django.py").write_text("raise ImportError('not here')\n")
    env = clean_environment(PYTHONPATH=os.fspath(tmp_path))

    done = manage("check", env=env)

    assert done.returncode == 1
    assert "pip install -r requirements.txt" in done.stderr
    assert "Traceback" not in done.stderr
