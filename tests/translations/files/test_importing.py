"""What is taken of files of requests, and what is refused with which words."""

import tracemalloc
from io import BytesIO

import orjson
import pytest

from batches.errors import UnknownPrice
from batches.models import AuditEntry
from tests.translations.files.conftest import SCHEMA, jsonl, request_line, wanted
from translations.files.importing import FileRefused, import_file
from translations.files.models import FileLine, RequestFile
from translations.importing import ImportRefused

pytestmark = pytest.mark.django_db


def without(line, *names):
    body = {key: value for key, value in line["body"].items() if key not in names}
    return {**line, "body": body}


def test_requests_are_kept_in_their_order_without_their_model(bring):
    file = bring(request_line("b"), b"\n", request_line("a", temperature=0))

    lines = list(FileLine.objects.order_by("number"))
    assert [(line.number, line.custom_id) for line in lines] == [(1, "b"), (3, "a")]
    assert orjson.loads(lines[1].content) == {
        "messages": [{"role": "user", "content": "Hello"}],
        "max_completion_tokens": 50,
        "temperature": 0,
    }
    assert (file.lines_total, file.model) == (2, "gpt-4o-mini")
    assert AuditEntry.objects.get().action == "file.import"


def test_a_byte_order_mark_and_a_last_line_without_end_are_no_trouble(bring):
    data = b"\xef\xbb\xbf" + jsonl(request_line("a"), request_line("b")).rstrip()

    assert bring(data).lines_total == 2


BAD = [
    (b'{"custom_id": \n', 'line 1: “{"custom_id":” – This is not JSON'),
    (b"[1]\n", r"line 1: “\[1\]” – A line must be a JSON object"),
    (request_line(""), "custom_id.* – Give a text of 1 to 255"),
    (request_line(7), "line 1, custom_id: “7” – Give a text"),
    (request_line("x" * 256), "custom_id.*1 to 255 characters"),
    (request_line("a\0b"), "custom_id.*cannot be printed"),
    ({**request_line(), "method": "GET"}, "method: “GET” – Write POST"),
    (
        {**request_line(), "url": "/v1/embeddings"},
        "url: “/v1/embeddings” – Only /v1/chat/completions",
    ),
    ({**request_line(), "body": "x"}, "body: “x” – Give the request's body"),
    (without(request_line(), "model"), "body.model: nothing – Name the model"),
    (without(request_line(), "messages"), "body.messages.*at least one message"),
    (request_line(stream=True), "body.stream: “true” – A batch cannot stream"),
    (request_line(tools=[{"type": "function"}]), "body.tools.*would be lost"),
    (
        without(request_line(), "max_completion_tokens"),
        "line 1, body.*bound its output.*--max-output-tokens",
    ),
    (request_line(max_completion_tokens=0), "body: “.*0.*must bound its output"),
    (request_line(n=2), "n is 2"),
    (request_line(response_format="json"), "response_format.*Use text, json_object"),
    (
        request_line(**wanted({**SCHEMA, "required": ["mood"]})),
        "schema.*the schema does not require 'stars'",
    ),
    (b"[" * 1000 + b"]" * 1000 + b"\n", "nested too deeply"),
    (
        b'{"custom_id": "a", "body": ' + b"[" * 300 + b"]" * 300 + b"}\n",
        "nested too deeply",
    ),
    (
        request_line(
            **wanted({"type": "object", "$ref": "http://x/y"}, strict=False),
        ),
        "'http://x/y' leads nowhere",
    ),
    (
        request_line(
            **wanted(
                {
                    **SCHEMA,
                    "properties": {
                        "mood": {"$ref": "#/$defs/mood"},
                        "stars": {"type": "integer"},
                    },
                }
            ),
        ),
        "'#/.defs/mood' leads nowhere",
    ),
    (
        request_line(**wanted({**SCHEMA, "additionalProperties": True})),
        "additionalProperties",
    ),
    (request_line(**wanted({"type": "array", "items": {}})), "an object at the top"),
    (
        request_line(**wanted({"type": "object", "properties": 3}, strict=False)),
        "This is no JSON schema",
    ),
]


@pytest.mark.parametrize(("line", "words"), BAD)
def test_a_line_that_cannot_be_sent_is_named_with_its_value(bring, line, words):
    with pytest.raises(FileRefused, match=words):
        bring(line, request_line("good"))

    assert not RequestFile.objects.exists()
    assert not AuditEntry.objects.exists()


def test_ids_that_stand_twice_are_told_with_both_lines(bring):
    lines = [request_line(f"id-{number}") for number in range(600)]

    with pytest.raises(FileRefused) as told:
        bring(*lines, request_line("id-3"), request_line("new"), request_line("new"))

    assert [(row.line, row.value) for row in told.value.bad] == [
        (601, "id-3"),
        (603, "new"),
    ]
    assert "stands on line 4 already" in told.value.bad[0].problem
    assert "stands on line 602 already" in told.value.bad[1].problem


def test_a_second_model_is_told(bring):
    with pytest.raises(FileRefused, match="line 2, body.model: gpt-4o – .*one model"):
        bring(request_line("a"), request_line("b", model="gpt-4o"))


def test_a_model_without_a_price_is_refused_with_the_next_step(bring):
    with pytest.raises(UnknownPrice, match="line 1: .*house-model.*Prices"):
        bring(request_line(model="house-model"))

    assert not RequestFile.objects.exists()


@pytest.mark.parametrize("data", [b"", b"\n\n", b"\xef\xbb\xbf"])
def test_a_file_without_requests_is_refused(bring, data):
    with pytest.raises(ImportRefused, match="has no requests. Give one on each line"):
        bring(data)


def test_a_file_that_is_not_utf_8_is_refused(bring):
    with pytest.raises(ImportRefused, match="0xff on line 2"):
        bring(request_line("a"), b"\xff\n")


def test_a_huge_line_is_refused_and_those_after_it_are_read(bring):
    with pytest.raises(FileRefused) as told:
        bring(
            request_line("huge", "x" * (5 * 1024 * 1024)),
            request_line("a"),
            b"{\n",
        )

    assert [row.line for row in told.value.bad] == [1, 3]
    assert "more than 4 MB" in told.value.bad[0].problem


def test_a_dry_run_keeps_nothing():
    file = import_file(BytesIO(jsonl(request_line())), name="x.jsonl", dry_run=True)

    assert file.lines_total == 1
    assert not RequestFile.objects.exists()


def test_a_limit_is_set_where_a_request_has_none(bring):
    bring(
        without(request_line("a"), "max_completion_tokens"),
        request_line("b"),
        output_limit=9,
    )

    limits = [
        orjson.loads(content)["max_completion_tokens"]
        for content in FileLine.objects.order_by("number").values_list(
            "content", flat=True
        )
    ]
    assert limits == [9, 50]


@pytest.mark.slow
def test_fifty_thousand_lines_take_little_memory():
    data = BytesIO()
    for number in range(50_000):
        data.write(jsonl(request_line(f"id-{number}", "word " * 40)))
    data.seek(0)

    tracemalloc.start()
    file = import_file(data, name="large.jsonl")
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert file.lines_total == 50_000
    assert most < 30 * 1024 * 1024


# --- tables ---------------------------------------------------------------------------

TABLE = b'id,review\n1,Good tea\n2,"Cold,\nand late"\n'
ASKED = {"prompt": "Rate: $review", "schema": SCHEMA, "output_limit": 60}


def test_a_table_is_kept_row_by_row(bring):
    file = bring(TABLE, name="mine.csv", **ASKED)

    rows = FileLine.objects.order_by("number").values_list("custom_id", "content")
    assert [(key, orjson.loads(content)["review"]) for key, content in rows] == [
        ("1", "Good tea"),
        ("2", "Cold,\nand late"),
    ]
    assert file.columns == ["id", "review"]


@pytest.mark.parametrize(
    ("data", "changed", "words"),
    [
        (TABLE, {"prompt": " "}, "say what is asked of each row with a prompt"),
        (TABLE, {"output_limit": None}, "--max-output-tokens"),
        (TABLE, {"prompt": "$review $colour"}, r"names \$colour.*has id, review"),
        (TABLE, {"prompt": "5 $ for $review"}, r"write \$\$ for the sign"),
        (TABLE, {"schema": {"type": "string"}}, "schema of answers cannot be used"),
        (b"a,a\n1,2\n", {"prompt": "$a"}, "two columns 'a'"),
        (b"id,review\n", {}, "has no requests"),
        (b"", {}, "has no such column; it has none"),
    ],
)
def test_a_table_that_cannot_be_asked_about_is_refused(bring, data, changed, words):
    with pytest.raises(ImportRefused, match=words):
        bring(data, name="mine.csv", **{**ASKED, **changed})

    assert not RequestFile.objects.exists()


def test_rows_of_another_length_and_ids_that_stand_twice_are_named(bring):
    with pytest.raises(FileRefused) as told:
        bring(b"id,review\n1,a,b\n2,c\n2,d\n", name="mine.csv", **ASKED)

    assert [row.line for row in told.value.bad] == [2, 4]
    assert "3 cells, the header 2" in told.value.bad[0].problem


def test_rows_without_an_id_go_by_their_line(bring):
    bring(b"review\na\nb\n", name="mine.csv", **ASKED)

    keys = FileLine.objects.order_by("number").values_list("custom_id", flat=True)
    assert list(keys) == ["row-2", "row-3"]
