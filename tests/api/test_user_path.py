"""From an account to a job's id, as a person goes: S2.38, S2.45."""

import uuid

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.api.conftest import Caller
from tests.api.orders import BATCH, ORDER

pytestmark = pytest.mark.django_db


def test_an_account_is_made_signs_in_orders_and_gets_an_id(make_user, document):
    administrator = Client()
    administrator.force_login(make_user("ali", is_superuser=True))
    password = "correct horse battery"  # noqa: S105
    made = administrator.post(
        "/admin/auth/user/add/",
        {
            "username": "amina",
            "usable_password": "true",
            "password1": password,
            "password2": password,
        },
    )
    assert made.status_code == 302, made.content
    person = Caller(document, Client(enforce_csrf_checks=True))
    person.client.get("/my/sign-in/")

    def token() -> str:
        return person.client.cookies["csrftoken"].value

    signed_in = person.client.post(
        "/my/sign-in/",
        {"username": "amina", "password": password, "csrfmiddlewaretoken": token()},
    )
    jobs = [
        person.post(BATCH, {**ORDER, "words": [word]}, X_CSRFToken=token()).json()
        for word in ("calm", "storm")
    ]

    assert signed_in.status_code == 302
    first, second = (str(uuid.UUID(job["jobId"])) for job in jobs)
    assert first != second
    listed = person.get(BATCH).json()["jobs"]
    assert [job["jobId"] for job in listed] == [second, first]
    assert not User.objects.get(username="amina").is_staff
