"""Files of requests on their whole way: asked, answered, handed out in their order."""

import csv
import json
from io import StringIO

import orjson
import pytest
from django.contrib.contenttypes.models import ContentType
from django.core.management import CommandError, call_command

from batches import start_run
from batches.errors import BadOptions
from batches.models import BatchItem, BatchJob, ItemRequest
from batches.services.collection import collect_run, plan_run
from batches.states import ItemStatus
from batches.testing import check_workload
from batches.workloads import Answer, get_workload
from tests.driving import work_off
from tests.translations.files.conftest import SCHEMA, jsonl, request_line, wanted
from translations.files.exporting import written
from translations.files.models import FileLine, RequestFile

pytestmark = pytest.mark.django_db


def ask(file: RequestFile, **options):
    run = start_run("file", file=file.pk, **options)
    work_off()
    return run


def told(file: RequestFile) -> list[dict]:
    return [json.loads(line) for line in written(file, "jsonl")]


def rows(file: RequestFile) -> list[list[str]]:
    text = "".join(written(file, "csv"))
    return list(csv.reader(StringIO(text.removeprefix("\ufeff"), newline="")))


def test_answers_come_back_in_the_files_own_order(sandbox, bring):
    file = bring(
        request_line("z", "one"),
        request_line("a", "two", **wanted()),
        request_line("m", "three"),
    )

    run = ask(file)

    found = told(file)
    assert [line["custom_id"] for line in found] == ["z", "a", "m"]
    assert run.figures().complete == 3
    body = found[1]["response"]["body"]
    assert set(json.loads(body["choices"][0]["message"]["content"])) == {
        "mood",
        "stars",
    }
    assert body["usage"]["completion_tokens"] > 0
    assert BatchJob.objects.get().model == body["model"] == "gpt-4o-mini"


def test_the_request_goes_out_as_it_was_written(sandbox, bring):
    line = request_line("a", "Say “ß”", temperature=0.5, seed=7)
    ask(bring(line))

    assert orjson.loads(ItemRequest.objects.get().body) == line["body"]


def test_what_is_answered_is_not_asked_again(sandbox, bring):
    file = bring(request_line("a", "one"), request_line("b", "two"))
    ask(file, limit=1)
    assert [line["error"] and line["error"]["code"] for line in told(file)] == [
        None,
        "not_asked",
    ]

    again = ask(file)

    assert again.figures().items == 1
    assert plan_run("file", {"file": file.pk}).skipped == {"answered": 2}
    assert all(line["response"] for line in told(file))


def test_lines_that_ask_the_same_are_paid_for_once(sandbox, bring):
    file = bring(request_line("a", "same"), request_line("b", "same"))

    run = ask(file)

    first, second = told(file)
    assert first["response"]["body"]["choices"] == second["response"]["body"]["choices"]
    assert run.figures().sent == 1


def test_the_sandboxs_answers_count_for_nothing_once_a_provider_is_real(
    sandbox, bring, settings
):
    file = bring(request_line("a", "one"))
    ask(file)
    settings.BATCH_PROVIDER = "openai"
    settings.OPENAI_API_KEY = "sk-test"

    assert told(file)[0]["error"]["code"] == "not_asked"
    assert plan_run("file", {"file": file.pk}).items == 1


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "empty_answer"),
        ("no JSON", "invalid_json"),
        ('{"mood": "fine"}', "schema_mismatch"),
        ('{"mood": "fine", "stars": "5"}', "schema_mismatch"),
        ('{"mood": "fine", "stars": 5}', ""),
    ],
)
def test_answers_are_held_against_the_schema_of_their_line(text, code):
    body = orjson.dumps(request_line(**wanted())["body"]).decode()
    answer = Answer(1, "sandbox", "gpt-4o-mini", True, text, "stop", body=body)

    verdict = get_workload("file").judge_one(answer)

    assert verdict.error_code == code
    if code == "schema_mismatch":
        assert "stars" in verdict.error_message


def test_a_line_that_failed_says_why_and_the_others_are_answered(sandbox, bring):
    file = bring(request_line("a", "one"), request_line("b", "two"))
    run = start_run("file", file=file.pk)
    collect_run(run.row)
    kind = ContentType.objects.get_for_model(FileLine)
    gone = FileLine.objects.get(custom_id="a")
    assert BatchItem.objects.filter(content_type=kind).count() == 2
    gone.delete()
    work_off()

    statuses = BatchItem.objects.order_by("pk").values_list("status", "error_code")
    assert list(statuses) == [
        (ItemStatus.FAILED, "subject_gone"),
        (ItemStatus.COMPLETE, ""),
    ]
    assert [line["custom_id"] for line in told(file)] == ["b"]


def test_a_file_that_is_not_there_is_no_option():
    with pytest.raises(BadOptions, match="there is no file 7; import one"):
        start_run("file", file=7)


@pytest.mark.slow
def test_the_workload_does_what_the_engine_relies_on(bring):
    file = bring(request_line("a", "1"), request_line("b", "2"), request_line("c", "3"))

    check_workload("file", file=file.pk)


# --- tables ---------------------------------------------------------------------------


def test_a_table_gets_a_column_for_each_part_of_the_answer(sandbox, bring):
    file = bring(
        b"id,review\n1,=SUM(A1)\n2,fine\n",
        name="mine.csv",
        prompt="Rate: $review",
        schema=SCHEMA,
        output_limit=60,
    )

    ask(file)

    header, first, second = rows(file)
    assert header == ["id", "review", "mood", "stars", "error"]
    assert first[:2] == ["1", "'=SUM(A1)"]
    assert second[:2] == ["2", "fine"]
    assert first[2] and first[3].lstrip("-").isdigit()
    body = orjson.loads(ItemRequest.objects.order_by("pk")[0].body)
    assert body["messages"] == [{"role": "user", "content": "Rate: =SUM(A1)"}]
    assert body["response_format"]["json_schema"]["strict"] is True


def test_a_prompt_without_columns_stands_apart_from_the_row(sandbox, bring):
    file = bring(
        b"answer,error\nx,y\n", name="mine.csv", prompt="Sum up.", output_limit=60
    )

    ask(file)

    header, row = rows(file)
    assert header == ["answer", "error", "answer_answer", "answer_error"]
    assert row[:2] == ["x", "y"] and row[2]
    system, user = orjson.loads(ItemRequest.objects.get().body)["messages"]
    assert system == {"role": "system", "content": "Sum up."}
    assert json.loads(user["content"]) == {"answer": "x", "error": "y"}


def test_cells_that_were_not_answered_say_why(bring):
    file = bring(b"q\nx\n", name="mine.csv", prompt="$q", output_limit=60)

    assert rows(file)[1] == [
        "x",
        "",
        "not_asked: It was not sent yet. Start a run of its file.",
    ]


# --- commands -------------------------------------------------------------------------


def call(*args: str) -> str:
    out = StringIO()
    call_command(*args, stdout=out, stderr=StringIO())
    return out.getvalue()


def test_the_commands_lead_from_a_file_to_its_answers(sandbox, tmp_path):
    path, prompt, schema = (tmp_path / name for name in ("q.csv", "p.txt", "s.json"))
    path.write_text("id,review\n1,Good tea\n")
    prompt.write_text("Rate: $review")
    schema.write_text(json.dumps(SCHEMA))

    said = json.loads(
        call(
            "import_requests",
            str(path),
            f"--prompt={prompt}",
            f"--schema={schema}",
            "--max-output-tokens=60",
            "--json",
        )
    )
    call("run_workload", "file", f"--file={said['file']}")
    work_off()
    call("export_answers", str(said["file"]), f"--output={tmp_path / 'out.csv'}")

    out = (tmp_path / "out.csv").read_text("utf-8-sig")
    assert out.startswith("id,review,mood,stars,error")
    assert call("export_answers", str(said["file"]), "--format=jsonl").count("\n") == 1


def test_the_command_names_each_bad_line(tmp_path):
    path = tmp_path / "q.jsonl"
    path.write_bytes(jsonl(request_line(stream=True), b"{\n"))
    errors = StringIO()

    with pytest.raises(CommandError, match="nothing of it is kept: line 1, body.str"):
        call_command("import_requests", str(path), stderr=errors)

    assert "line 2: “{” – This is not JSON" in errors.getvalue()


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("import_requests", "nowhere.jsonl"), "nowhere.jsonl cannot be read"),
        (("export_answers", "9"), "There is no file 9"),
    ],
)
def test_what_is_not_there_is_told(args, words):
    with pytest.raises(CommandError, match=words):
        call(*args)
