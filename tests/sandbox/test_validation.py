"""Provider facts 3: what the asynchronous validation refuses, and in which words."""

import orjson
import pytest

from tests.sandbox.fixtures import chat_line, create, finished, results, run, upload
from tests.sandbox.wire_schema import check


def without(name):
    line = chat_line("x")
    del line[name]
    return line


def body_without(name):
    line = chat_line("x")
    del line["body"][name]
    return line


BAD_LINES = [
    (b"{nope\n", "invalid_json_line", None),
    (b"[1]\n", "invalid_json_line", None),
    (b'{"custom_id": "\\ud800"}\n', "invalid_json_line", None),
    (without("custom_id"), "missing_required_parameter", "custom_id"),
    (without("method"), "missing_required_parameter", "method"),
    (without("url"), "missing_required_parameter", "url"),
    (without("body"), "missing_required_parameter", "body"),
    ({**chat_line("x"), "custom_id": 5}, "invalid_type", "custom_id"),
    ({**chat_line("x"), "body": "text"}, "invalid_type", "body"),
    ({**chat_line("x"), "method": "GET"}, "invalid_method", "method"),
    ({**chat_line("x"), "url": "/v1/embeddings"}, "invalid_url", "url"),
    (body_without("model"), "missing_required_parameter", "body.model"),
    (body_without("messages"), "missing_required_parameter", "body.messages"),
    (chat_line("x", stream=True), "streaming_unsupported", "body.stream"),
    (chat_line("x", model="no-such-model"), "model_not_found", "body.model"),
    (chat_line("x", model="gpt-4o"), "mismatched_model", "body.model"),
    (chat_line("good"), "duplicate_custom_id", "custom_id"),
]


@pytest.mark.parametrize(("line", "code", "param"), BAD_LINES)
def test_one_bad_line_fails_the_whole_file(client, line, code, param):
    """Provider facts 3: code and param of each validation error; lines from 1."""
    batch = run(client, [chat_line("good"), line])

    check("Batch", batch.to_dict())
    assert batch.status == "failed"
    assert batch.failed_at
    assert batch.request_counts.to_dict() == {"total": 0, "completed": 0, "failed": 0}
    assert batch.output_file_id is None
    assert batch.error_file_id is None
    [error] = batch.errors.data
    assert (error.code, error.param, error.line) == (code, param, 2)


def test_several_errors_are_collected(client):
    """Provider facts 3: validation collects several errors in one `errors.data`."""
    lines = [chat_line("1"), b"no\n", without("url"), chat_line("1"), b"{}\n"]
    batch = run(client, lines)

    assert [(error.line, error.code) for error in batch.errors.data] == [
        (2, "invalid_json_line"),
        (3, "missing_required_parameter"),
        (4, "duplicate_custom_id"),
        (5, "missing_required_parameter"),
    ]


def test_the_messages_are_openais(client):
    """Provider facts 3: messages that public clients match on."""
    batch = run(client, [b"no\n", without("custom_id")])

    assert [error.message for error in batch.errors.data] == [
        "This line is not parseable as valid JSON.",
        "Missing required parameter: 'custom_id'.",
    ]


def test_an_unknown_file_is_found_out_by_validation(client):
    """Provider facts 3: create answers 200, then `failed` with `invalid_request`."""
    batch = client.batches.create(
        input_file_id="file-unknown",
        endpoint="/v1/chat/completions",
        completion_window="24h",
    )
    done = finished(client, batch.id)

    [error] = done.errors.data
    assert (error.code, error.param, error.line) == ("invalid_request", "file_id", None)
    assert "Cannot find file file-unknown" in error.message


def test_a_file_of_blank_lines_is_empty(client):
    """Provider facts 3: `empty_file` for a file without a request."""
    batch = run(client, [b"\n\n"])

    assert [error.code for error in batch.errors.data] == ["empty_file"]


def test_blank_lines_are_allowed_at_the_end_only(client):
    """Provider facts 1: blank lines are unverified; some speakers refuse them."""
    assert run(client, [chat_line("1"), b"\n\n"]).status == "completed"
    refused = run(client, [chat_line("1"), b"\n", chat_line("2")])
    assert [error.line for error in refused.errors.data] == [2]


def test_a_line_is_ended_by_a_line_feed_and_nothing_else(client):
    """Provider facts 1: U+2028, U+2029 and U+0085 inside a line do not end it."""
    batch = run(client, [chat_line("1", "a\u2028b\u2029c\u0085d")])

    assert batch.request_counts.completed == 1


def test_more_than_50000_requests_are_refused(client):
    """Provider facts 1: 50,000 requests a batch."""
    body = orjson.dumps(chat_line("@"))
    lines = [body.replace(b"@", str(n).encode()) + b"\n" for n in range(50_001)]
    batch = create(client, lines)

    done = finished(client, batch.id, seconds=40)

    assert done.status == "failed"
    assert "50000" in done.errors.data[0].message


def test_embeddings_count_their_inputs(client):
    """Provider facts 1: 50,000 embedding inputs summed over all lines."""
    line = {
        "custom_id": "1",
        "method": "POST",
        "url": "/v1/embeddings",
        "body": {"model": "text-embedding-3-small", "input": ["a"] * 50_001},
    }
    batch = run(client, [line], endpoint="/v1/embeddings")

    assert batch.status == "failed"
    assert batch.errors.data[0].param == "body.input"


def test_the_file_of_a_refused_batch_can_be_used_again(sandbox, client):
    """Provider facts 5: a token limit refuses the batch, and its file survives."""
    sandbox.faults(token_limit=1)
    file = upload(client, [chat_line("1")])
    wanted = {
        "input_file_id": file.id,
        "endpoint": "/v1/chat/completions",
        "completion_window": "24h",
    }
    refused = finished(client, client.batches.create(**wanted).id)
    sandbox.clear_faults()

    done = finished(client, client.batches.create(**wanted).id)

    assert refused.errors.data[0].code == "token_limit_exceeded"
    assert done.status == "completed"
    assert len(results(client, done.output_file_id)) == 1
