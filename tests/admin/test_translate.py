"""“Translate…” in the list of lessons: what it comes to, and what it starts."""

import re
import uuid
from decimal import Decimal

import pytest
from django.contrib.auth.models import Permission
from django.contrib.messages import get_messages

from batches.admin.display import list_url, row_url
from batches.models import AuditEntry, BatchItem, Run
from batches.states import CanaryState, Priority, RunStatus, Trigger
from tests.gallery.models import Photo, Sketch
from translations.admin import translate
from translations.lessons.models import Lesson, LessonType

pytestmark = pytest.mark.django_db


def choose(client, *lessons, **more):
    keys = [lesson.pk for lesson in lessons]
    data = {"action": "translate", "index": 0, "_selected_action": keys, **more}
    return client.post(list_url(Lesson), data).url


def answers(html, **changes):
    """What a browser would send for the form as it stands."""
    hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', html))
    hidden.pop("csrfmiddlewaretoken", None)
    form = {"languages": ["en", "ar"], "which": "missing", "other": "", **hidden}
    return form | {"canary": "on"} | changes


def test_all_may_be_asked_again_and_without_a_sample(admin_client, page, lessons):
    url = choose(admin_client, *lessons)
    form = answers(page(url), which="again")
    del form["canary"]
    html = admin_client.post(url, form).content.decode()

    again = answers(html, which="again", start="1")
    del again["canary"]
    admin_client.post(url, again)

    run = Run.objects.get()
    assert run.force_refresh
    assert run.canary_state == CanaryState.OFF
    assert run.options["redo"]


def told(response):
    return [str(message) for message in get_messages(response.wsgi_request)]


@pytest.fixture
def lessons(make_lesson):
    return [
        make_lesson("Biyo", description="Sida biyaha loo kariyo."),
        make_lesson("Gacmo", body="Gacmaha dhaq."),
    ]


def test_the_page_says_what_it_comes_to(admin_client, page, lessons):
    html = page(choose(admin_client, *lessons))

    assert "Translate 2 lessons" in html
    facts = dict(re.findall(r"<dt>([^<]+)</dt><dd><bdi>([^<]+)</bdi>", html))
    assert facts["Chosen"] == "2"
    assert facts["To translate"] == "2 lessons"
    assert facts["Requests (items)"] == "8"
    tokens = re.fullmatch(r"([\d,]+) in, about ([\d,]+) out", facts["Tokens"])
    assert all(int(count.replace(",", "")) > 100 for count in tokens.groups())
    costs = [
        Decimal(re.fullmatch(r"\$(0\.0\d+) \(sandbox\)", facts[label])[1])
        for label in (
            "Cost, probably",
            "Nine times of ten at most",
            "Worst case, reserved",
        )
    ]
    assert 0 < costs[0] < costs[1] < costs[2]
    assert facts["In real time"].endswith("(sandbox)")
    assert "For 8 requests the probable cost is a first guess" in html
    assert not Run.objects.exists()


def test_the_page_says_what_the_tightest_cap_leaves(
    admin_client, page, lessons, settings
):
    settings.MONTHLY_CAP_USD = "0.0001"

    text = page(choose(admin_client, *lessons))

    assert "Left of the tightest cap" in text
    assert "the monthly cap of $0.0001 in the sandbox" in text
    assert "raising MONTHLY_CAP_USD lets it go" in text


def test_starting_makes_a_run_of_the_persons_and_shows_it(
    admin_client, admin_user, page, lessons, make_lesson
):
    make_lesson("Not chosen")
    url = choose(admin_client, *lessons)

    after = admin_client.post(url, answers(page(url), start="1"))

    run = Run.objects.get()
    assert after.url == row_url(Run, run.public_id)
    assert (run.trigger, run.owner) == (Trigger.ADMIN, admin_user)
    assert (run.status, run.priority) == (RunStatus.PENDING, Priority.NORMAL)
    keys = BatchItem.objects.values_list("object_id", flat=True)
    assert set(keys) == {str(lesson.pk) for lesson in lessons}
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.actor) == ("run.start", admin_user.get_username())
    assert told(after) == [f"{run} is started: 8 requests."]


def test_two_clicks_start_one_run(admin_client, page, lessons):
    url = choose(admin_client, *lessons)
    form = answers(page(url), start="1")

    first, second = admin_client.post(url, form), admin_client.post(url, form)

    assert first.url == second.url
    assert Run.objects.count() == 1
    assert AuditEntry.objects.count() == 1
    assert "was started from this page already" in told(second)[-1]


def test_what_is_current_needs_nothing_unless_all_is_asked_anew(
    admin_client, page, lessons, make_translation
):
    for language in ("en", "ar"):
        make_translation(lessons[0], language=language, is_sandbox=True)
        make_translation(
            lessons[0], field="description", language=language, is_sandbox=True
        )
    url = choose(admin_client, lessons[0])

    html = page(url)
    anew = admin_client.post(url, answers(html, which="anew")).content.decode()

    assert "1 of the chosen needs nothing" in html
    assert "Start translating" not in html
    assert "There is nothing to translate here." in html
    assert "<bdi>4</bdi>" in anew
    assert "Start translating" in anew


def test_what_is_skipped_is_said_with_the_reason(admin_client, page, make_lesson):
    quiz = make_lesson(lesson_type=LessonType.QUIZ, body='{"questions": []}')

    html = page(choose(admin_client, quiz))

    assert "body of a quiz lesson (JSON, not prose)" in html


def test_what_is_under_way_is_not_asked_for_twice(admin_client, page, lessons):
    url = choose(admin_client, *lessons)
    admin_client.post(url, answers(page(url), start="1"))

    html = page(choose(admin_client, *lessons))

    assert "under way in another run already" in html
    assert "Start translating" not in html


def test_a_change_after_the_estimate_is_estimated_before_it_is_started(
    admin_client, page, lessons
):
    url = choose(admin_client, *lessons)
    form = answers(page(url), languages=["ar"], start="1")

    changed = admin_client.post(url, form)
    html = changed.content.decode()

    assert not Run.objects.exists()
    assert "You changed what is asked for." in html
    assert "<bdi>4</bdi>" in html
    admin_client.post(url, answers(html, languages=["ar"], start="1"))
    assert Run.objects.get().options["languages"] == ["ar"]


def test_another_language_can_be_named(admin_client, page, lessons):
    url = choose(admin_client, *lessons)
    html = admin_client.post(
        url, answers(page(url), languages=[], other="fr, pt-BR")
    ).content.decode()

    admin_client.post(url, answers(html, languages=[], other="fr, pt-BR", start="1"))

    assert Run.objects.get().options["languages"] == ["fr", "pt-BR"]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"other": "klingon"}, "klingon is no language tag we know"),
        ({"languages": []}, "Choose at least one language."),
        ({"languages": ["xx"]}, "xx is not one of the available choices"),
        ({"which": "all of it"}, "all of it is not one of the available choices"),
    ],
)
def test_bad_input_is_said_at_its_field(admin_client, page, lessons, given, sentence):
    url = choose(admin_client, *lessons)

    html = admin_client.post(url, answers(page(url), start="1", **given))

    assert sentence in html.content.decode()
    assert not Run.objects.exists()


def test_a_form_key_that_is_none_starts_nothing(admin_client, page, lessons):
    url = choose(admin_client, *lessons)

    response = admin_client.post(url, answers(page(url), start="1", form_key="x"))

    assert response.status_code == 200
    assert not Run.objects.exists()


def test_a_provider_that_cannot_be_used_is_said(admin_client, page, lessons, settings):
    settings.OPENAI_MODEL = "gpt-of-nobody"

    html = page(choose(admin_client, *lessons))

    assert "gpt-of-nobody" in html
    assert "Start translating" not in html


def test_a_page_left_open_until_its_session_ended_starts_nothing(
    admin_client, admin_user, page, lessons
):
    url = choose(admin_client, *lessons)
    form = answers(page(url), start="1")
    admin_client.logout()

    to_login = admin_client.post(url, form)
    admin_client.force_login(admin_user)
    after = admin_client.get(url)

    assert to_login.url.startswith("/admin/login/?next=")
    assert "the page has expired" in told(after)[0]
    assert not Run.objects.exists()


def test_it_needs_its_own_permission(client, django_user_model, lessons):
    user = django_user_model.objects.create_user("sahra", is_staff=True)
    lesson_permissions = Permission.objects.filter(codename="view_lesson")
    user.user_permissions.set(lesson_permissions)
    client.force_login(user)

    listed = client.get(list_url(Lesson)).content.decode()
    direct = client.get(f"{list_url(Lesson)}translate/x/")
    user.user_permissions.add(Permission.objects.get(codename="translate_content"))
    offered = client.get(list_url(Lesson)).content.decode()
    url = choose(client, *lessons)
    started = client.post(url, answers(client.get(url).content.decode(), start="1"))

    assert "Translate…" not in listed
    assert direct.status_code == 403
    assert "Translate…" in offered
    assert started.url == list_url(Lesson)  # who may not see runs stays here
    assert Run.objects.get().owner == user


def ten_thousand(course):
    return Lesson.objects.bulk_create(
        Lesson(course=course, external_id=f"l{n}", title=f"Cashar {n}")
        for n in range(10_000)
    )


@pytest.mark.slow
def test_all_of_a_filtered_list_of_ten_thousand_is_counted_on_a_sample(
    admin_client, page, make_lesson, monkeypatch
):
    other = make_lesson("Another", lesson_type=LessonType.LIVE)
    ten_thousand(other.course)
    monkeypatch.setattr(translate, "ESTIMATE_SECONDS", 0.0)
    ticked = Lesson.objects.filter(lesson_type=LessonType.TEXT)[:3]

    url = admin_client.post(
        list_url(Lesson, lesson_type__exact="text"),
        {
            "action": "translate",
            "index": 0,
            "select_across": 1,
            "_selected_action": [lesson.pk for lesson in ticked],
        },
    ).url
    html = page(url)

    assert "Translate 10,000 lessons" in html
    assert "These are the figures of the first 200." in html
    assert "about 20,000 requests" in html
    assert len(url) < 100

    admin_client.post(url, answers(html, start="1"))

    run = Run.objects.get()
    assert run.status == RunStatus.COLLECTING  # the worker's
    assert len(run.options["keys"]) == 10_000
    shown = page(row_url(Run, run.public_id))
    assert "… and 9,980 more" in shown
    assert len(shown) < 60_000


def test_all_of_an_unfiltered_list_is_asked_for_as_all(admin_client, page, lessons):
    url = choose(admin_client, lessons[0], select_across=1)

    admin_client.post(url, answers(page(url), start="1"))

    assert Run.objects.get().options["keys"] == []
    assert Run.objects.get().subjects_collected == 2


def test_more_than_can_be_chosen_is_refused(admin_client, lessons, monkeypatch):
    monkeypatch.setattr(translate, "MOST_ROWS", 1)

    data = {"action": "translate", "index": 0}
    data["_selected_action"] = [lesson.pk for lesson in lessons]
    response = admin_client.post(list_url(Lesson), data, follow=True)

    assert "At most 1 rows can be chosen at once." in response.content.decode()


def test_somebody_elses_form_key_is_not_ones_own(
    admin_client, page, lessons, django_user_model
):
    key = uuid.uuid4()
    other = django_user_model.objects.create_user("hodan")
    Run.objects.create(
        owner=other,
        idempotency_key=f"admin:{key}",
        workload="translation",
        trigger=Trigger.ADMIN,
    )
    url = choose(admin_client, *lessons)

    admin_client.post(url, answers(page(url), start="1", form_key=str(key)))

    assert Run.objects.count() == 2


def test_the_page_has_no_inline_script_or_style(admin_client, page, lessons):
    html = page(choose(admin_client, *lessons))

    assert "style=" not in html
    assert "<style" not in html
    assert "<script>" not in html


@pytest.mark.parametrize("model", [Photo, Sketch])
def test_any_registered_model_is_translated_whatever_its_keys(
    admin_client, page, model
):
    keys = {} if model is Photo else {"slug": "koow"}
    row = model.objects.create(title="Sunset", **keys)
    other = {} if model is Photo else {"slug": "laba"}
    model.objects.create(title="Sunrise", **other)
    url = admin_client.post(
        list_url(model),
        {"action": "translate", "index": 0, "_selected_action": [str(row.pk)]},
    ).url

    admin_client.post(url, answers(page(url), start="1"))

    item = BatchItem.objects.get()  # English is their own language
    assert (item.object_id, item.target) == (str(row.pk), "title:ar")
    assert "1 request for translations is under way." in page(row_url(model, row.pk))
