"""docs/api.md: its examples run, and it names what there is."""

import json
import os
import re
import shlex
import time

import pytest

from batches.models import AuditEntry, BatchJob, Run
from batches.models.api_key import Scope
from batches.services.webhook_calls import new_secret, signed_headers
from tests.api.conftest import Caller
from tests.processes import ROOT

pytestmark = pytest.mark.django_db

TEXT = (ROOT / "docs" / "api.md").read_text()
EXAMPLES = re.findall(r"^(curl .+)$", TEXT, re.MULTILINE)
HEADING = re.compile(r"^### `(GET|POST|PUT|DELETE) (/\S+)`$", re.MULTILINE)


def send(caller: Caller, example: str, **values: str):
    """Do what a line of curl would."""
    for name, value in values.items():
        example = example.replace(f"${name}", value)
    words = iter(shlex.split(example)[1:])
    method, body, headers, address = "GET", "", {}, ""
    for word in words:
        match word:
            case "-sS":
                pass
            case "-X":
                method = next(words)
            case "-d":
                body = next(words)
            case "-H":
                name, _, value = next(words).partition(": ")
                headers[name] = value
            case _:
                address = word
    assert "$" not in address + str(headers)
    if method == "GET":
        return caller.get(address, **headers)
    if method == "PUT":
        return caller.put(address, body, **headers)
    if method == "DELETE":
        return caller.delete(address, **headers)
    return caller.post(address, body, **headers)


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_runs_as_it_stands(
    with_key, anonymous, make_user, example, lessons, analysed_chat
):
    caller = with_key("admin")
    caller.post("translation", {"limit": 1})
    made = {
        "JOB": str(BatchJob.objects.get().public_id),
        "RUN": str(Run.objects.get().public_id),
    }
    user = with_key("submit", "operate", "read:content", owner=make_user("amina"))
    order = {"words": ["calm"], "features": {"etymology": True}}
    my_job = user.post("/api/v1/ai/batch", order).json()["jobId"]
    key = caller.client.defaults["HTTP_X_API_KEY"]
    known = set(AuditEntry.objects.values_list("pk", flat=True))

    response = send(
        anonymous,
        example,
        BATCHSITE="",
        KEY=key,
        ADMIN_KEY=key,
        MY_KEY=user.client.defaults["HTTP_X_API_KEY"],
        MY_JOB=my_job,
        **made,
    )

    expected = 200
    if "/process-results" in example or "/retry" in example:
        expected = 409  # the job was made just now
    if "Idempotency-Key" in example:
        expected = 202
    assert response.status_code == expected, response
    if " -X " in example and '"dryRun": true' not in example:
        acts = AuditEntry.objects.exclude(pk__in=known)
        assert acts, "a write left no entry in the audit log"
        for act in acts:
            assert act.actor.startswith("key:"), act
            assert act.address == "127.0.0.1"
            assert act.outcome == ("FAILURE" if expected == 409 else "SUCCESS")


def test_every_address_has_a_heading_and_an_example(document):
    documented = {
        (method.upper(), re.sub(r"\{(?:public_|job_)?(\w+)\}", r":\1", path))
        for path, operations in document["paths"].items()
        for method in operations
    }

    assert set(HEADING.findall(TEXT)) == documented
    for _, path in documented:
        address = re.escape(f"$BATCHSITE{path}").replace(":id", r"\$(JOB|RUN|MY_JOB)")
        address = address.replace(":kind", "lesson").replace(
            ":external_id", "lesson\\-0"
        )
        address = address.replace(":session_id", "chat\\-0")
        asked = re.compile(address + r'["?]')
        assert any(map(asked.search, EXAMPLES)), path


def test_every_scope_field_and_example_of_json_is_right(document):
    for scope in Scope:
        assert f"| `{scope.value}` |" in TEXT
    for name in ("JobOut", "ItemOut"):
        for field in document["components"]["schemas"][name]["properties"]:
            assert f"`{field}`" in TEXT, field
    for block in re.findall(r"^```json\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL):
        json.loads(block)


def test_the_receiver_in_python_knows_what_is_genuine(monkeypatch):
    monkeypatch.delenv("OPENAI_WEBHOOK_SECRET", raising=False)
    blocks = re.findall(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    known = {"os": os, "json": json, "time": time}
    for name in ("def signature", "def is_genuine"):
        (block,) = [block for block in blocks if name in block]
        exec(block, known)  # noqa: S102 (our own document)
    secret, body = new_secret(), b'{"type": "test"}'
    now, old = int(time.time()), int(time.time()) - 301

    def is_genuine(body=body, *, at=now, **changes):
        headers = signed_headers(secret, "msg_1", at, body)
        return known["is_genuine"](headers | changes, b'{"type": "test"}', secret)

    assert is_genuine()
    assert not is_genuine(b'{"type": "other"}')
    assert not is_genuine(at=old)
    assert not is_genuine(**{"webhook-signature": "v1,xxxx"})
