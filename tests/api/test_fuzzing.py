"""Requests of all shapes, from everybody: no fault of ours, no answer that is not told.

For each operation of the document, schemathesis makes up requests that fit it and
requests that do not, the same ones in every run. Each is sent by every caller of the
permission table, into the application as a server would, and its effects taken back.
"""

import io
import json
import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import jsonschema
import pytest
import schemathesis
from django.conf import settings
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections, transaction
from django.utils import timezone
from hypothesis import HealthCheck, Phase, given, seed
from hypothesis import settings as limits
from schemathesis import GenerationMode
from werkzeug.test import EnvironBuilder

from batches.models import Run
from batches.models.api_key import Scope
from batches.services.roles import Role
from batches.services.submission import submit_jobs
from batchsite.api import api
from tests.factories import make_collected_run, make_job
from tests.roles.callers import Callers

pytestmark = [pytest.mark.django_db, pytest.mark.slow]

SEED = 20_260_301
EXAMPLES = 30  # of each operation, sent by each caller
CALLERS = [*Role, *Scope]
TOKEN = "csrf" * 8
# Ids that stand in generated addresses for rows that are there.
OWN, OTHERS, JOB, RUNNING = (f"00000000-0000-4000-8000-00000000000{n}" for n in "1234")
NOBODYS = "00000000-0000-4000-8000-000000000009"
TELLING = {"HTTP_AUTHORIZATION", "HTTP_X_API_KEY", "HTTP_COOKIE"}
IDS: dict[str, tuple[str, ...]] = {
    "job_id": (OWN, OTHERS, JOB),
    "public_id": (JOB, RUNNING, OWN),
    "kind": ("lesson",),
    "external_id": ("lesson-0",),
    "session_id": ("chat-0",),
}
# What makes sense to us, where hardly anything that is made up does.
SENSE: dict[str, dict[str, Any]] = {
    "POST /api/v1/ai/batch": {"words": ["calm"], "features": {"etymology": True}},
    "PUT /api/admin/batch-monitoring/config": {"settings": {"BATCH_MIN_SIZE": 5}},
    "PUT /api/content/{kind}/{external_id}": {
        "course_id": "waalidnimo",
        "course_title": "Waalidnimo",
        "title": "Casharka 0",
        "body": "Kari biyaha.",
    },
    "POST /api/admin/steering": {"act": "pause", "everything": True},
}
LANGUAGE = {"lang": "ar"}
# There is nothing to read or to try again: answers and failures come from a provider.
REFUSED_HERE = {
    "POST /api/admin/batch-jobs/{public_id}/process-results",
    "POST /api/admin/batch-monitoring/{public_id}/retry",
}

DOCUMENT = json.loads(json.dumps(api.get_openapi_schema(), default=str))
APPLICATION = get_wsgi_application()


def operations() -> dict[str, Any]:
    """{"GET /address": operation} of the document, as schemathesis reads them."""
    schema = schemathesis.openapi.from_dict(DOCUMENT)
    schema.app = APPLICATION
    found = (one.ok() for one in schema.get_all_operations())
    return {f"{one.method.upper()} {one.path}": one for one in found}


OPERATIONS = operations()


@dataclass(frozen=True)
class Example:
    """A request as a server hands it on, but for who sends it."""

    environ: dict[str, Any]
    body: bytes


def examples(name: str) -> list[Example]:
    """The same requests in every run; half of them are of what there is."""
    operation = OPERATIONS[name]
    made: list[Example] = []
    modes = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
    positive, negative = (operation.as_strategy(mode) for mode in modes)

    @seed(SEED)
    @limits(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=positive | negative)
    def keep(case: Any) -> None:
        number, half = divmod(len(made), 2)
        if half:
            there = {
                key: IDS[key][number % len(IDS[key])]
                for key in case.path_parameters or {}
            }
            case.path_parameters = {**(case.path_parameters or {}), **there}
            if name in SENSE and isinstance(case.body, dict):
                case.body = {**case.body, **SENSE[name]}
            if "lang" in (case.query or {}):
                case.query = {**case.query, **LANGUAGE}
        sent = case.as_transport_kwargs(base_url="http://testserver")
        environ = EnvironBuilder(**sent).get_environ()
        made.append(Example(environ, environ.pop("wsgi.input").read()))

    keep()
    return made


class World:
    """All who call, with a run of each one's own, and work of every kind."""

    def __init__(self) -> None:
        self.callers = Callers()
        at_provider = make_job(1)
        submit_jobs(now=timezone.now())
        self.places = {
            RUNNING: str(at_provider.public_id),
            JOB: str(make_job(2).public_id),
            OTHERS: str(make_collected_run(1).public_id),
        }
        self.runs = {
            caller: str(
                Run.objects.create(workload="word_features", owner=user).public_id
            )
            for caller, user in self.callers.users.items()
        }

    def ask(self, example: Example, caller: str) -> tuple[int, str, bytes]:
        """(status, content type, body); whatever the request changed is taken back."""
        environ = self._from(caller, example.environ)
        places = {**self.places, OWN: self.runs.get(caller, NOBODYS)}
        for placeholder, place in places.items():
            environ["PATH_INFO"] = environ["PATH_INFO"].replace(placeholder, place)
        environ["wsgi.input"] = io.BytesIO(example.body)
        told: dict[str, Any] = {}

        def start(status: str, headers: list[tuple[str, str]], *_: Any) -> None:
            told["status"] = int(status.partition(" ")[0])
            told["type"] = dict(headers).get("Content-Type", "").partition(";")[0]

        with transaction.atomic():
            answer = APPLICATION(environ, start)
            body = b"".join(answer)
            answer.close()
            transaction.set_rollback(True)
        return told["status"], told["type"], body

    def _from(self, caller: str, environ: dict[str, Any]) -> dict[str, Any]:
        """As this caller sends it; only nobody keeps the keys that were made up."""
        if caller == Role.ANONYMOUS:
            return dict(environ)
        kept = {name: value for name, value in environ.items() if name not in TELLING}
        for name, value in self.callers.headers.get(caller, {}).items():
            kept[f"HTTP_{name.upper().replace('-', '_')}"] = value
        if cookies := self.callers.cookies.get(caller):
            sent = {**cookies, settings.CSRF_COOKIE_NAME: TOKEN}
            kept["HTTP_COOKIE"] = "; ".join(f"{k}={v}" for k, v in sent.items())
            kept["HTTP_X_CSRFTOKEN"] = TOKEN
        return kept


@cache
def validator(name: str, status: str, media_type: str) -> Any:
    """Holds a body against what the document tells of this answer; None for no body."""
    method, path = name.split(" ")
    told = DOCUMENT["paths"][path][method.lower()]["responses"][status]
    if "content" not in told:
        return None
    schema = told["content"][media_type].get("schema", {})
    components = DOCUMENT["components"]
    return jsonschema.Draft202012Validator({**schema, "components": components})


def trouble(name: str, answer: tuple[int, str, bytes]) -> str:
    """What the document does not tell of the answer; "" where it tells all of it."""
    status, media_type, body = answer
    if status >= 500:
        return "a fault of ours"
    try:
        holds = validator(name, str(status), media_type)
    except KeyError:
        return "not in the document"
    if holds is None:
        return "a body where there is none" if body else ""
    if media_type != "application/json":
        return ""
    wrong = next(holds.iter_errors(json.loads(body)), None)
    return wrong.message if wrong else ""


@pytest.fixture
def one_connection() -> Iterator[None]:
    """A server's request closes a connection with an open transaction: the test's."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_answer_to_anybody_is_one_that_the_document_tells(
    lessons, analysed_chat, sandbox, one_connection, caplog, name
):
    caplog.set_level(logging.CRITICAL)  # some hundred refusals
    made, world = examples(name), World()
    counted: Counter[str] = Counter()
    found = []
    statuses = set()

    for caller in CALLERS:
        for example in made:
            answer = world.ask(example, caller)
            counted[caller] += 1
            statuses.add(answer[0])
            is_its_method = example.environ["REQUEST_METHOD"] == name.split(" ")[0]
            if answer[0] == 405 and not is_its_method:
                continue
            if wrong := trouble(name, answer):
                path = example.environ["PATH_INFO"]
                found.append((wrong, caller, path, example.body[:300], answer))

    assert found == []
    assert min(statuses) < 300 or name in REFUSED_HERE
    assert set(counted) == set(CALLERS)
    assert min(counted.values()) >= EXAMPLES
