"""Users who are not staff, and runs of theirs over words."""

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import translation

from batches.models import Run
from batches.services.collection import collect_run, start_run
from batches.states import Trigger


@pytest.fixture(autouse=True)
def static_root(settings, tmp_path):
    """Whitenoise warns of a directory for static files that is not there."""
    settings.STATIC_ROOT = tmp_path


@pytest.fixture(autouse=True)
def own_language():
    """A request leaves its language behind in the thread."""
    with translation.override("en"):
        yield


@pytest.fixture
def make_user(db):
    def make(name: str, **given) -> User:
        return User.objects.create_user(name, password=f"{name}-secret", **given)

    return make


@pytest.fixture
def amina(make_user) -> User:
    return make_user("amina")


@pytest.fixture
def bashir(make_user) -> User:
    return make_user("bashir")


@pytest.fixture
def mine(amina) -> Client:
    """A browser in which amina is signed in."""
    client = Client()
    client.force_login(amina)
    return client


@pytest.fixture
def theirs(bashir) -> Client:
    client = Client()
    client.force_login(bashir)
    return client


@pytest.fixture
def ask():
    """Start a run over words for somebody; its items wait to be sent."""

    def ask(
        owner: User, *words: str, features: tuple[str, ...] = ("smart_summary",), **more
    ) -> Run:
        run = start_run(
            "word_features",
            {"words": list(words), "features": list(features), **more},
            owner=owner,
            trigger=Trigger.API,
        )
        collect_run(run)
        run.refresh_from_db()
        return run

    return ask
