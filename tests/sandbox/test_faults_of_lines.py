"""Each fault of a result line or of an answer does what its name says."""

import json

import orjson
import pytest
from openai.types.chat import ChatCompletion

from tests.sandbox.fixtures import chat_line, results, run
from tests.sandbox.test_responders import RESULT
from tests.sandbox.wire_schema import check

IDS = [f"id-{n}" for n in range(20)]


def translation_line(custom_id):
    """A line that asks to translate one segment into Arabic."""
    asked = {
        "source_language": "so",
        "target_language": "ar",
        "segments": [{"id": "title", "text": "Dhegaysiga ilmahaaga"}],
    }
    schema = {"name": "t", "strict": True, "schema": RESULT}
    return chat_line(
        custom_id,
        json.dumps(asked),
        response_format={"type": "json_schema", "json_schema": schema},
    )


def output(client, lines=None):
    """The finished batch of these lines, and the bytes of its output file."""
    batch = run(client, lines or [chat_line(custom_id) for custom_id in IDS])
    content = (
        client.files.content(batch.output_file_id).content
        if batch.output_file_id
        else b""
    )
    return batch, content


def one_answer(client):
    """The choice that a translation request is answered with."""
    batch = run(client, [translation_line("1")])
    [line] = results(client, batch.output_file_id)
    return ChatCompletion.model_validate(line["response"]["body"]).choices[0]


def test_when_all_lines_fail_there_is_only_an_error_file(sandbox, client):
    """Provider facts 3: status `completed`, and `output_file_id` null."""
    sandbox.faults(all_lines_fail=True)
    batch, _ = output(client)

    assert batch.status == "completed"
    assert batch.output_file_id is None
    assert batch.request_counts.to_dict() == {"total": 20, "completed": 0, "failed": 20}
    errors = results(client, batch.error_file_id)
    for line in errors:
        check("BatchErrorLine", line)
    assert {line["response"]["status_code"] for line in errors} == {500}
    assert batch.usage.total_tokens == 0


def test_some_lines_fail_with_the_status_asked_for(sandbox, client):
    sandbox.faults(failed_lines={"custom_ids": ["id-3"], "status": 400})
    batch, _ = output(client)

    [error] = results(client, batch.error_file_id)
    assert error["custom_id"] == "id-3"
    assert error["response"]["body"]["error"]["code"] == "context_length_exceeded"
    assert batch.request_counts.completed == 19


def test_lines_of_one_content_fail_in_every_batch(sandbox, client):
    sandbox.faults(failed_lines={"containing": "wolf", "status": 500})
    lines = [chat_line("1", "a sheep"), chat_line("2", "a wolf"), chat_line("3")]
    again = [chat_line("7", "a wolf"), chat_line("8", "a sheep")]

    failed = [
        [line["custom_id"] for line in results(client, batch.error_file_id)]
        for batch in (run(client, lines), run(client, again))
    ]

    assert failed == [["2"], ["7"]]


def test_what_a_line_contains_is_a_text(sandbox):
    with pytest.raises(ValueError, match="containing is a text, not 5"):
        sandbox.faults(failed_lines={"containing": 5})


def test_a_status_code_of_0_stands_in_the_output_file(sandbox, client):
    """Provider facts 4: status_code 0 was seen where no failure was counted."""
    sandbox.faults(status_code_0={"custom_ids": ["id-1"]})
    batch, content = output(client)

    codes = {
        line["custom_id"]: line["response"]["status_code"]
        for line in map(orjson.loads, content.splitlines())
    }
    assert codes["id-1"] == 0
    assert sorted(codes.values()) == [0] + [200] * 19
    assert batch.request_counts.to_dict() == {"total": 20, "completed": 20, "failed": 0}


def test_lines_can_appear_twice_and_are_billed_once(sandbox, client):
    sandbox.faults(duplicate_lines=1.0)
    billed = sandbox.ledger()["lines"]
    batch, content = output(client)

    assert len(content.splitlines()) == 40
    assert batch.request_counts.completed == 20
    assert sandbox.ledger()["lines"] == billed + 20


def test_lines_can_be_missing_though_billed_and_counted(sandbox, client):
    sandbox.faults(missing_lines={"custom_ids": ["id-5", "id-6"]})
    billed = sandbox.ledger()["lines"]
    batch, content = output(client)

    assert len(content.splitlines()) == 18
    assert batch.error_file_id is None
    assert batch.request_counts.completed == 20
    assert sandbox.ledger()["lines"] == billed + 20


def test_lines_of_nobody_can_appear(sandbox, client):
    sandbox.faults(unknown_lines={"times": 3})
    batch, content = output(client)

    lines = [orjson.loads(line) for line in content.splitlines()]
    unknown = [line for line in lines if line["custom_id"] not in IDS]
    assert len(unknown) == 3
    for line in unknown:
        check("BatchOutputLine", line)
    assert batch.request_counts.completed == 20


def test_lines_that_are_not_json_can_appear(sandbox, client):
    sandbox.faults(garbage_lines={"times": 1})
    _, content = output(client)

    broken = []
    for line in content.split(b"\n"):
        try:
            orjson.loads(line or b"{}")
        except orjson.JSONDecodeError:
            broken.append(line)
    assert len(broken) == 2
    assert any(line.startswith(b"\xff") for line in broken)


def test_a_line_can_be_as_large_as_is_asked_for(sandbox, client):
    sandbox.faults(oversized_lines={"custom_ids": ["id-9"], "bytes": 300_000})
    _, content = output(client)

    assert max(len(line) for line in content.splitlines()) > 300_000


def test_lines_can_end_in_crlf(sandbox, client):
    sandbox.faults(crlf=True)
    _, content = output(client)

    assert content.count(b"\r\n") == content.count(b"\n") == 20


def test_line_separators_are_escaped_unless_a_fault_leaves_them_raw(sandbox, client):
    """Provider facts 12: public clients read results with `splitlines()`."""
    text = "a\u2028b\u2029c\u0085d"
    _, escaped = output(client, [chat_line("1", text)])
    sandbox.faults(raw_separators=True)
    _, raw = output(client, [chat_line("1", text)])

    assert len(escaped.decode().splitlines()) == 1
    assert len(raw.decode().splitlines()) > 1
    for content in (escaped, raw):
        [line] = content.split(b"\n")[:-1]
        said = orjson.loads(line)["response"]["body"]["choices"][0]["message"][
            "content"
        ]
        assert "\u2028" in said
        assert "\u0085" in said


@pytest.mark.parametrize(
    ("fault", "reason"),
    [("truncated_answers", "length"), ("filtered_answers", "content_filter")],
)
def test_an_answer_can_be_broken_off(sandbox, client, fault, reason):
    """Provider facts 7: `length` and `content_filter` are status 200, and billed."""
    sandbox.faults(**{fault: 1.0})

    choice = one_answer(client)

    assert choice.finish_reason == reason
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(choice.message.content)


def test_an_answer_can_be_a_refusal(sandbox, client):
    """Provider facts 7: `refusal` is set, `content` null, finish_reason `stop`."""
    sandbox.faults(refused_answers=1.0)

    choice = one_answer(client)

    assert choice.message.content is None
    assert choice.message.refusal
    assert choice.finish_reason == "stop"


def test_an_answer_can_be_prose_where_json_was_asked_for(sandbox, client):
    sandbox.faults(non_json_answers=1.0)

    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(one_answer(client).message.content)


@pytest.mark.parametrize(
    ("fault", "says"), [("wrong_language", "langue"), ("obey_text", "PWNED")]
)
def test_an_answer_can_be_valid_and_wrong(sandbox, client, fault, says):
    sandbox.faults(**{fault: 1.0})

    answer = orjson.loads(one_answer(client).message.content)

    assert [segment["id"] for segment in answer["segments"]] == ["title"]
    assert says in answer["segments"][0]["text"]


def test_a_fault_that_strikes_once_leaves_the_next_try_alone(sandbox, client):
    sandbox.faults(truncated_answers={"times": 1})

    assert one_answer(client).finish_reason == "length"
    assert one_answer(client).finish_reason == "stop"


def test_the_mix_spoils_files_without_losing_an_answer(sandbox, client):
    sandbox.faults(random={"rate": 0.3, "seed": 3, "names": ["duplicate_lines"]})
    _, content = output(client)

    answered = [orjson.loads(line)["custom_id"] for line in content.splitlines()]
    assert set(answered) == set(IDS)
    assert len(answered) > len(IDS)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("truncated_answers", "max_output_tokens"),
        ("filtered_answers", "content_filter"),
    ],
)
def test_a_response_can_be_incomplete(sandbox, client, fault, reason):
    """Provider facts 7: `incomplete_details.reason`, HTTP 200."""
    sandbox.faults(**{fault: True})

    response = client.responses.create(model="gpt-4o-mini", input="Say hello")

    assert response.status == "incomplete"
    assert response.incomplete_details.reason == reason


def test_a_response_can_be_a_refusal(sandbox, client):
    """Provider facts 7: a content part of the type `refusal`."""
    sandbox.faults(refused_answers=True)

    response = client.responses.create(model="gpt-4o-mini", input="Say hello")

    assert [part.type for part in response.output[-1].content] == ["refusal"]
    assert response.output_text == ""
