"""`--responder upstream` against a small real server of the tests' own."""

import json
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.sandbox.fixtures import (
    SandboxProcess,
    chat_line,
    create,
    finished,
    results,
    run,
    wait_for,
)


class ModelServer(ThreadingHTTPServer):
    """An OpenAI-compatible chat server. `held` stops every answer until it is set;
    `script` gives the status of the first tries of a question."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _ModelHandler)
        self.asked = Counter()
        self.script = {}
        self.keys = set()
        self.held = threading.Event()
        self.held.set()
        self.lock = threading.Lock()
        self.at_once = self.most_at_once = 0
        self.url = f"http://127.0.0.1:{self.server_port}/api/v1"


class _ModelHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self._send(200, {"object": "list", "data": [{"id": "tiny-model"}]})

    def do_POST(self):
        server = self.server
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        question = body["messages"][0]["content"]
        with server.lock:
            server.asked[question] += 1
            server.keys.add(self.headers.get("authorization"))
            server.at_once += 1
            server.most_at_once = max(server.most_at_once, server.at_once)
            script = server.script.get(question)
            status = script.pop(0) if script else 200
        server.held.wait(20)
        with server.lock:
            server.at_once -= 1
        if status == 0:
            self.close_connection = True
            return
        if status != 200:
            self._send(status, {"error": {"message": "no", "type": "t", "code": "c"}})
            return
        self._send(
            200,
            {
                "id": "x",
                "object": "chat.completion",
                "created": 1,
                "model": body["model"],
                "system_fingerprint": "tiny",
                "choices": [
                    {
                        "index": 0,
                        "finish_reason": "stop",
                        "message": {"role": "assistant", "content": f"re: {question}"},
                    }
                ],
                "usage": {
                    "prompt_tokens": 7,
                    "completion_tokens": 3,
                    "total_tokens": 10,
                },
            },
        )

    def _send(self, status, value):
        body = json.dumps(value).encode()
        try:
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            self.close_connection = True

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def running_server():
    server = ModelServer()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def model_server(running_server):
    running_server.asked.clear()
    running_server.script = {}
    running_server.most_at_once = 0
    yield running_server
    running_server.held.set()


@pytest.fixture(scope="module")
def sandbox_process(tmp_path_factory, running_server):
    process = SandboxProcess(
        tmp_path_factory.mktemp("sandbox"),
        "--responder=upstream",
        f"--upstream={running_server.url}",
        "--upstream-key-env=TEST_UPSTREAM_KEY",
        "--workers=3",
        "--latency=0",
        env={"TEST_UPSTREAM_KEY": "upstream-key"},
    )
    yield process
    running_server.held.set()
    process.kill()


def line(custom_id, **body):
    return chat_line(custom_id, f"question {custom_id}", model="tiny-model", **body)


def lines_of(sandbox, batch_id):
    """Custom ids of the lines of this batch that are paid, each as often as it is."""
    return [
        custom_id
        for custom_id, lines in sandbox.ledger()["by_custom_id"].items()
        for line in lines
        if line["batch"] == batch_id and line["status"] == 200
    ]


def test_every_line_is_answered_by_the_server_a_few_at_a_time(
    client, sandbox, model_server
):
    model_server.held.clear()
    batch = create(client, [line(str(n)) for n in range(12)])
    wait_for(lambda: model_server.at_once == 3)
    model_server.held.set()
    batch = finished(client, batch.id)

    lines = results(client, batch.output_file_id)

    said = {
        answered["custom_id"]: answered["response"]["body"]["choices"][0]["message"]
        for answered in lines
    }
    assert said["7"]["content"] == "re: question 7"
    assert lines[0]["response"]["body"]["system_fingerprint"] == "tiny"
    assert batch.usage.input_tokens == 12 * 7
    assert batch.usage.output_tokens == 12 * 3
    assert len(lines_of(sandbox, batch.id)) == 12
    assert model_server.most_at_once == 3
    assert model_server.keys == {"Bearer upstream-key"}
    assert sum(model_server.asked.values()) == 12


def test_a_bad_moment_is_tried_again(client, model_server):
    model_server.script = {
        "question 1": [500, 0],
        "question 2": [429],
        "question 3": [503],
    }

    batch = run(client, [line("1"), line("2"), line("3")])

    assert batch.request_counts.completed == 3
    assert dict(model_server.asked) == {
        "question 1": 3,
        "question 2": 2,
        "question 3": 2,
    }


def test_what_the_server_refuses_is_that_lines_error(client, model_server):
    model_server.script = {"question 2": [400]}

    batch = run(client, [line("1"), line("2")])

    assert batch.status == "completed"
    [error] = results(client, batch.error_file_id)
    assert error["custom_id"] == "2"
    assert error["response"]["status_code"] == 400
    assert error["response"]["body"]["error"]["message"] == "no"
    assert model_server.asked["question 2"] == 1


def test_no_finished_line_is_asked_again_after_a_kill(client, sandbox, model_server):
    wanted = [line(str(n)) for n in range(40)]
    sandbox.faults(never_ending=True)  # half of them, and then no more
    batch = create(client, wanted)
    wait_for(lambda: client.batches.retrieve(batch.id).request_counts.completed >= 20)
    model_server.held.clear()
    before = lines_of(sandbox, batch.id)

    sandbox.kill()
    model_server.held.set()
    sandbox.start()
    done = finished(client, batch.id)

    assert done.request_counts.completed == 40
    assert len(before) >= 20
    assert all(model_server.asked[f"question {number}"] == 1 for number in before)
    assert sorted(lines_of(sandbox, batch.id)) == sorted(str(n) for n in range(40))


def test_a_cancel_waits_for_what_is_under_way(client, model_server):
    model_server.held.clear()
    batch = create(client, [line(str(n)) for n in range(10)])
    wait_for(lambda: model_server.at_once == 3)

    client.batches.cancel(batch.id)
    assert client.batches.retrieve(batch.id).status == "cancelling"
    model_server.held.set()
    done = finished(client, batch.id)

    assert done.status == "cancelled"
    assert len(results(client, done.output_file_id)) == 3
    assert len(results(client, done.error_file_id)) == 7


def test_a_stop_does_not_wait_for_an_answer(client, sandbox, model_server):
    model_server.held.clear()
    batch = create(client, [line("1")])
    wait_for(lambda: model_server.at_once == 1)

    assert sandbox.stop() == 0

    model_server.held.set()
    sandbox.start()
    assert finished(client, batch.id).request_counts.completed == 1


def test_models_and_single_requests_go_to_the_server_too(client):
    answer = client.chat.completions.create(
        model="tiny-model", messages=[{"role": "user", "content": "Hello"}]
    )

    assert answer.choices[0].message.content == "re: Hello"
    assert [model.id for model in client.models.list()] == ["tiny-model"]
