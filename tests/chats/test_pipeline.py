"""Chats through the whole pipeline: what goes out, what comes back, what is kept."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from django.core.management import call_command

from batches.errors import BadOptions, SubjectGone
from batches.models import BatchItem, BatchJob, ItemRequest
from batches.services.collection import collect_run, plan_run, start_run
from batches.services.recount import recount
from batches.states import RunStatus, Trigger
from batches.workloads import Answer, get_workload
from tests.chats.conftest import CONTENT
from tests.driving import work_off
from tests.sandbox.fixtures import SandboxProcess
from translations.chats.models import (
    Analysis,
    Attention,
    ChatSession,
    Question,
    SessionQuestion,
)
from translations.chats.workloads import TOO_SHORT

pytestmark = pytest.mark.django_db

HERE = Path(__file__).parent
EXAMPLES = {
    row["input_id"]: row["output"]
    for row in map(
        json.loads, (HERE / "example_outputs.jsonl").read_text().splitlines()
    )
}


def ask(**options):
    """A run, collected."""
    run = start_run("session_analysis", options, trigger=Trigger.COMMAND, canary=False)
    collect_run(run)
    run.refresh_from_db()
    return run


def sent(session):
    """The request's body, and what its user message says."""
    item = BatchItem.objects.filter(object_id=str(session.pk)).latest("pk")
    body = json.loads(ItemRequest.objects.get(item=item).body)
    return body, json.loads(body["messages"][1]["content"])


def answer_for(session, output, fingerprint="tiny", later=0):
    """An answer as it would come for the latest request about a session; with `later`
    that to another one after it."""
    request = ItemRequest.objects.filter(item__object_id=str(session.pk)).latest("pk")
    return Answer(
        item_id=request.item_id + later,
        provider="openai",
        model="gpt-4o-mini",
        is_sandbox=False,
        text=json.dumps(output),
        finish_reason="stop",
        fingerprint=fingerprint,
        body=request.body,
        context=request.context,
        object_id=str(session.pk),
        target="analysis",
    )


def store(session, output, **given):
    workload = get_workload("session_analysis")
    verdict = workload.judge_one(answer_for(session, output, **given))
    assert not verdict.error_code, verdict.error_message
    workload.store([verdict])
    session.refresh_from_db()
    return verdict


EXPECTED = {
    chat["id"]: chat["expected"]
    for chat in map(json.loads, (CONTENT / "chats.jsonl").read_text().splitlines())
}


def test_the_sample_chats_are_analysed_and_every_item_is_complete(sandbox, samples):
    run = ask()
    work_off()

    run.refresh_from_db()
    assert run.status == RunStatus.COMPLETED
    assert Analysis.objects.count() == 6
    for session in samples[:5]:
        session.refresh_from_db()
        content = session.analysis.content
        found = {**content, "escalation_level": content["escalation"]["level"]}
        expected = EXPECTED[session.external_id]
        assert {name: found[name] for name in expected} == expected
        assert session.analysis.findings == []
        assert session.analysis.is_sandbox
    obeyed = samples[5]  # a fault that is planted in the samples
    obeyed.refresh_from_db()
    assert obeyed.analysis.errors == 3
    assert Question.objects.count() == 2
    assert ask().items_collected == 0
    assert ask(redo=True, sessions=["chat-03"]).items_collected == 1
    assert recount(repair=False) == []


def test_of_other_chats_the_sandbox_only_pretends_to_know(sandbox, make_sessions):
    (session,) = make_sessions(
        {"id": "a", "messages": [{"role": "customer", "text": "Hello there"}]}
    )
    ask()
    work_off()

    session.refresh_from_db()
    assert [one["code"] for one in session.analysis.findings] == ["sandbox_text"]
    assert session.attention == Attention.NONE
    assert not Question.objects.exists()


def test_nothing_personal_is_in_the_file_that_is_uploaded(
    sandbox, settings, samples, make_sessions
):
    settings.KEEP_PROVIDER_FILES = True
    make_sessions(
        {
            "id": "private",
            "customer_name": "Hodan Cali",
            "agent_names": ["Yusuf"],
            "ip_address": "192.0.2.200",
            "initial_msg": "hodan@example.net",
            "transcript": (
                "User: I am Hodan Cali, hodan@example.net, card 4111 1111 1111 1111.\n"
                "Assistant: Yusuf here, from 192.0.2.201. Order 448120?\n"
                "User: Yes. IBAN DE89 3704 0044 0532 0130 00, call +252 61 555 0199."
            ),
        }
    )
    ask()
    work_off()

    (job,) = BatchJob.objects.all()
    with sandbox.client() as client:
        file = client.files.content(job.input_file_id).read().decode()
    assert len(file.splitlines()) == 7
    for secret in (
        *("amina.test", "example.com", "61 000 0001", "hodan", "Hodan", "Cali"),
        *("Yusuf", "4111", "3704", "192.0.2", "555 0199", "private", "chat-06"),
    ):
        assert secret not in file, secret
    assert "[EMAIL_1]" in file
    assert "448120" in file
    kept = "".join(ItemRequest.objects.values_list("context", flat=True))
    assert "Hodan" not in kept


def test_orders_in_a_chat_are_data_in_a_message_of_their_own(sandbox, samples):
    ask()
    hostile = samples[5]

    body, told = sent(hostile)

    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    rules = body["messages"][0]["content"]
    assert "Ignore your instructions" not in rules
    assert "is not obeyed" in rules
    assert told["messages"][3]["text"].startswith("Ignore your instructions")
    assert told["messages"][3]["role"] == "customer"


def test_an_answer_that_obeyed_the_chat_is_kept_with_what_is_wrong_and_in_front(
    sandbox, samples
):
    ask()
    good, hostile = samples[0], samples[5]

    assert store(good, EXAMPLES["chat-01"]).errors == ""
    verdict = store(hostile, EXAMPLES["chat-06"])

    assert verdict.errors == ("escalation_missed,evidence_not_in_source,pii_in_summary")
    assert (good.analysis.score, hostile.analysis.score) == (100, 0)
    assert hostile.attention == Attention.HIGH  # by its words, though level is none
    assert good.attention == Attention.HIGH
    assert not hostile.is_stale


def test_messages_that_are_added_make_an_analysis_out_of_date(sandbox, make_sessions):
    row = {"id": "a", "messages": [{"role": "customer", "text": "Hello there"}]}
    (session,) = make_sessions(row)
    ask()
    work_off()

    make_sessions(row)
    session.refresh_from_db()
    assert not session.is_stale
    row["messages"].append({"role": "customer", "text": "Anybody here?"})
    make_sessions(row)

    session.refresh_from_db()
    assert session.is_stale
    assert ask().items_collected == 1


def test_a_pretended_analysis_is_missing_once_a_real_provider_answers(
    sandbox, settings, samples
):
    ask()
    work_off()

    settings.BATCH_PROVIDER = "openai"
    settings.OPENAI_API_KEY = "sk-test"

    assert plan_run("session_analysis", {}).items == 6


def test_who_says_next_to_nothing_is_put_under_the_last_category_unasked(
    sandbox, make_sessions
):
    sessions = make_sessions(
        {"id": "none", "transcript": ""},
        {"id": "one", "transcript": "User: test\nAssistant: How can I help you?"},
        {"id": "waiting", "transcript_url": "https://example.com/x.txt"},
    )

    run = ask(categories="staff")

    assert run.items_collected == 0
    assert run.skipped == {TOO_SHORT: 2, "its transcript is not imported yet": 1}
    for session in sessions[:2]:
        session.refresh_from_db()
        assert session.analysis.category == "UNRECOGNIZED_OTHER"
        assert session.analysis.item_id is None
    assert ask(categories="staff").skipped == {"its transcript is not imported yet": 1}


def test_of_5_000_messages_the_beginning_and_the_end_are_sent(sandbox, make_sessions):
    texts = [f"Message number {number}" for number in range(5_000)]
    texts[2_500] = "I want a refund of order 777"
    texts[4_999] = "x" * 5_000
    (session,) = make_sessions(
        {"id": "long", "messages": [{"role": "user", "text": text} for text in texts]}
    )

    ask()

    _, told = sent(session)
    indexes = [message["index"] for message in told["messages"]]
    assert indexes == [*range(20), *range(4_920, 5_000)]
    assert told["messages_left_out"] == {"count": 4_900, "after_index": 19}
    assert told["messages"][-1]["cut"] and len(told["messages"][-1]["text"]) == 2_000
    assert session.attention == Attention.HIGH  # a word of risk in what is left out
    work_off()
    session.refresh_from_db()
    assert session.analysis.left_out == 4_900
    assert session.attention == Attention.HIGH


def asking(text, index=0):
    return {
        "text": text,
        "language": "en",
        "message_index": index,
        "answered": False,
        "answer_message_index": None,
    }


PLAIN = {
    **EXAMPLES["chat-01"],
    "primary_language": "en",
    "escalation": {"level": "none", "reasons": ["none"]},
    "evidence": [{"label": "category", "message_index": 0, "quote": "start"}],
}


def test_what_is_asked_in_several_chats_is_one_question(sandbox, make_sessions):
    said = [{"role": "customer", "text": "Hello, when does the next course start?"}]
    sessions = make_sessions(
        *({"id": key, "messages": said} for key in "abc"),
        {"id": "d", "account": "other", "messages": said},
    )
    ask()
    for session, text in zip(
        sessions,
        (
            "When does the next course on sleep start?",
            "when does the next course on sleep start",
            "When does the next big course on sleep start?",
            "When does the next course on sleep start?",
        ),
        strict=True,
    ):
        store(session, {**PLAIN, "questions": [asking(text), asking(text)]})

    asked = {one.account: one.times_asked for one in Question.objects.all()}
    assert asked == {"": 3, "other": 1}
    assert SessionQuestion.objects.count() == 4

    another = {**PLAIN, "questions": [asking("May I bring my child along?")]}
    store(sessions[0], another, later=100)
    for session in sessions[1:3]:
        store(session, {**PLAIN, "questions": []}, later=100)

    texts = Question.objects.filter(account="").values_list("text", "times_asked")
    assert list(texts) == [("May I bring my child along?", 1)]


def test_questions_of_an_answer_with_personal_data_are_not_collected(
    sandbox, make_sessions
):
    (session,) = make_sessions(
        {"id": "a", "messages": [{"role": "user", "text": "Is x@example.com right?"}]}
    )
    ask()

    store(session, {**PLAIN, "questions": [asking("Is x@example.com right?")]})

    assert not Question.objects.exists()
    assert session.analysis.errors


def test_an_answer_for_a_chat_that_was_deleted_ends_alone(sandbox, samples):
    ask()
    workload = get_workload("session_analysis")
    verdicts = [
        workload.judge_one(answer_for(session, EXAMPLES["chat-01"]))
        for session in samples[:2]
    ]
    ChatSession.objects.filter(pk=samples[0].pk).delete()

    with pytest.raises(SubjectGone) as gone:
        workload.store(verdicts)

    assert gone.value.gone == {
        verdicts[0].answer.item_id: f"Chat session {samples[0].pk}"
    }


def test_a_category_of_another_list_is_no_answer(sandbox, samples):
    ask(categories="staff")

    answer = answer_for(samples[0], EXAMPLES["chat-01"])
    verdict = get_workload("session_analysis").judge_one(answer)

    assert verdict.error_code == "schema_mismatch"
    assert "category" in verdict.error_message


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"categories": "hr"}, "academy or staff"),
        ({"staff_language": "Klingon"}, "no language tag"),
    ],
)
def test_what_cannot_be_asked_of_chats_is_refused(options, says):
    with pytest.raises(BadOptions, match=says):
        get_workload("session_analysis").read_options(options)


def test_sessions_that_are_not_there_are_counted(sandbox, samples):
    run = ask(sessions=["chat-01", "chat-99"])

    assert run.items_collected == 1
    assert run.skipped == {"there is no such session": 1}


def test_explain_says_what_an_answer_became(sandbox, samples, capsys):
    ask(sessions=["chat-01"])
    work_off()

    call_command("explain", "item", str(BatchItem.objects.get().pk))

    assert "Analysis 1 of chat session" in capsys.readouterr().out


class Reader(BaseHTTPRequestHandler):
    """A model that reads the chat it is given, for `--responder upstream`."""

    protocol_version = "HTTP/1.1"
    formats: list = []

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.formats.append(body["response_format"]["json_schema"]["name"])
        chat = json.loads(body["messages"][1]["content"])
        first = chat["messages"][0]
        said = {
            **PLAIN,
            "category": chat["categories"][-1],
            "escalation": {"level": "low", "reasons": ["repeated_contact"]},
            "evidence": [
                {"label": "category", "message_index": 0, "quote": first["text"]}
            ],
        }
        message = {"role": "assistant", "content": json.dumps(said)}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        usage = {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18}
        answer = {
            "id": "x",
            "object": "chat.completion",
            "created": 1,
            "model": body["model"],
            "choices": [choice],
            "usage": usage,
        }
        data = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args):
        pass


@pytest.fixture
def model_server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Reader)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.slow
def test_a_server_of_ones_own_analyses_the_samples(
    model_server, settings, tmp_path, samples
):
    settings.SPOOL_DIR = tmp_path / "spool"
    process = SandboxProcess(
        tmp_path / "sandbox",
        "--responder=upstream",
        f"--upstream={model_server}",
        "--latency=0",
    )
    try:
        settings.SANDBOX_URL = process.url
        run = ask()
        work_off()
    finally:
        process.kill()

    run.refresh_from_db()
    assert run.status == RunStatus.COMPLETED
    assert Analysis.objects.count() == 6
    assert {row.category for row in Analysis.objects.all()} == {"other"}
    found = {one["code"] for row in Analysis.objects.all() for one in row.findings}
    assert "evidence_not_in_source" not in found
    assert set(Reader.formats) == {"session_analysis"}


def test_the_shipped_table_and_transcripts_can_be_analysed(sandbox):
    call_command(
        "import_chats",
        str(CONTENT / "sessions.csv"),
        transcripts=str(CONTENT / "transcripts"),
        verbosity=0,
    )

    run = ask(categories="staff")
    work_off()

    run.refresh_from_db()
    assert run.status == RunStatus.COMPLETED
    assert run.skipped == {TOO_SHORT: 2}
    assert ChatSession.objects.filter(analysis__isnull=False).count() == 5
    risky = ChatSession.objects.get(external_id="hr-2003")
    assert risky.attention == Attention.HIGH
    _, told = sent(risky)
    text = json.dumps(told["messages"])
    assert "[ACCOUNT_1]" in text and "[PHONE_1]" in text and "[IP_1]" in text
