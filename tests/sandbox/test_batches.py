"""OpenAI Batches API: creating, looking, listing, cancelling."""

import json

import openai
import pytest

from tests.sandbox.fixtures import (
    chat_line,
    create,
    finished,
    results,
    run,
    upload,
    wait_for,
)
from tests.sandbox.wire_schema import check

KEYS = {
    "id", "object", "endpoint", "model", "errors", "input_file_id", "completion_window",
    "status", "output_file_id", "error_file_id", "created_at", "in_progress_at",
    "expires_at", "finalizing_at", "completed_at", "failed_at", "expired_at",
    "cancelling_at", "cancelled_at", "request_counts", "usage", "metadata",
}  # fmt: skip


def raw_create(client, lines, **options):
    """The JSON of a create call."""
    raw = client.batches.with_raw_response.create(
        **{
            "input_file_id": upload(client, lines).id,
            "endpoint": "/v1/chat/completions",
            "completion_window": "24h",
            **options,
        }
    )
    return json.loads(raw.content)


def test_a_new_batch_is_validating_and_has_every_key(sandbox, client):
    """Provider facts 3: create answers 200 `validating`, counts 0/0/0, ids null."""
    sandbox.faults(late_validation=30)
    batch = raw_create(client, [chat_line("1")], metadata={"token": "t"})

    check("Batch", batch)
    assert batch.keys() == KEYS
    assert batch["status"] == "validating"
    assert batch["request_counts"] == {"total": 0, "completed": 0, "failed": 0}
    assert batch["output_file_id"] is None
    assert batch["error_file_id"] is None
    assert batch["expires_at"] == batch["created_at"] + 86400
    assert batch["metadata"] == {"token": "t"}


def test_a_batch_goes_through_its_states_in_order(sandbox, client):
    """Provider facts 3: validating, in_progress, finalizing, completed, with times."""
    sandbox.faults(never_ending=True, stuck_finalizing=True)
    batch = create(client, [chat_line(str(n)) for n in range(3)])

    wait_for(lambda: client.batches.retrieve(batch.id).status == "in_progress")
    running = client.batches.retrieve(batch.id)
    assert running.output_file_id is None
    sandbox.faults(never_ending=None)
    wait_for(lambda: client.batches.retrieve(batch.id).status == "finalizing")
    assert client.batches.retrieve(batch.id).output_file_id is None
    sandbox.clear_faults()
    done = finished(client, batch.id)

    check("Batch", done.to_dict())
    assert done.status == "completed"
    assert (
        done.created_at
        <= done.in_progress_at
        <= done.finalizing_at
        <= done.completed_at
        < done.expires_at
    )
    assert done.request_counts.to_dict() == {"total": 3, "completed": 3, "failed": 0}
    assert done.model == "gpt-4o-mini"
    assert done.output_file_id
    assert done.error_file_id is None


def test_results_come_in_another_order_than_the_requests(client):
    """Provider facts 4: the order of the output file is not that of the input."""
    wanted = [str(n) for n in range(50)]
    batch = run(client, [chat_line(custom_id) for custom_id in wanted])

    lines = results(client, batch.output_file_id)

    answered = [line["custom_id"] for line in lines]
    assert answered != wanted
    assert sorted(answered) == sorted(wanted)
    for line in lines:
        check("BatchOutputLine", line)


def test_usage_is_the_sum_over_the_lines(client):
    """Provider facts 3: `usage` with its details, equal to what the lines say."""
    batch = run(client, [chat_line(str(n), "Hello there") for n in range(5)])

    usages = [
        line["response"]["body"]["usage"]
        for line in results(client, batch.output_file_id)
    ]

    assert batch.usage.input_tokens == sum(usage["prompt_tokens"] for usage in usages)
    assert batch.usage.output_tokens == sum(
        usage["completion_tokens"] for usage in usages
    )
    assert (
        batch.usage.total_tokens == batch.usage.input_tokens + batch.usage.output_tokens
    )
    assert batch.usage.output_tokens_details.reasoning_tokens == 0


@pytest.mark.parametrize(
    ("change", "code", "param"),
    [
        ({"input_file_id": None}, "missing_required_parameter", "input_file_id"),
        ({"endpoint": None}, "missing_required_parameter", "endpoint"),
        (
            {"completion_window": None},
            "missing_required_parameter",
            "completion_window",
        ),
        ({"endpoint": "/v1/x"}, "invalid_value", "endpoint"),
        ({"completion_window": "1h"}, "invalid_value", "completion_window"),
        ({"metadata": {"tags": ["a"]}}, "invalid_type", "metadata.tags"),
        ({"metadata": "x"}, "invalid_type", "metadata"),
        (
            {"metadata": {str(n): "x" for n in range(17)}},
            "object_above_max_properties",
            "metadata",
        ),
        ({"metadata": {"k" * 65: "x"}}, "string_above_max_length", "metadata"),
        ({"metadata": {"k": "x" * 513}}, "string_above_max_length", "metadata.k"),
        ({"output_expires_after": {"seconds": 1}}, "invalid_value", None),
    ],
)
def test_a_bad_create_is_refused_at_once(client, change, code, param):
    """Provider facts 3: errors at create time, with code and param."""
    given = {
        "input_file_id": "file-x",
        "endpoint": "/v1/chat/completions",
        "completion_window": "24h",
        **change,
    }
    body = {name: value for name, value in given.items() if value is not None}

    with pytest.raises(openai.BadRequestError) as refused:
        client.post("/batches", body=body, cast_to=object)

    check("ErrorResponse", refused.value.response.json())
    assert refused.value.code == code
    assert param is None or refused.value.param == param


def test_metadata_at_its_limits_is_accepted(client):
    """Provider facts 1: 16 pairs, keys of 64, values of 512 characters."""
    metadata = {f"{n:02}".ljust(64, "k"): "v" * 512 for n in range(16)}

    assert (
        raw_create(client, [chat_line("1")], metadata=metadata)["metadata"] == metadata
    )


def test_a_body_that_is_not_json_is_refused(sandbox):
    """Provider facts 3: 400 for a body that cannot be parsed."""
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", sandbox.port, timeout=20)
    for body in (b"{", b"[]", b"\xff"):
        connection.request(
            "POST", "/v1/batches", body, {"authorization": "Bearer sk-test"}
        )
        answer = connection.getresponse()
        assert answer.status == 400
        check("ErrorResponse", json.loads(answer.read()))
    connection.close()


def test_the_list_is_newest_first_and_pages(client):
    """Provider facts 3: `after`, `limit` 1 to 100 (default 20), `has_more` always."""
    made = [create(client, [chat_line("1")]).id for _ in range(3)]

    raw = client.batches.with_raw_response.list(limit=2)
    shown = json.loads(raw.content)

    check("BatchList", shown)
    assert [batch["id"] for batch in shown["data"]] == [made[2], made[1]]
    assert shown["has_more"] is True
    second = client.batches.list(limit=1, after=made[1])
    assert [batch.id for batch in second.data] == [made[0]]
    walked = [batch.id for batch in client.batches.list(limit=1)]
    assert walked[:3] == made[::-1]
    for limit in (0, 101):
        with pytest.raises(openai.BadRequestError):
            client.batches.list(limit=limit)


def test_an_unknown_batch_is_404(client):
    """Provider facts 3: 404 `No batch found with id` to retrieve and cancel."""
    for call in (client.batches.retrieve, client.batches.cancel):
        with pytest.raises(openai.NotFoundError, match="No batch found with id"):
            call("batch_unknown")


def test_a_cancelled_batch_keeps_what_was_done(sandbox, client):
    """Provider facts 3: partial output, the rest as `batch_cancelled`."""
    sandbox.faults(never_ending=True)
    lines = [chat_line(str(n)) for n in range(1500)]
    batch = create(client, lines)
    wait_for(lambda: client.batches.retrieve(batch.id).request_counts.completed)

    cancelling = client.batches.cancel(batch.id)
    done = finished(client, batch.id)

    assert cancelling.status in ("cancelling", "cancelled")
    assert done.status == "cancelled"
    assert done.cancelling_at <= done.cancelled_at
    output = results(client, done.output_file_id)
    errors = results(client, done.error_file_id)
    assert len(output) == done.request_counts.completed == 1000
    assert len(errors) == 500
    for line in errors:
        check("BatchErrorLine", line)
    assert {line["error"]["code"] for line in errors} == {"batch_cancelled"}
    assert {line["custom_id"] for line in output + errors} == {
        str(n) for n in range(1500)
    }


def test_a_batch_cancelled_while_validating_has_no_files(sandbox, client):
    """Provider facts 3: validating, cancelling, cancelled; nothing ran."""
    sandbox.faults(late_validation=30)
    batch = create(client, [chat_line("1")])

    client.batches.cancel(batch.id)
    done = finished(client, batch.id)

    assert done.status == "cancelled"
    assert done.output_file_id is None
    assert done.error_file_id is None
    assert done.request_counts.total == 0


def test_cancelling_what_is_final_is_409(client):
    """Provider facts 3: 409 `Cannot cancel a batch with status`, unless cancelled."""
    completed = run(client, [chat_line("1")])
    failed = run(client, [b"no\n"])

    for batch in (completed, failed):
        message = f"Cannot cancel a batch with status '{batch.status}'"
        with pytest.raises(openai.ConflictError, match=message) as refused:
            client.batches.cancel(batch.id)
        assert refused.value.code is None
    twice = create(client, [chat_line(str(n)) for n in range(3000)])
    client.batches.cancel(twice.id)
    assert finished(client, twice.id).status == "cancelled"
    assert client.batches.cancel(twice.id).status == "cancelled"


def test_a_window_that_ends_expires_the_batch(sandbox, client):
    """Provider facts 3: `batch_expired` lines; expired lines are not counted failed."""
    sandbox.faults(expire_after=0.5, never_ending=True)
    batch = create(client, [chat_line(str(n)) for n in range(1500)])

    done = finished(client, batch.id)

    check("Batch", done.to_dict())
    assert done.status == "expired"
    assert done.expired_at
    assert done.request_counts.to_dict() == {
        "total": 1500,
        "completed": 1000,
        "failed": 0,
    }
    errors = results(client, done.error_file_id)
    assert {line["error"]["code"] for line in errors} == {"batch_expired"}
    assert {line["response"] for line in errors} == {None}
    assert len(errors) == 500


def test_paths_and_methods_that_do_not_exist_are_refused_in_the_envelope(client):
    """Provider facts 3: unknown path 404, wrong method 405, in the error object."""
    with pytest.raises(openai.NotFoundError) as unknown:
        client.get("/nothing", cast_to=object)
    check("ErrorResponse", unknown.value.response.json())
    with pytest.raises(openai.APIStatusError) as wrong:
        client.delete("/batches/batch_x", cast_to=object)
    assert wrong.value.status_code == 405


def test_a_key_is_required(sandbox):
    """Provider facts 3: 401 without an Authorization header."""
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", sandbox.port, timeout=20)
    connection.request("GET", "/v1/batches")
    answer = connection.getresponse()
    body = json.loads(answer.read())
    connection.close()

    assert answer.status == 401
    check("ErrorResponse", body)
    assert answer.headers["x-request-id"]
