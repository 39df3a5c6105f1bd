"""When another process may take a job over at once."""

import os
import socket
import subprocess
import sys

import psutil
import pytest

from batches.services.leases import holder_name, is_provably_gone


@pytest.fixture
def process():
    sleeper = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield sleeper
    sleeper.kill()
    sleeper.communicate()


def name_of(process: subprocess.Popen, *, later_seconds: int = 0) -> str:
    started = int(psutil.Process(process.pid).create_time()) + later_seconds
    return f"{socket.gethostname()[:60]}:{process.pid}:{started}"


def test_a_holder_that_runs_is_not_gone(process):
    assert not is_provably_gone(holder_name())
    assert not is_provably_gone(name_of(process))
    assert not is_provably_gone(name_of(process, later_seconds=1))


def test_a_holder_whose_pid_another_process_has_is_gone(process):
    assert is_provably_gone(name_of(process, later_seconds=-60))


def test_a_killed_holder_is_gone_before_its_parent_notices(process):
    holder = name_of(process)

    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)

    assert psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE
    assert is_provably_gone(holder)
    process.wait()
    assert is_provably_gone(holder)


def test_of_another_host_nothing_is_known(process):
    _, _, rest = name_of(process).partition(":")
    process.kill()
    process.wait()

    assert not is_provably_gone(f"elsewhere:{rest}")
