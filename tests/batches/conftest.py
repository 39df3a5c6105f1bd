"""What tests of the engine may ask for."""

import pytest

from batches import workloads


@pytest.fixture
def spool(settings, tmp_path):
    """The spool is the test's own; a test with `sandbox` has that already."""
    settings.SPOOL_DIR = tmp_path / "spool"


@pytest.fixture
def deploy(monkeypatch):
    """Put another workload in the place of the captions, as a deployment does."""

    def install(workload):
        monkeypatch.setitem(workloads._registered, "captions", workload())

    return install
