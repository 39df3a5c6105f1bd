"""The ledger proves what was accepted, what was billed, and what is left behind."""

import time

import pytest

from tests.sandbox.fixtures import (
    chat_line,
    create,
    finished,
    results,
    run,
    running_sandbox,
    wait_for,
)


@pytest.fixture
def fresh():
    """A sandbox of the test's own, for what counts everything there is."""
    with running_sandbox() as process:
        yield process


def test_it_counts_batches_lines_tokens_and_files(fresh):
    sandbox, client = fresh, fresh.client()
    batch = run(client, [chat_line("a", "Hello"), chat_line("b", "Hello there")])
    refused = run(client, [b"no\n"])

    ledger = sandbox.ledger()

    answered = {
        line["custom_id"]: line["response"]["body"]["usage"]
        for line in results(client, batch.output_file_id)
    }
    assert ledger["batches"] == 1
    assert ledger["refused"] == 1
    assert ledger["lines"] == 2
    assert ledger["input_tokens"] == batch.usage.input_tokens
    assert ledger["output_tokens"] == batch.usage.output_tokens
    assert ledger["by_model"] == {
        "gpt-4o-mini": {
            "lines": 2,
            "input_tokens": batch.usage.input_tokens,
            "cached_tokens": 0,
            "output_tokens": batch.usage.output_tokens,
        }
    }
    assert ledger["by_custom_id"]["b"] == [
        {
            "batch": batch.id,
            "line": 2,
            "model": "gpt-4o-mini",
            "status": 200,
            "input_tokens": answered["b"]["prompt_tokens"],
            "cached_tokens": 0,
            "output_tokens": answered["b"]["completion_tokens"],
        }
    ]
    assert ledger["files"] == 3
    for file_id in (batch.input_file_id, batch.output_file_id, refused.input_file_id):
        client.files.delete(file_id)
    assert sandbox.ledger()["files"] == 0
    client.close()


def test_a_custom_id_that_is_paid_twice_shows_twice(sandbox, client):
    for _ in range(2):
        run(client, [chat_line("again")])

    lines = sandbox.ledger()["by_custom_id"]["again"]

    assert len({line["batch"] for line in lines}) == 2


def test_a_line_that_failed_is_shown_and_not_billed(sandbox, client):
    billed = sandbox.ledger()["lines"]
    sandbox.faults(all_lines_fail=True)
    run(client, [chat_line("x")])

    ledger = sandbox.ledger()

    assert ledger["lines"] == billed
    assert [line["status"] for line in ledger["by_custom_id"]["x"]] == [500]
    assert ledger["by_custom_id"]["x"][0]["input_tokens"] == 0


def test_lines_that_never_ran_are_not_in_it(sandbox, client):
    billed = sandbox.ledger()["lines"]
    sandbox.faults(expire_partial=0.5)
    wanted = [f"ran-or-not-{n}" for n in range(4)]
    run(client, [chat_line(custom_id) for custom_id in wanted])

    ledger = sandbox.ledger()

    assert ledger["lines"] == billed + 2
    assert len(ledger["by_custom_id"].keys() & set(wanted)) == 2


def test_the_queue_shows_limit_peak_and_mean_since_the_first_refusal(fresh):
    sandbox, client = fresh, fresh.client()
    sandbox.faults(never_ending=True, token_limit=100)
    lines = [chat_line(str(n)) for n in range(8)]  # 8 tokens each
    first = create(client, lines)
    wait_for(lambda: client.batches.retrieve(first.id).status == "in_progress")
    before = sandbox.ledger()["enqueued"]["gpt-4o-mini"]
    refused = run(client, lines)
    waiting = sandbox.ledger()["enqueued"]["gpt-4o-mini"]
    sandbox.faults(never_ending=None)
    finished(client, first.id)

    after = sandbox.ledger()["enqueued"]["gpt-4o-mini"]

    assert refused.errors.data[0].code == "token_limit_exceeded"
    assert before == {"limit": 100, "peak": 64, "mean": None}
    assert waiting["mean"] == pytest.approx(64)
    assert after["peak"] == 64
    assert after["mean"] == pytest.approx(64)
    client.close()


def test_the_mean_of_the_queue_is_taken_over_the_time_asked_for(fresh):
    sandbox, client = fresh, fresh.client()
    sandbox.faults(never_ending=True)
    began = time.time()
    batch = create(client, [chat_line(str(n)) for n in range(8)])  # 8 tokens each
    wait_for(lambda: client.batches.retrieve(batch.id).status == "in_progress")
    taken = time.time()
    sandbox.faults(never_ending=None)
    finished(client, batch.id)
    ended = time.time()

    def mean(**times):
        query = "&".join(f"{name}={at}" for name, at in times.items())
        ledger = sandbox.call("GET", f"/_sandbox/ledger?{query}")
        return ledger["enqueued"]["gpt-4o-mini"]["mean"]

    assert 0 < mean(since=began, until=ended) < 64
    assert mean(since=taken, until=taken + 0.001) == pytest.approx(64)
    assert mean(since=ended, until=ended + 1) == 0
    with pytest.raises(ValueError, match="until is 'soon'; it must be a time"):
        mean(since=began, until="soon")
    client.close()


def test_the_long_part_can_be_left_out(sandbox, client):
    run(client, [chat_line("1")])

    assert "by_custom_id" not in sandbox.call(
        "GET", "/_sandbox/ledger?by_custom_id=false"
    )
