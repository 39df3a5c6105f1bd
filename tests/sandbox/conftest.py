"""One sandbox a module; every test begins without faults."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.sandbox.fixtures import SandboxProcess, running_sandbox


@pytest.fixture(scope="module")
def sandbox_process() -> Iterator[SandboxProcess]:
    with running_sandbox() as process:
        yield process


@pytest.fixture
def sandbox(sandbox_process: SandboxProcess) -> Iterator[SandboxProcess]:
    yield sandbox_process
    if sandbox_process.process is None:
        sandbox_process.start()
    sandbox_process.clear_faults()


@pytest.fixture
def client(sandbox: SandboxProcess) -> Iterator[Any]:
    with sandbox.client() as client:
        yield client
