"""/api/content: what sites read and write; and coverage."""

import json
from datetime import timedelta
from urllib.parse import quote

import pytest
from django.db.models import F
from django.utils import timezone

from batches.models import AuditEntry, WebhookDelivery, WebhookEndpoint
from tests.translations.publishing import answer, make_lesson
from translations.lessons.models import Lesson
from translations.models import Translation
from translations.signals import translations_published

pytestmark = pytest.mark.django_db
CONTENT = "/api/content/lesson"


@pytest.fixture(autouse=True)
def published(settings):
    settings.TRANSLATION_PUBLISH = "all"


@pytest.fixture
def reader(with_key):
    return with_key("read:content")


def test_a_row_has_its_published_texts_alone(reader, settings):
    lesson = make_lesson(external_id="l1", description="Biyo", body="Hurdo")
    unit = answer(lesson, word="نوم")
    settings.TRANSLATION_PUBLISH = "review"
    answer(lesson, "description")

    response = reader.get(f"{CONTENT}/l1?lang=ar")

    assert response.status_code == 200
    found = response.json()
    shown = found.pop("fields")
    assert found == {
        "kind": "lesson",
        "id": "l1",
        "language": "ar",
        "direction": "rtl",
        "sourceLanguage": "so",
    }
    assert list(shown) == ["title"]
    text = shown["title"]
    assert (text["text"], text["version"], text["stale"]) == ("نوم 1", 1, False)
    assert (text["language"], text["direction"]) == ("ar", "rtl")
    assert unit.published.text == "نوم 1"


def test_a_text_whose_source_changed_is_stale(reader):
    lesson = make_lesson("Before", external_id="l1")
    answer(lesson)
    Lesson.objects.update(title="After")

    (item,) = reader.get(f"{CONTENT}?lang=ar").json()["items"]

    assert reader.get(f"{CONTENT}/l1?lang=ar").json()["fields"]["title"]["stale"]
    assert item["stale"]


def test_what_did_not_change_is_not_sent_again(reader):
    lesson = make_lesson(external_id="l1")
    answer(lesson)
    etag = reader.get(f"{CONTENT}/l1?lang=ar")["ETag"]

    same = reader.client.get(f"{CONTENT}/l1?lang=ar", headers={"If-None-Match": etag})
    answer(lesson, word="جديد")
    other = reader.client.get(f"{CONTENT}/l1?lang=ar", headers={"If-None-Match": etag})

    assert (same.status_code, same.content, same["ETag"]) == (304, b"", etag)
    assert other.status_code == 200
    assert other.json()["fields"]["title"]["text"] == "جديد 1"


def test_pretended_text_is_not_shown_once_a_real_provider_answers(reader, settings):
    answer(make_lesson(external_id="l1"), pretended=True)
    assert reader.get(f"{CONTENT}/l1?lang=ar").json()["fields"]

    settings.BATCH_PROVIDER, settings.OPENAI_API_KEY = "openai", "sk-x"

    assert reader.get(f"{CONTENT}/l1?lang=ar").json()["fields"] == {}
    assert reader.get(f"{CONTENT}?lang=ar").json()["items"] == []


def pages(caller, query=""):
    """All items, page by page of two."""
    items, cursor = [], ""
    while cursor is not None:
        found = caller.get(f"{CONTENT}?lang=ar&limit=2{query}&cursor={cursor}").json()
        assert len(found["items"]) <= 2
        items += found["items"]
        cursor = found["next"]
    return items


def test_an_id_may_have_any_sign(reader):
    answer(make_lesson(external_id="a/b ç?"))

    found = reader.get(f"{CONTENT}/{quote('a/b ç?', safe='')}?lang=ar").json()

    assert (found["id"], list(found["fields"])) == ("a/b ç?", ["title"])


def test_the_list_is_gone_through_page_by_page(reader):
    for number in range(5):
        answer(make_lesson(external_id=f"l{number}"))
    answer(make_lesson(external_id="english"), language="en")
    same = timezone.now()  # the cursor tells them apart all the same
    Translation.objects.filter(language="ar").update(updated_at=same)

    items = pages(reader)

    assert [item["id"] for item in items] == [f"l{n}" for n in range(5)]
    assert items[0]["field"] == "title"


def test_the_list_since_a_moment_has_what_changed_after_it(reader):
    old, new = make_lesson(external_id="old"), make_lesson(external_id="new")
    answer(old), answer(new)
    now = timezone.now()
    Translation.objects.filter(object_id=old.pk).update(
        updated_at=now - timedelta(days=1)
    )
    since = quote((now - timedelta(hours=1)).isoformat())

    items = pages(reader, f"&updated_since={since}")

    assert [item["id"] for item in items] == ["new"]


def test_the_list_takes_few_queries(reader, django_assert_max_num_queries):
    for _ in range(20):
        answer(make_lesson())

    with django_assert_max_num_queries(5):
        assert len(reader.get(f"{CONTENT}?lang=ar").json()["items"]) == 20


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("lesson/nobody?lang=ar", 404, "no lesson with the id"),
        ("poem/x?lang=ar", 404, "no content 'poem'"),
        ("poem?lang=ar", 404, "no content 'poem'"),
        ("lesson/x", 400, "lang is missing"),
        ("lesson/x?lang=xx", 400, "no language tag"),
        ("lesson?lang=ar&cursor=x", 400, "cursor is none"),
        ("lesson?lang=ar&cursor=eHx4", 400, "cursor is none"),
        ("lesson?lang=ar&limit=0", 400, "limit"),
        ("lesson?lang=ar&updated_since=yesterday", 400, "updated_since"),
        (f"lesson/{'x' * 256}?lang=ar", 404, "no lesson with the id"),
        ("lesson/a%00b?lang=ar", 404, "no lesson with the id"),
        ("photo/no-uuid?lang=ar", 404, "no photo with the id"),
    ],
)
def test_what_is_not_there_is_said(reader, path, status, words):
    response = reader.get(f"/api/content/{path}")

    assert response.status_code == status, response.content
    assert words in response.json()["detail"]


@pytest.mark.parametrize("scopes", [["read"], ["submit"], ["operate"]])
def test_reading_needs_its_scope(with_key, scopes):
    caller = with_key(*scopes)

    assert caller.get(f"{CONTENT}?lang=ar").status_code == 403
    assert caller.get(f"{CONTENT}/x?lang=ar").status_code == 403


def put(caller, external_id, body):
    return caller.put(f"{CONTENT}/{external_id}", body)


GIVEN = {"course_id": "c", "course_title": "C", "title": "Biyo", "body": "Kari."}


def test_content_is_written_by_its_id(with_key):
    caller = with_key("submit")

    made = put(caller, "l1", GIVEN)
    same = put(caller, "l1", GIVEN)
    changed = put(caller, "l1", {**GIVEN, "title": "Biyo nadiif", "colour": "red"})

    assert [(r.status_code, r.json()["result"]) for r in (made, same, changed)] == [
        (201, "created"),
        (200, "unchanged"),
        (200, "updated"),
    ]
    assert changed.json()["ignored"] == ["colour"]
    lesson = Lesson.objects.get(external_id="l1")
    assert (lesson.title, lesson.body) == ("Biyo nadiif", "Kari.")
    acts = AuditEntry.objects.filter(action="content.write").order_by("pk")
    assert [act.message for act in acts] == ["created", "updated"]
    assert {act.target for act in acts} == {"lesson l1"}


def test_a_text_whose_source_changed_in_form_alone_is_not_stale(reader):
    answer(make_lesson("Before", external_id="l1"))
    Lesson.objects.update(title="before!")
    Translation.objects.update(is_stale=True, minor_from=F("source_hash"))

    title = reader.get(f"{CONTENT}/l1?lang=ar").json()["fields"]["title"]

    assert (title["stale"], title["staleMinor"]) == (False, True)


def test_writing_marks_translations_as_stale(with_key):
    lesson = make_lesson("Before", external_id="l1")
    answer(lesson)

    put(
        with_key("submit"),
        "l1",
        {**GIVEN, "course_id": lesson.course.external_id, "title": "After"},
    )

    assert Translation.objects.get().is_stale


@pytest.mark.parametrize(
    ("kind", "body", "words"),
    [
        ("lesson", {**GIVEN, "title": ""}, "title: It is empty"),
        ("lesson", {**GIVEN, "title": 7}, "title"),
        ("lesson", {"title": "x"}, "course_id"),
        ("lesson", {**GIVEN, "id": "other"}, "the address's is another"),
        ("lesson", [], "JSON object"),
        ("photo", {"title": "x"}, "cannot be written"),
    ],
)
def test_what_cannot_be_written_is_refused(with_key, kind, body, words):
    caller = with_key("submit")

    response = caller.put(f"/api/content/{kind}/l1", body)

    assert response.status_code == 400, response.content
    assert words in response.json()["detail"]
    assert not Lesson.objects.exists()


def test_writing_needs_its_scope(reader):
    assert put(reader, "l1", GIVEN).status_code == 403
    assert not Lesson.objects.exists()


def test_coverage_comes_as_json_and_as_text(with_key):
    caller = with_key("read")
    answer(make_lesson(description="Biyo"))

    (line,) = caller.get("/api/translations/coverage?lang=ar&kind=lesson").json()[
        "lines"
    ]
    text = caller.client.get(
        "/api/translations/coverage?format=text&lang=Arabic&kind=lesson"
    )

    assert (line["groupName"], line["published"], line["missing"]) == (
        "Waalidnimo",
        1,
        1,
    )
    assert line["percent"] == 50
    assert text["Content-Type"] == "text/plain; charset=utf-8"
    assert "Waalidnimo" in text.content.decode()


def test_publishing_is_told_after_the_commit_and_audited(
    django_capture_on_commit_callbacks,
):
    heard = []

    def listen(units, **_):
        heard.append(units)

    translations_published.connect(listen)
    try:
        with django_capture_on_commit_callbacks(execute=True):
            unit = answer(make_lesson())
            assert heard == []
    finally:
        translations_published.disconnect(listen)

    assert heard == [[unit.pk]]
    entry = AuditEntry.objects.get(action="translation:published")
    assert entry.after == {"translations": [unit.pk]}


def test_webhooks_are_told_what_is_published_by_the_ids_of_sites():
    WebhookEndpoint.objects.create(
        name="site", url="https://example.org/", kinds=["translation.published"]
    )
    lesson = make_lesson()

    answer(lesson)

    told = json.loads(WebhookDelivery.objects.get().body)
    assert told["type"] == "translation.published"
    (text,) = told["data"]["texts"]
    assert (text["kind"], text["id"]) == ("lesson", lesson.external_id)
    assert text["language"] == "ar"


def test_what_waits_for_review_is_not_told(
    settings, django_capture_on_commit_callbacks
):
    settings.TRANSLATION_PUBLISH = "review"

    with django_capture_on_commit_callbacks() as callbacks:
        answer(make_lesson())

    assert callbacks == []
    assert not AuditEntry.objects.exists()
