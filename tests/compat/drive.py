"""Drives the official `openai` client, of whatever major, through the sandbox.

Run by the Python of an environment that holds nothing but that client:
`python drive.py BASE_URL`. Every object and result line that the client sees is printed
as one JSON line `{"definition": …, "value": …}`; an unexpected answer ends the script.
"""

import io
import json
import sys
import time

import openai

LINES = 3
FINAL = ("completed", "failed", "expired", "cancelled")


def request(custom_id, url="/v1/chat/completions", **body):
    default = {"messages": [{"role": "user", "content": "Say hello"}]}
    given = {"model": "gpt-4o-mini", **(body or default)}
    return {"custom_id": custom_id, "method": "POST", "url": url, "body": given}


def jsonl(lines):
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


def show(definition, value):
    sys.stdout.write(json.dumps({"definition": definition, "value": value}) + "\n")


def seen(definition, raw):
    """The parsed object of a raw response, its JSON shown."""
    assert raw.headers["x-request-id"]
    show(definition, raw.http_response.json())
    return raw.parse()


def refused(kind, call, *args, **options):
    """The error of a call that must be refused."""
    try:
        call(*args, **options)
    except kind as error:
        show("ErrorResponse", error.response.json())
        assert error.request_id
        return error
    raise AssertionError(f"{call} was not refused")


def finished(client, batch_id):
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        batch = seen("Batch", client.batches.with_raw_response.retrieve(batch_id))
        if batch.status in FINAL:
            return batch
        time.sleep(0.05)
    raise AssertionError(f"{batch_id} did not end")


def drive_files(client):
    files = client.files
    content = jsonl([request(str(n)) for n in range(LINES)])
    made = seen(
        "File",
        files.with_raw_response.create(file=("in.jsonl", content), purpose="batch"),
    )
    unnamed = files.create(file=io.BytesIO(content), purpose="batch")
    assert unnamed.filename == "upload"
    try:
        expiring = files.create(
            file=("in.jsonl", content),
            purpose="batch",
            expires_after={"anchor": "created_at", "seconds": 3600},
        )
        assert expiring.expires_at == expiring.created_at + 3600
    except TypeError:  # older releases of a major have no such argument
        pass
    refused(
        openai.BadRequestError,
        files.create,
        file=("notes.txt", content),
        purpose="batch",
    )
    assert seen("File", files.with_raw_response.retrieve(made.id)).id == made.id
    page = seen("FileList", files.with_raw_response.list(purpose="batch", limit=1))
    assert len(page.data) == 1
    assert made.id in [file.id for file in files.list(purpose="batch", limit=1)]
    assert files.content(made.id).content == content
    with files.with_streaming_response.content(made.id) as streamed:
        assert b"".join(streamed.iter_bytes(100)) == content
    seen("FileDeleted", files.with_raw_response.delete(unnamed.id))
    refused(openai.NotFoundError, files.retrieve, unnamed.id)
    return made.id


def drive_batches(client, file_id):
    batches = client.batches
    wanted = {
        "input_file_id": file_id,
        "endpoint": "/v1/chat/completions",
        "completion_window": "24h",
        "metadata": {"token": "compat"},
    }
    made = seen("Batch", batches.with_raw_response.create(**wanted))
    assert made.status == "validating"
    done = finished(client, made.id)
    assert done.status == "completed"
    assert done.request_counts.completed == LINES
    assert done.metadata == {"token": "compat"}
    lines = client.files.content(done.output_file_id).text.splitlines()
    assert len(lines) == LINES
    for line in lines:
        show("BatchOutputLine", json.loads(line))
    page = seen("BatchList", batches.with_raw_response.list(limit=1))
    assert len(page.data) == 1
    assert made.id in [batch.id for batch in batches.list(limit=1)]
    refused(openai.ConflictError, batches.cancel, made.id)
    refused(openai.NotFoundError, batches.retrieve, "batch_unknown")
    refused(
        openai.BadRequestError,
        batches.create,
        **{**wanted, "completion_window": "1h"},
    )
    many = [request(str(n)) for n in range(3000)]
    cancelled = batches.create(**{**wanted, "input_file_id": uploaded(client, many)})
    seen("Batch", batches.with_raw_response.cancel(cancelled.id))
    done = finished(client, cancelled.id)
    assert done.status == "cancelled"
    if done.error_file_id:
        for line in client.files.content(done.error_file_id).text.splitlines():
            show("BatchErrorLine", json.loads(line))
    bad = [request("1"), request("1"), {"custom_id": "2"}]
    failed = batches.create(**{**wanted, "input_file_id": uploaded(client, bad)})
    done = finished(client, failed.id)
    assert [error.line for error in done.errors.data] == [2, 3]


def uploaded(client, lines):
    return client.files.create(file=("in.jsonl", jsonl(lines)), purpose="batch").id


def drive_other_endpoints(client):
    chat = [{"role": "user", "content": "Say hello"}]
    answer = client.chat.completions.create(model="gpt-4o-mini", messages=chat)
    assert answer.choices[0].message.content
    assert client.responses.create(model="gpt-4o-mini", input="Hello").output_text
    vectors = client.embeddings.create(model="text-embedding-3-small", input=["a"])
    assert len(vectors.data[0].embedding) == 1536
    assert "gpt-4o-mini" in [model.id for model in client.models.list()]
    for url, model, body in (
        ("/v1/responses", "gpt-5-mini", {"input": "Hello"}),
        ("/v1/embeddings", "text-embedding-3-small", {"input": "Hello"}),
    ):
        line = request("1", url, model=model, **body)
        batch = client.batches.create(
            input_file_id=uploaded(client, [line]),
            endpoint=url,
            completion_window="24h",
        )
        done = finished(client, batch.id)
        assert done.status == "completed", done
        show(
            "BatchOutputLine",
            json.loads(client.files.content(done.output_file_id).text),
        )


def main():
    client = openai.OpenAI(base_url=sys.argv[1], api_key="sk-test", max_retries=0)
    file_id = drive_files(client)
    drive_batches(client, file_id)
    drive_other_endpoints(client)


if __name__ == "__main__":
    main()
