"""What tests of chats share: sessions in the database, and the shipped samples."""

import io
import json

import pytest

from tests.processes import ROOT
from translations.chats.importing import CHATS
from translations.chats.models import ChatSession
from translations.importing import import_rows

CONTENT = ROOT / "translations" / "chats" / "content"


@pytest.fixture(autouse=True)
def static_root(settings, tmp_path):
    settings.STATIC_ROOT = tmp_path / "static"
    settings.STATIC_ROOT.mkdir()  # whitenoise warns where it is not there


@pytest.fixture
def make_sessions(db):
    """Import rows, as JSON Lines; gives the sessions in the order of the rows."""

    def make(*rows):
        data = "".join(json.dumps(row) + "\n" for row in rows).encode()
        stored = import_rows(CHATS, io.BytesIO(data), name="chats.jsonl")
        assert not stored.bad
        there = {row.external_id: row for row in ChatSession.objects.all()}
        return [there[row["id"]] for row in rows]

    return make


@pytest.fixture
def samples(make_sessions):
    """The six shipped sample chats."""
    lines = (CONTENT / "chats.jsonl").read_text().splitlines()
    return make_sessions(*map(json.loads, lines))
