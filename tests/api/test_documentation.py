"""docs/api.md: its examples run, and it names what there is."""

import json
import re
import shlex

import pytest

from batches.models import BatchJob, Run
from batches.models.api_key import Scope
from tests.api.conftest import JOBS, Caller
from tests.processes import ROOT

pytestmark = pytest.mark.django_db

TEXT = (ROOT / "docs" / "api.md").read_text()
EXAMPLES = re.findall(r"^(curl .+)$", TEXT, re.MULTILINE)
HEADING = re.compile(r"^### `(GET|POST) (/\S+)`$", re.MULTILINE)


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
    return caller.post(address, body, **headers)


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_runs_as_it_stands(with_key, anonymous, example, lessons):
    caller = with_key("admin")
    caller.post("translation", {"limit": 1})
    key = caller.client.defaults["HTTP_X_API_KEY"]

    response = send(
        anonymous,
        example,
        BATCHSITE="",
        KEY=key,
        JOB=str(BatchJob.objects.get().public_id),
        RUN=str(Run.objects.get().public_id),
    )

    expected = {200}
    if "/summary" in example or "/quiz-improvement" in example:
        expected = {501}
    elif "/process-results" in example:
        expected = {409}  # the job was made just now
    assert response.status_code in expected, response.content


def test_every_address_has_a_heading_and_an_example(document):
    documented = {
        (method.upper(), path.replace("{public_id}", ":id"))
        for path, operations in document["paths"].items()
        for method in operations
    }

    assert set(HEADING.findall(TEXT)) == documented
    for _, path in documented:
        last = path.rpartition("/")[2].replace(":id", "$JOB").replace("batch-jobs", "")
        assert any(
            f"{JOBS}{'/' if last else ''}" in example and f'{last}"' in example
            for example in EXAMPLES
        ), path


def test_every_scope_field_and_example_of_json_is_right(document):
    for scope in Scope:
        assert f"| `{scope.value}` |" in TEXT
    for name in ("JobOut", "ItemOut"):
        for field in document["components"]["schemas"][name]["properties"]:
            assert f"`{field}`" in TEXT, field
    for block in re.findall(r"^```json\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL):
        json.loads(block)
