"""The page to ask about words: form, price, start."""

import re
import uuid

import pytest
from django.contrib.auth.models import User

from batches.models import AuditEntry, BatchItem, Cap, Run
from batches.states import CapPeriod, CapScope, Priority
from translations.dictionary.features import FEATURES
from translations.dictionary.pages import LABELS

pytestmark = pytest.mark.django_db

PAGE = "/my/words/"


@pytest.fixture
def user(client, settings, tmp_path) -> User:
    settings.STATIC_ROOT = tmp_path
    user = User.objects.create_user("amina", password="x")
    client.force_login(user)
    return user


def form(**changes):
    return {
        "words": "Patience, calm\nserendipity",
        "language": "en",
        "features": ["smart_summary", "etymology"],
        "priority": "1",
        "notify_progress": "on",
        "form_key": str(uuid.uuid4()),
        **changes,
    }


def test_every_feature_is_offered_by_a_name_that_people_read(client, user):
    html = client.get(PAGE).content.decode()

    assert set(LABELS) == set(FEATURES)
    for name in FEATURES:
        assert f'value="{name}"' in html
        assert str(LABELS[name]) in html


def test_the_price_comes_first_and_starts_nothing(client, user):
    html = client.post(PAGE, form(price="1")).content.decode()

    assert "patience, calm, serendipity" in html
    assert re.search(r"Requests</dt><dd><bdi>6<", html)
    assert "worst case, reserved".capitalize() in html
    assert "(sandbox)" in html
    assert 'name="start"' in html
    assert not Run.objects.exists()


def test_what_was_priced_is_started_once_however_often_the_button_is_pressed(
    client, user
):
    asked = form(max_retries="2", priority="2", sentence="Patience pays.")
    priced = client.post(PAGE, {**asked, "price": "1"}).content.decode()
    hidden = re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', priced)
    sent = {name: [v for n, v in hidden if n == name] for name, _ in hidden}

    first = client.post(PAGE, {**sent, "start": "1"})
    again = client.post(PAGE, {**sent, "start": "1"}, follow=True)

    run = Run.objects.get()
    assert first.url == f"/my/runs/{run.public_id}/"
    assert "started from that page already" in again.content.decode()
    assert (run.owner, run.priority, run.max_attempts) == (user, Priority.HIGH, 3)
    assert run.options["words"] == ["patience", "calm", "serendipity"]
    assert run.options["features"] == ["smart_summary", "etymology"]
    assert run.options["sentence"] == "Patience pays."
    assert BatchItem.objects.filter(run=run).count() == 6
    assert AuditEntry.objects.get(action="run.create").actor == "amina"


def test_an_order_can_be_changed_after_its_price(client, user):
    html = client.post(PAGE, form(change="1")).content.decode()

    assert "serendipity</textarea>" in html
    assert 'name="price"' in html


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"words": " "}, "This field is required."),
        ({"words": ",,;"}, "Name at least one word."),
        ({"words": "patience, 4379"}, "“4379” is no word in this language"),
        ({"words": "<script>"}, "“&lt;script&gt;” is no word"),
        ({"words": "\n".join(["word"] * 101)}, "These are 101 words; at most 100"),
        ({"words": "x" * 10_001}, "at most 10000 characters"),
        ({"words": "pa\x00tience"}, "Null characters are not allowed."),
        ({"features": []}, "This field is required."),
        ({"features": ["horoscope"]}, "horoscope is not one of the available"),
        ({"features": ["translation_context"]}, "Name a language, or leave out"),
        ({"language": "klingon"}, "klingon is not one of the available"),
        ({"max_retries": "10"}, "less than or equal to 9"),
        ({"sentence": "x" * 4_001}, "at most 4000 characters"),
        ({"form_key": "none"}, "Enter a valid UUID."),
    ],
)
@pytest.mark.parametrize("button", ["price", "start"])
def test_what_is_wrong_is_said_and_starts_nothing(client, user, changes, said, button):
    html = client.post(PAGE, {**form(**changes), button: "1"}).content.decode()

    assert said in html
    assert not Run.objects.exists()


def test_words_of_other_scripts_keep_their_direction(client, user):
    asked = form(words="صبر، هدوء", language="ar", price="1")

    html = client.post(PAGE, asked).content.decode()

    assert '<p class="asked" lang="ar" dir="rtl">صبر, هدوء</p>' in html


def test_a_cap_that_is_in_the_way_is_named_without_its_figures(client, user):
    Cap.objects.create(scope=CapScope.ALL, period=CapPeriod.MONTH, most_nanos=1)

    html = client.post(PAGE, form(price="1")).content.decode()

    assert "Not all of it can go now" in html
    assert "left of the tightest cap" not in html
