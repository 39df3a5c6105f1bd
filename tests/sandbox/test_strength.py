"""Large files in flat memory, and many batches at once."""

import threading

import openai
import orjson
import psutil
import pytest

from tests.sandbox.fixtures import (
    chat_line,
    create,
    finished,
    results,
    running_sandbox,
    wait_for,
)

MEGABYTE = 1024 * 1024


def write_lines(path, count, size):
    """A file of `count` request lines of about `size` bytes; its size in bytes."""
    text = ("Water the plants in the morning. " * (size // 33 + 1))[: size - 180]
    template = orjson.dumps(chat_line("@@", text, max_completion_tokens=2000)) + b"\n"
    head, tail = template.split(b"@@")
    with path.open("wb") as stream:
        for number in range(count):
            stream.write(head + f"{number:08}".encode() + tail)
    return path.stat().st_size


class Peak:
    """The highest resident memory of a process while the block runs, in bytes."""

    def __init__(self, process):
        self.process = psutil.Process(process.pid)
        self.before = self.highest = self.process.memory_info().rss
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._watch)

    def _watch(self):
        while not self.over.wait(0.01):
            self.highest = max(self.highest, self.process.memory_info().rss)

    @property
    def growth(self):
        return self.highest - self.before

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *error):
        self.over.set()
        self.thread.join()


@pytest.fixture
def sandbox():
    """A fresh process, so that its memory is not that of earlier tests."""
    with running_sandbox() as process:
        yield process


def warmed_up(client):
    """One small batch: what is loaded once is not the growth that is measured."""
    finished(client, create(client, [chat_line("0")]).id)


@pytest.mark.slow
def test_200_megabytes_go_through_in_flat_memory(sandbox, client, tmp_path):
    """Provider facts 1: files of up to 209,715,200 bytes, 50,000 requests."""
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    size = write_lines(source, 48_000, 4_300)
    assert 200_000_000 < size <= 209_715_200
    warmed_up(client)
    client = client.with_options(timeout=300)

    with Peak(sandbox.process) as memory:
        with source.open("rb") as stream:
            file = client.files.create(file=("in.jsonl", stream), purpose="batch")
        batch = client.batches.create(
            input_file_id=file.id,
            endpoint="/v1/chat/completions",
            completion_window="24h",
        )
        done = finished(client, batch.id, seconds=300)
        with client.files.with_streaming_response.content(
            done.output_file_id
        ) as answer:
            answer.stream_to_file(target)

    assert file.bytes == size
    assert done.status == "completed"
    assert done.request_counts.completed == 48_000
    assert target.stat().st_size == client.files.retrieve(done.output_file_id).bytes
    assert memory.growth < 50 * MEGABYTE


@pytest.mark.slow
def test_512_megabytes_are_taken_and_no_more(sandbox, client, tmp_path):
    """Provider facts 2: 512 MB a file; a batch takes less of it, and says so."""
    path = tmp_path / "large.jsonl"
    line = orjson.dumps(chat_line("0", "x" * 1_000_000)) + b"\n"
    with path.open("wb") as stream:
        while stream.tell() + len(line) <= 512 * MEGABYTE:
            stream.write(line)
    warmed_up(client)
    client = client.with_options(timeout=300)

    with Peak(sandbox.process) as memory:
        with path.open("rb") as stream:
            file = client.files.create(file=("large.jsonl", stream), purpose="batch")
        batch = client.batches.create(
            input_file_id=file.id,
            endpoint="/v1/chat/completions",
            completion_window="24h",
        )
        refused = finished(client, batch.id)
    with path.open("ab") as stream:
        stream.write(b"\n" * (512 * MEGABYTE - stream.tell() + 1))
    with path.open("rb") as stream, pytest.raises(openai.APIStatusError) as too_large:
        client.files.create(file=("large.jsonl", stream), purpose="batch")

    assert file.bytes > 511_000_000
    assert refused.status == "failed"
    assert "209715200" in refused.errors.data[0].message
    assert too_large.value.status_code == 413
    assert memory.growth < 50 * MEGABYTE


def test_twenty_batches_run_at_once(sandbox, client):
    sandbox.faults(never_ending=True)
    made = [
        create(client, [chat_line(f"{batch}-{n}") for n in range(100)]).id
        for batch in range(20)
    ]
    wait_for(
        lambda: all(
            client.batches.retrieve(batch_id).status == "in_progress"
            for batch_id in made
        )
    )
    sandbox.clear_faults()

    done = [finished(client, batch_id) for batch_id in made]

    assert {batch.status for batch in done} == {"completed"}
    assert all(batch.request_counts.completed == 100 for batch in done)
    for number, batch in enumerate(done):
        answered = {line["custom_id"] for line in results(client, batch.output_file_id)}
        assert answered == {f"{number}-{n}" for n in range(100)}
