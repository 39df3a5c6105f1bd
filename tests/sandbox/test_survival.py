"""A kill -9 at any moment loses nothing and bills nothing twice."""

import pytest

from tests.sandbox.fixtures import (
    chat_line,
    create,
    finished,
    results,
    upload,
    wait_for,
)

LINES = 2500


def status_of(client, batch_id):
    return client.batches.retrieve(batch_id).status


def half_done(sandbox, client):
    """A batch that stays half done until its sandbox and the fault are gone."""
    sandbox.faults(never_ending=True)
    batch = create(client, [chat_line(str(n)) for n in range(LINES)])
    wait_for(lambda: client.batches.retrieve(batch.id).request_counts.completed)
    return batch


@pytest.mark.parametrize(
    ("moment", "faults"),
    [
        ("validating", {"late_validation": 0.5}),
        ("in_progress", {"never_ending": True}),
        ("finalizing", {"stuck_finalizing": True}),
    ],
)
@pytest.mark.slow
def test_a_batch_goes_on_where_it_was(sandbox, client, moment, faults):
    billed = sandbox.ledger()
    sandbox.faults(**faults)
    lines = [chat_line(str(n)) for n in range(LINES)]
    batch = create(client, lines, metadata={"a": "b"})
    wait_for(lambda: status_of(client, batch.id) == moment)
    if moment == "in_progress":
        wait_for(lambda: client.batches.retrieve(batch.id).request_counts.completed)

    sandbox.kill()
    sandbox.start()
    done = finished(client, batch.id)

    answered = [line["custom_id"] for line in results(client, done.output_file_id)]
    ledger = sandbox.ledger()
    assert done.status == "completed"
    assert done.metadata == {"a": "b"}
    assert len(answered) == len(set(answered)) == LINES
    assert ledger["lines"] == billed["lines"] + LINES
    assert done.usage.input_tokens == ledger["input_tokens"] - billed["input_tokens"]
    of_this_batch = [
        line
        for lines in ledger["by_custom_id"].values()
        for line in lines
        if line["batch"] == batch.id
    ]
    assert len({line["line"] for line in of_this_batch}) == len(of_this_batch) == LINES


def test_files_and_final_batches_stay(sandbox, client):
    file = upload(client, [chat_line("1")])
    batch = create(client, [chat_line("1")])
    done = finished(client, batch.id)

    sandbox.kill()
    sandbox.start()

    assert client.files.retrieve(file.id) == file
    assert client.batches.retrieve(batch.id) == done
    assert len(results(client, done.output_file_id)) == 1


def test_what_was_half_written_is_cut_back(sandbox, client):
    batch = half_done(sandbox, client)
    sandbox.kill()
    with (sandbox.directory / "work" / f"{batch.id}_output.jsonl").open("ab") as work:
        work.write(b'{"id": "batch_req_torn')

    sandbox.start()
    done = finished(client, batch.id)

    assert len(results(client, done.output_file_id)) == LINES


def test_a_cancel_is_not_forgotten(sandbox, client):
    batch = half_done(sandbox, client)
    client.batches.cancel(batch.id)

    sandbox.kill()
    sandbox.start()
    done = finished(client, batch.id)

    lines = results(client, done.output_file_id) + results(client, done.error_file_id)
    assert done.status == "cancelled"
    assert {line["custom_id"] for line in lines} == {str(n) for n in range(LINES)}
    assert len(lines) == LINES


@pytest.mark.slow
def test_a_stop_in_the_middle_is_like_a_kill(sandbox, client):
    batch = half_done(sandbox, client)

    assert sandbox.stop() == 0
    sandbox.start()

    done = finished(client, batch.id)
    assert done.request_counts.completed == LINES
    assert len(results(client, done.output_file_id)) == LINES
    assert "Traceback" not in "".join(sandbox.log)
