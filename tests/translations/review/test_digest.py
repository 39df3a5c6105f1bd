"""The mail to editors: who gets it, how often, what it says, where its links lead."""

from datetime import UTC, datetime, timedelta
from io import StringIO
from urllib.parse import urlsplit

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse
from django_q.models import Schedule

from batches.schedules import PREFIX, sync_schedules
from translations.models import DigestChoice, ReviewStatus, Translation
from translations.review import comments
from translations.review.digest import send_digests
from translations.tasks import mail_digests

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 3, 4, 6, 0, tzinfo=UTC)  # a Wednesday, nine o'clock in Mogadishu
MAIL = reverse("admin:translations_translation_review_mail")
FORM = {"is_on": "on", "mail_language": "en"}


@pytest.fixture(autouse=True)
def site(settings):
    settings.SITE_URL = "https://texts.example.org"


@pytest.fixture
def waiting(make_lesson, make_unit):
    """Three texts of two courses, into two languages; one has an error."""
    return [
        make_unit(lesson=make_lesson(course="Hurdo")),
        make_unit(lesson=make_lesson(course="Cunto"), errors=1, score=40),
        make_unit("Choose 3 rules", language="en"),
    ]


def age(unit, **given):
    Translation.objects.filter(pk=unit.pk).update(updated_at=NOW - timedelta(**given))


def html_of(mail):
    return mail.alternatives[0][0]


def test_each_editor_is_told_what_waits_the_riskiest_first(waiting, people, mailoutbox):
    people("amina"), people("cali", "editor"), people("omar", "operator")
    age(waiting[1], days=4)

    sent = send_digests(now=NOW)

    assert sent.names == ["amina", "cali"]
    mail = mailoutbox[0]
    assert mail.to == ["amina@example.org"]
    assert mail.subject == "[Batchsite] 3 texts wait for your review"
    risky, *others = [line for line in mail.body.splitlines() if "text" in line][1:4]
    assert risky == (
        "Cunto, Somali → Arabic: 1 text, 1 with an error, the oldest waits 4 days"
    )
    assert len(others) == 2 and "error" not in "".join(others)
    assert (
        mail.extra_headers["List-Unsubscribe"] == f"<https://texts.example.org{MAIL}>"
    )
    assert '<html lang="en" dir="ltr">' in html_of(mail)


def test_nothing_is_sent_twice_on_a_day_nor_when_nothing_waits(
    waiting, amina, mailoutbox
):
    assert send_digests(now=NOW).names == ["amina"]
    assert send_digests(now=NOW + timedelta(hours=14)).names == []
    # Midnight is that of the site's zone: 21:00 UTC.
    assert send_digests(now=NOW + timedelta(hours=15)).names == ["amina"]

    Translation.objects.update(status=ReviewStatus.APPROVED)
    assert send_digests(now=NOW + timedelta(days=2)).names == []
    assert len(mailoutbox) == 2


def test_what_is_asked_about_does_not_wait(make_unit, amina, mailoutbox):
    comments.ask(make_unit(), by=amina, text="Three?")

    assert send_digests(now=NOW).names == []


def test_an_editor_turns_it_off_and_chooses_languages(
    waiting, amina, client, mailoutbox
):
    client.force_login(amina)
    client.post(MAIL, {**FORM, "languages": ["en"], "mail_language": "ar"})

    send_digests(now=NOW)

    (mail,) = mailoutbox
    assert mail.subject == "[Batchsite] نص واحد ينتظر مراجعتك"
    assert '<html lang="ar" dir="rtl">' in html_of(mail)
    assert "Hurdo" not in mail.body and "Choose" not in mail.body
    assert "languages=en" in mail.body
    client.post(MAIL, {"mail_language": "en"})
    assert DigestChoice.objects.get().is_on is False
    assert send_digests(now=NOW + timedelta(days=1)).names == []


def test_the_page_shows_what_was_chosen(waiting, amina, client):
    client.force_login(amina)
    client.post(MAIL, {**FORM, "languages": ["ar"]})

    html = client.get(MAIL).content.decode()

    assert 'value="ar" id="id_languages_1" checked' in html
    assert 'name="is_on" id="id_is_on" checked' in html


def test_who_reviews_nothing_has_no_such_page(client, people):
    client.force_login(people("omar", "operator"))

    assert client.get(MAIL).status_code == 403


def test_a_superuser_gets_it_who_asks_for_it(waiting, admin_user, admin_client):
    assert send_digests(now=NOW).names == []

    admin_client.post(MAIL, FORM)

    assert send_digests(now=NOW).names == ["admin"]


@pytest.mark.parametrize("word", ["queue", "line"])
def test_a_link_survives_the_login_and_lands_on_its_part_of_the_queue(
    waiting, amina, client, mailoutbox, word
):
    DigestChoice.objects.create(editor=amina, languages="ar")
    send_digests(now=NOW)
    links = [
        line for line in mailoutbox[0].body.splitlines() if line.startswith("https")
    ]
    link = urlsplit(links[-2] if word == "queue" else links[0])

    asked = client.get(f"{link.path}?{link.query}", follow=True)
    login, _ = asked.redirect_chain[-1]
    page = client.post(login, {"username": "amina", "password": "secret"}, follow=True)

    assert page.redirect_chain[-1][0] == f"{link.path}?{link.query}"
    shown = {row.pk for row in page.context["rows"]}
    arabic, risky, _ = waiting
    assert shown == ({arabic.pk, risky.pk} if word == "queue" else {risky.pk})


def test_under_two_people_the_own_edits_are_not_told(
    waiting, people, settings, mailoutbox
):
    settings.REVIEW_TWO_PEOPLE = True
    amina, _ = people("amina"), people("bilal")
    for unit in Translation.objects.filter(language="ar"):
        unit.latest.author = amina
        unit.latest.save()

    send_digests(now=NOW)

    assert [mail.subject[12:18] for mail in mailoutbox] == ["1 text", "3 text"]


def test_a_mail_server_that_is_away_costs_no_editor_the_mail_of_the_day(
    waiting, amina, settings, caplog
):
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1  # nobody listens there

    assert send_digests(now=NOW).failed == ["amina"]

    assert "No digest to amina" in caplog.text
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    assert send_digests(now=NOW).names == ["amina"]


def test_the_command_names_who_gets_it(waiting, amina, mailoutbox):
    out = StringIO()
    call_command("send_review_digest", dry_run=True, stdout=out)
    assert out.getvalue() == "amina\n1 mail would be sent.\n"
    assert mailoutbox == []

    call_command("send_review_digest", stdout=out)
    assert len(mailoutbox) == 1


def test_without_a_mail_server_or_an_address_nothing_is_sent(
    waiting, amina, settings, mailoutbox
):
    settings.SITE_URL = ""

    with pytest.raises(CommandError, match="SITE_URL"):
        call_command("send_review_digest")
    assert mail_digests() == "0 sent, 0 failed"
    sync_schedules()
    assert not Schedule.objects.filter(name=f"{PREFIX}digest").exists()
    assert mailoutbox == []


def test_it_goes_out_by_the_clock_on_working_days(waiting, amina, mailoutbox):
    sync_schedules()

    digest = Schedule.objects.get(name=f"{PREFIX}digest")
    assert (digest.func, digest.cron) == (
        "translations.tasks.mail_digests",
        "0 7 * * 1-5",
    )
    assert mail_digests() == "1 sent, 0 failed"


def test_the_number_of_queries_does_not_grow_with_texts(
    make_lesson, make_unit, amina, django_assert_max_num_queries
):
    for number in range(12):
        make_unit(lesson=make_lesson(course=f"c{number % 3}"))

    with django_assert_max_num_queries(16):
        send_digests(now=NOW)
