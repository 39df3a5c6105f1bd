"""OpenAI Files API: what an upload, a list, a download and a delete look like."""

import io
import json

import openai
import pytest

from tests.sandbox.fixtures import as_jsonl, chat_line, create, finished, run, upload
from tests.sandbox.wire_schema import check

LINE = as_jsonl([chat_line("1")])


def raw_upload(sandbox, parts, *, boundary="edge"):
    """POST a form whose parts come in the order given: [(headers, body)]."""
    import http.client

    body = b"".join(
        f"--{boundary}\r\nContent-Disposition: form-data; {headers}\r\n\r\n".encode()
        + content
        + b"\r\n"
        for headers, content in parts
    )
    connection = http.client.HTTPConnection("127.0.0.1", sandbox.port, timeout=20)
    connection.request(
        "POST",
        "/v1/files",
        body + f"--{boundary}--\r\n".encode(),
        {
            "authorization": "Bearer sk-test",
            "content-type": f"multipart/form-data; boundary={boundary}",
        },
    )
    answer = connection.getresponse()
    value = json.loads(answer.read())
    connection.close()
    return answer.status, value


def test_an_upload_is_processed_at_once_and_expires_after_30_days(client):
    """Provider facts 2: default expiry of a batch input file, status `processed`."""
    raw = client.files.with_raw_response.create(file=("r.jsonl", LINE), purpose="batch")
    file = json.loads(raw.content)

    check("File", file)
    assert file["status"] == "processed"
    assert file["bytes"] == len(LINE)
    assert file["expires_at"] == file["created_at"] + 30 * 86400
    assert raw.headers["x-request-id"].startswith("req_")


def test_a_file_for_another_purpose_persists(client):
    """Provider facts 2: only batch files expire by default."""
    file = client.files.create(file=("notes.txt", b"text"), purpose="user_data")

    assert file.expires_at is None


def test_form_parts_may_come_in_any_order(sandbox):
    """Provider facts 12: multipart in any part order, bracketed `expires_after`."""
    status, file = raw_upload(
        sandbox,
        [
            ('name="expires_after[seconds]"', b"3600"),
            ('name="file"; filename="a.jsonl"', LINE),
            ('name="expires_after[anchor]"', b"created_at"),
            ('name="purpose"', b"batch"),
        ],
    )

    assert status == 200
    assert file["expires_at"] == file["created_at"] + 3600


def test_an_upload_sent_in_chunks_is_read(sandbox):
    """HTTP/1.1: a client that streams does not announce a length."""
    import http.client

    form = (
        b'--e\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n--e\r\n'
        b'Content-Disposition: form-data; name="file"; filename="a.jsonl"\r\n\r\n'
        + LINE
        + b"\r\n--e--\r\n"
    )
    connection = http.client.HTTPConnection("127.0.0.1", sandbox.port, timeout=20)
    connection.request(
        "POST",
        "/v1/files",
        iter([form[:50], form[50:70], form[70:]]),
        {
            "authorization": "Bearer sk-test",
            "content-type": "multipart/form-data; boundary=e",
            "transfer-encoding": "chunked",
        },
        encode_chunked=True,
    )
    file = json.loads(connection.getresponse().read())
    connection.close()

    assert file["bytes"] == len(LINE)


def test_an_unnamed_upload_is_called_upload_and_accepted(client):
    """Provider facts 2: a BytesIO without a name goes up as `upload`."""
    file = client.files.create(file=io.BytesIO(LINE), purpose="batch")

    assert file.filename == "upload"


def test_a_name_with_another_ending_is_refused(client):
    """Provider facts 2: `notes.txt` is refused with 400, param and code null."""
    with pytest.raises(openai.BadRequestError, match="Must be .jsonl") as refused:
        client.files.create(file=("notes.txt", LINE), purpose="batch")

    check("ErrorResponse", refused.value.response.json())
    assert refused.value.type == "invalid_request_error"
    assert refused.value.code is None


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"purpose": "batch_output"}, "purpose"),
        (
            {
                "purpose": "batch",
                "expires_after": {"anchor": "created_at", "seconds": 60},
            },
            "expires_after.seconds",
        ),
        (
            {"purpose": "batch", "expires_after": {"anchor": "later", "seconds": 3600}},
            "expires_after.anchor",
        ),
    ],
)
def test_what_openai_does_not_allow_is_refused(client, options, param):
    """Provider facts 2: upload purposes; `expires_after` of 3600 to 2592000 s."""
    with pytest.raises(openai.BadRequestError) as refused:
        client.files.create(file=("r.jsonl", LINE), **options)

    assert refused.value.param == param


def test_an_empty_upload_is_refused(client):
    """Provider facts 2: an empty file is refused at upload."""
    with pytest.raises(openai.BadRequestError, match="empty"):
        client.files.create(file=("r.jsonl", b""), purpose="batch")


def test_an_upload_checks_little(client):
    """Provider facts 2: rows that no batch could run are accepted."""
    file = client.files.create(file=("r.jsonl", b'{"custom_id": 1}\n'), purpose="batch")

    assert file.status == "processed"


def test_a_form_without_a_file_or_a_purpose_is_refused(sandbox):
    """Provider facts 2: `missing_required_parameter` names what is missing."""
    only_purpose = raw_upload(sandbox, [('name="purpose"', b"batch")])
    only_file = raw_upload(sandbox, [('name="file"; filename="a.jsonl"', LINE)])

    assert only_purpose[0] == only_file[0] == 400
    assert only_purpose[1]["error"]["param"] == "file"
    assert only_file[1]["error"]["param"] == "purpose"


def test_the_list_pages_in_both_orders_and_filters_by_purpose(client):
    """Provider facts 2: `after`, `limit`, `order` (default desc) and `purpose`."""
    made = [
        client.files.create(file=(f"{n}.txt", b"x"), purpose="evals").id
        for n in range(3)
    ]

    newest = client.files.with_raw_response.list(purpose="evals", limit=2)
    shown = json.loads(newest.content)

    check("FileList", shown)
    assert [file["id"] for file in shown["data"]] == [made[2], made[1]]
    assert shown["has_more"] is True
    assert shown["last_id"] == made[1]
    ids = [file.id for file in client.files.list(purpose="evals", order="asc", limit=1)]
    assert ids == made
    rest = client.files.list(purpose="evals", after=made[1], limit=5)
    assert [file.id for file in rest.data] == [made[0]]
    assert rest.has_more is False


@pytest.mark.parametrize(
    "options", [{"limit": 0}, {"limit": 10_001}, {"order": "sideways"}]
)
def test_a_list_out_of_range_is_refused(client, options):
    """Provider facts 2: limit 1 to 10,000, order asc or desc."""
    with pytest.raises(openai.BadRequestError):
        client.files.list(**options)


def test_the_content_comes_back_byte_for_byte(client):
    """Provider facts 2: raw bytes with their length announced."""
    lines = as_jsonl([chat_line("1", "سلام \u2028 漢字")] * 2)
    file = client.files.create(file=("r.jsonl", lines), purpose="batch")

    answer = client.files.content(file.id)

    assert answer.content == lines
    assert answer.response.headers["content-length"] == str(len(lines))


def test_a_deleted_file_is_gone(client):
    """Provider facts 2: 404 `No such File object`, param `id`, after a delete."""
    file = upload(client, [chat_line("1")])

    raw = client.files.with_raw_response.delete(file.id)

    check("FileDeleted", json.loads(raw.content))
    for call in (client.files.retrieve, client.files.content, client.files.delete):
        with pytest.raises(openai.NotFoundError, match="No such File object") as gone:
            call(file.id)
        assert gone.value.param == "id"
    assert file.id not in [listed.id for listed in client.files.list()]


def test_result_files_have_a_purpose_and_a_lifetime_of_their_own(client):
    """Provider facts 2: `batch_output`; `output_expires_after` from its creation."""
    wanted = {"anchor": "created_at", "seconds": 7200}
    batch = run(client, [chat_line("1")], output_expires_after=wanted)

    file = client.files.retrieve(batch.output_file_id)

    assert file.purpose == "batch_output"
    assert file.filename == f"{batch.id}_output.jsonl"
    assert file.expires_at == file.created_at + 7200


def test_an_expired_file_is_the_404_of_an_unknown_one(sandbox, client):
    """Provider facts 2: the same 404 after expiry."""
    from tests.sandbox.fixtures import wait_for

    sandbox.faults(file_lifetime=0.05)
    file = upload(client, [chat_line("1")])

    def is_gone():
        try:
            client.files.retrieve(file.id)
        except openai.NotFoundError:
            return True
        return False

    assert wait_for(is_gone)


def test_the_bytes_of_a_deleted_input_file_stay_while_its_batch_runs(sandbox, client):
    sandbox.faults(never_ending=True)
    batch = create(client, [chat_line(str(n)) for n in range(4)])
    from tests.sandbox.fixtures import wait_for

    wait_for(lambda: client.batches.retrieve(batch.id).status == "in_progress")
    client.files.delete(batch.input_file_id)
    sandbox.clear_faults()

    assert finished(client, batch.id).request_counts.completed == 4
    wait_for(
        lambda: not (sandbox.directory / "files" / batch.input_file_id).exists(),
    )


@pytest.mark.parametrize("asked", ["bytes=3-", "bytes=9999-", "bytes=1-2", "lines=1-"])
def test_the_rest_of_a_file_can_be_had_alone(client, asked):
    """Provider facts 2: other ranges than an open one get the whole file."""
    file = upload(client, [chat_line("1")])

    raw = client.files.with_raw_response.content(
        file.id, extra_headers={"Range": asked}
    )

    if asked == "bytes=3-":
        assert raw.http_response.status_code == 206
        told = f"bytes 3-{len(LINE) - 1}/{len(LINE)}"
        assert raw.headers["content-range"] == told
        assert raw.content == LINE[3:]
    else:
        assert raw.http_response.status_code == 200
        assert raw.content == LINE
