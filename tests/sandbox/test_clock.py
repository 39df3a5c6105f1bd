"""The sandbox's clock: while it stands still, batches do not get on."""

import time

import pytest

from batches.sandbox.clock import Clock
from tests.sandbox.fixtures import running_sandbox


def test_a_clock_is_behind_by_as_long_as_it_stood_still(monkeypatch):
    now = 1_000.0
    monkeypatch.setattr(time, "time", lambda: now)
    clock = Clock()

    clock.run(False)
    now = 1_060.0
    assert clock.now() == 1_000.0
    clock.run(False)  # safe to repeat
    clock.run(True)
    now = 1_070.0

    assert clock.now() == 1_010.0


def test_a_clock_takes_one_word():
    with running_sandbox() as process:
        with pytest.raises(ValueError, match="The clock takes"):
            process.call("POST", "/_sandbox/clock", {"running": "no"})

        stopped_at = process.run_clock(False)

        assert process.run_clock(False) == stopped_at
        assert process.run_clock(True) >= stopped_at
