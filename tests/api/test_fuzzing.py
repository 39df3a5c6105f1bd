"""Requests of all shapes: never a fault of ours, and no status that is not told."""

import json
from typing import Any

import pytest
import schemathesis
from django.core.cache import cache
from django.core.wsgi import get_wsgi_application
from django.db import transaction
from hypothesis import HealthCheck, given, seed, settings

from batches.services.api_keys import create_api_key
from batchsite.api import api
from tests.factories import make_job

pytestmark = [pytest.mark.django_db, pytest.mark.slow]

FAMILIES = (
    "/api/admin/batch-jobs",
    "/api/admin/batch-monitoring",
    "/api/admin/legacy",
    "/api/admin/steering",
    "/api/v1/ai/batch",
)
SEED = 20_260_301
EXAMPLES = 30


def operations() -> dict[str, Any]:
    """{"GET /address": operation} of the families, as schemathesis reads them."""
    document = json.loads(json.dumps(api.get_openapi_schema(), default=str))
    schema = schemathesis.openapi.from_dict(document)
    schema.app = get_wsgi_application()
    return {
        f"{found.ok().method.upper()} {found.ok().path}": found.ok()
        for found in schema.get_all_operations()
        if found.ok().path.startswith(FAMILIES)
    }


OPERATIONS = operations()


@pytest.fixture
def keys(make_user) -> dict[str, str]:
    """{role: its key}; of a user the key may do all that a key can be given."""
    users = {
        "user": make_user("amina", is_staff=False),
        "staff": make_user("hodan"),
        "platform admin": make_user("ali", is_superuser=True),
    }
    return {
        role: create_api_key(role, ["admin"], by="test", owner=user)[1]
        for role, user in users.items()
    }


@pytest.mark.parametrize("role", ["user", "staff", "platform admin"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_every_answer_is_one_that_the_document_tells(keys, lessons, name, role):
    operation = OPERATIONS[name]
    job = make_job(2)
    ids = dict.fromkeys(("public_id", "job_id"), str(job.public_id))
    given_ids = {key: ids[key] for key in ids if f"{{{key}}}" in operation.path}
    documented = operation.definition.raw["responses"]
    modes = (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE)
    positive, negative = (operation.as_strategy(mode) for mode in modes)
    statuses = set()

    @seed(SEED)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=positive | negative)
    def answers(case: Any) -> None:
        case.path_parameters = {**(case.path_parameters or {}), **given_ids}
        with transaction.atomic():
            cache.clear()
            response = case.call(headers={"X-API-Key": keys[role]})
            transaction.set_rollback(True)
        statuses.add(response.status_code)
        assert response.status_code < 500, response.content
        if response.status_code != 405:
            assert str(response.status_code) in documented, response.content

    answers()

    assert statuses
