"""Entries under review: who may say what of them, and what readers get."""

import json

import pytest
from django.contrib.auth.models import Group

from batches.admin.display import list_url, row_url
from batches.errors import NotPossible
from batches.models import AuditEntry
from batches.workloads import get_workload
from tests.factories import ENTRY, make_entry
from translations.admin.everything import everything_url
from translations.dictionary.export import ENTRY_COLUMNS, entry_rows
from translations.dictionary.models import Entry, Word
from translations.dictionary.review import (
    approve_entry,
    possible_for_entry,
    publish_entry,
    reject_entry,
    unpublish_entry,
)
from translations.models import ReviewStatus
from translations.review.models import REJECTED_BECAUSE

pytestmark = pytest.mark.django_db

PENDING, APPROVED = ReviewStatus.PENDING_REVIEW, ReviewStatus.APPROVED
PUBLISHED, REJECTED = ReviewStatus.PUBLISHED, ReviewStatus.REJECTED


@pytest.fixture(autouse=True)
def static_root(settings, tmp_path):
    settings.STATIC_ROOT = tmp_path


def status_of(entry):
    entry.refresh_from_db()
    return entry.status


def test_an_entry_is_approved_published_and_taken_from_view():
    entry = make_entry()

    approve_entry(entry, by="amina")
    assert status_of(entry) == APPROVED
    publish_entry(entry, by="amina")
    assert status_of(entry) == PUBLISHED
    unpublish_entry(entry, by="bashir")

    assert status_of(entry) == APPROVED
    assert entry.decided_by == "bashir"
    actions = AuditEntry.objects.order_by("pk").values_list("action", flat=True)
    assert list(actions) == ["entry:approve", "entry:publish", "entry:unpublish"]


def test_readers_get_one_entry_of_a_word():
    first = publish_entry(make_entry(), by="amina")

    second = publish_entry(make_entry(), by="amina")

    assert (status_of(first), status_of(second)) == (APPROVED, PUBLISHED)


def test_an_entry_with_an_error_is_rejected_or_nothing():
    finding = {"severity": "error", "code": "bad_ipa", "message": "…", "place": ""}
    entry = make_entry(errors=1, findings=[finding])

    assert possible_for_entry(entry) == {"reject"}
    for act in (approve_entry, publish_entry):
        with pytest.raises(NotPossible, match=r"errors \(bad_ipa\).*--word patience"):
            act(entry, by="amina")
    assert status_of(entry) == PENDING


def test_an_entry_for_other_words_is_not_published():
    entry = make_entry(source_hash="0" * 64)

    with pytest.raises(NotPossible, match="other words"):
        publish_entry(entry, by="amina")


def test_what_the_sandbox_made_up_is_not_published_beside_a_real_provider(
    settings,
):
    settings.BATCH_PROVIDER, settings.OPENAI_API_KEY = "openai", "key"

    with pytest.raises(NotPossible, match="made up by the sandbox"):
        publish_entry(make_entry(), by="amina")


def test_nothing_is_decided_twice():
    entry = make_entry()
    reject_entry(entry, by="amina", reason="style")

    for act in (approve_entry, publish_entry, unpublish_entry):
        with pytest.raises(NotPossible, match="it is “Rejected” by now|is “Rejected”"):
            act(entry, by="amina")


@pytest.mark.parametrize("options", [{"words": ["patience"]}, {}])
def test_why_it_was_rejected_goes_into_the_next_request(options):
    reject_entry(
        make_entry(), by="amina", reason="wrong_meaning", explanation="Of a game. "
    )
    workload = get_workload("dictionary")
    read = workload.read_options({**options, "redo": True})

    (subject,) = workload.subjects(read, "", 10).subjects
    (target,) = workload.targets(subject, read)
    request = workload.build_request(subject, target, read, workload.prompt)

    message = json.loads(request.body["messages"][1]["content"])
    assert message[REJECTED_BECAUSE] == "wrong meaning: Of a game."


# --- in the admin ---------------------------------------------------------------------


def act(client, entries, name, **answers):
    data = {"action": name, "_selected_action": [e.pk for e in entries], "index": 0}
    asked = client.post(list_url(Entry), data, follow=True)
    return client.post(asked.request["PATH_INFO"], answers, follow=True)


@pytest.mark.parametrize(
    "content",
    [
        {name: part for name, part in ENTRY.items() if name != "etymology"},
        ENTRY | {"etymology": None},
        ENTRY | {"etymology": {}},
        ENTRY | {"meanings": [{"definition": "waiting without anger"}]},
        {"headword": "patience", "meanings": None},
        {},
    ],
)
def test_an_entry_of_an_earlier_shape_is_shown_and_exported(admin_client, content):
    entry = make_entry(content=content)

    page = admin_client.get(row_url(Entry, entry.pk))
    word = admin_client.get(row_url(Word, entry.word_id))
    (row,) = entry_rows([entry])

    assert (page.status_code, word.status_code) == (200, 200)
    if content.get("meanings"):
        assert "waiting" in page.content.decode()
    assert row["etymology"] == {"text": None, "confidence": "low"}
    assert set(row) == set(ENTRY_COLUMNS)


def test_deciding_leads_through_the_entries_that_wait(admin_client):
    first, second = make_entry(), make_entry("calm", score=80)
    third = make_entry("quiet", score=90)

    done = act(admin_client, [first], "publish_entry")
    assert done.redirect_chain[-1][0] == row_url(Entry, second.pk)
    done = act(admin_client, [second], "reject_entry", reason="other")
    assert done.redirect_chain[-1][0] == row_url(Entry, third.pk)
    done = act(admin_client, [third], "approve_entry")

    assert done.redirect_chain[-1][0] == everything_url()
    assert [status_of(entry) for entry in (first, second, third)] == [
        *(PUBLISHED, REJECTED, APPROVED)
    ]


@pytest.mark.parametrize(
    ("group", "offers"),
    [("editor", False), ("reviewer", True), ("operator", False)],
)
def test_reviewers_decide_and_others_look(client, django_user_model, group, offers):
    user = django_user_model.objects.create_user("amina", is_staff=True)
    user.groups.add(Group.objects.get(name=group))
    client.force_login(user)

    html = client.get(row_url(Entry, make_entry().pk)).content.decode()

    assert ('value="approve_entry"' in html) is offers
    assert ('value="publish_entry"' in html) is offers
