"""The process itself: how it starts, what it says, how it ends."""

import os
import re
import signal
import socket
import subprocess
import sys

import openai
import pytest
from django.core.management import CommandError, call_command

from tests.sandbox.fixtures import (
    ROOT,
    SandboxProcess,
    chat_line,
    create,
    results,
    run,
    running_sandbox,
    wait_for,
)

ENV = {
    **os.environ,
    "DJANGO_SETTINGS_MODULE": "batchsite.settings",
    "SECRET_KEY": "test-only",
}


def refused(*flags):
    """The last line that the command prints when it refuses its flags."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), "sandbox", *flags],
        cwd=ROOT,
        env=ENV,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    return done.stderr.strip()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_one_line_and_ends_cleanly(tmp_path, number):
    sandbox = SandboxProcess(tmp_path, "--latency=0")

    assert sandbox.log == [f"Sandbox ready at {sandbox.url}\n"]
    process = sandbox.process
    process.send_signal(number)
    assert process.wait(15) == 0


def test_a_port_in_use_is_explained_in_one_sentence(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = refused(f"--port={port}", f"--dir={tmp_path}")

    assert f"Port {port} of 127.0.0.1 cannot be used" in said
    assert "--port" in said


def test_a_directory_in_use_is_explained(tmp_path):
    with running_sandbox(directory=tmp_path):
        said = refused("--port=0", f"--dir={tmp_path}")

    assert "Another sandbox keeps its files in" in said


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--fault=no_such_fault"], "There is no fault 'no_such_fault'"),
        (["--fault=http_500={"], "the value must be JSON"),
        (['--fault=http_500={"colour": 1}'], "does not know the option 'colour'"),
        (['--fault=http_500={"on": "files.eat"}'], "no operation 'files.eat'"),
        (["--responder=upstream"], "needs --upstream URL"),
        (["--responder=upstream", "--upstream=nowhere"], "not the base URL"),
        (
            [
                "--responder=upstream",
                "--upstream=http://x/v1",
                "--upstream-key-env=NOPE",
            ],
            "export it first",
        ),
        (["--samples=/no/such/place"], "there is no such directory"),
    ],
)
def test_wrong_flags_are_explained(tmp_path, flags, says):
    with pytest.raises(CommandError, match=re.escape(says)):
        call_command("sandbox", "--port=0", f"--dir={tmp_path}", *flags)


def test_with_a_key_only_that_key_is_let_in():
    """Provider facts 3: 401 `invalid_api_key`."""
    with running_sandbox("--api-key=sk-right-key-0001") as sandbox:
        with sandbox.client(api_key="sk-wrong-key-0002") as stranger:
            with pytest.raises(openai.AuthenticationError) as refused_key:
                stranger.models.list()
            assert refused_key.value.code == "invalid_api_key"
            assert "sk-right" not in str(refused_key.value)
        with sandbox.client(api_key="sk-right-key-0001") as friend:
            assert friend.models.list().data
        assert sandbox.ledger()["batches"] == 0


def test_faults_and_limits_can_come_from_the_command_line():
    flags = ("--fault=http_500=1", "--fault=crlf", "--token-limit=5")
    with running_sandbox(*flags) as sandbox, sandbox.client() as client:
        with pytest.raises(openai.InternalServerError):
            client.models.list()

        batch = run(client, [chat_line("1", "More than five tokens, surely")])

        assert batch.errors.data[0].code == "token_limit_exceeded"
        assert sandbox.faults().keys() == {"crlf"}


def test_validation_can_be_quick_where_batches_are_slow():
    flags = ("--latency=600", "--validation=0")  # else two minutes
    with running_sandbox(*flags) as sandbox, sandbox.client() as client:
        batch = create(client, [chat_line("1")])

        wait_for(lambda: client.batches.retrieve(batch.id).status == "in_progress")


def test_the_same_seed_gives_the_same_order_of_results():
    def order(*flags):
        with running_sandbox(*flags) as sandbox, sandbox.client() as client:
            batch = run(client, [chat_line(str(n)) for n in range(30)])
            return [line["custom_id"] for line in results(client, batch.output_file_id)]

    assert order("--seed=1") == order("--seed=1")


def test_it_imports_nothing_of_the_engine_and_nothing_heavy_before_it_is_ready():
    script = (
        "import sys\n"
        "import batches.management.commands.sandbox\n"
        "print(' '.join(sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env=ENV,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )

    loaded = set(done.stdout.split())
    ours = {
        name for name in loaded if name.split(".")[0] in ("batches", "translations")
    }
    assert all(
        name == "batches" or name.startswith(("batches.sandbox", "batches.management"))
        for name in ours
    )
    assert not loaded & {"openai", "bpe_openai", "pydantic", "ninja", "django_q"}
