"""Who gets in at /my/, and where they land: 3.41, S2.38."""

import uuid

import pytest
from django.test import Client
from django.urls import reverse

pytestmark = pytest.mark.django_db

SIGN_IN = "/my/sign-in/"
PAGES = ["/my/", "/my/live/", "/my/words/", "/my/keys/", "/my/password/"]


@pytest.mark.parametrize("page", PAGES)
def test_strangers_are_asked_to_sign_in_and_land_where_they_wanted(client, amina, page):
    refused = client.get(page)
    signed_in = client.post(
        refused.url, {"username": "amina", "password": "amina-secret", "next": page}
    )

    assert (refused.status_code, refused.url) == (302, f"{SIGN_IN}?next={page}")
    assert (signed_in.status_code, signed_in.url) == (302, page)


def test_a_wrong_password_is_said_and_lets_nobody_in(client, amina):
    answer = client.post(SIGN_IN, {"username": "amina", "password": "wrong"})

    assert "Please enter a correct username and password" in answer.content.decode()
    assert client.get("/my/").status_code == 302


def test_who_was_switched_off_is_let_in_no_more(mine, amina):
    amina.is_active = False
    amina.save()

    assert mine.get("/my/").status_code == 302


@pytest.mark.parametrize(("is_staff", "first"), [(True, "/admin/"), (False, "/my/")])
def test_staff_land_on_the_desk_and_others_on_their_runs(
    client, make_user, is_staff, first
):
    make_user("hodan", is_staff=is_staff)

    answer = client.post(SIGN_IN, {"username": "hodan", "password": "hodan-secret"})

    assert answer.url == first
    assert client.get("/").url == first
    assert client.get(SIGN_IN).url == first


def test_nobody_is_sent_to_another_site_after_signing_in(client, amina):
    answer = client.post(
        SIGN_IN,
        {
            "username": "amina",
            "password": "amina-secret",
            "next": "https://elsewhere.example/",
        },
    )

    assert answer.url == "/my/"


def test_strangers_at_the_front_door_come_to_the_sign_in(client):
    answer = client.get("/", follow=True)

    assert answer.redirect_chain[-1][0] == f"{SIGN_IN}?next=/my/"
    assert "Ask whoever runs this site" in answer.content.decode()


def test_only_staff_are_shown_the_way_to_the_desk(mine, make_user):
    staff = Client()
    staff.force_login(make_user("hodan", is_staff=True))
    link = f'href="{reverse("admin:index")}"'

    assert link in staff.get("/my/").content.decode()
    assert link not in mine.get("/my/").content.decode()


def test_signing_out_needs_a_post_and_ends_the_session(mine):
    assert mine.get("/my/sign-out/").status_code == 405
    assert mine.post("/my/sign-out/").url == SIGN_IN
    assert mine.get("/my/").status_code == 302


def test_a_new_password_replaces_the_old_and_the_session_goes_on(mine, client, amina):
    form = {
        "old_password": "amina-secret",
        "new_password1": "quite-another-9",
        "new_password2": "quite-another-9",
    }

    wrong = mine.post("/my/password/", {**form, "old_password": "guess"})
    done = mine.post("/my/password/", form, follow=True)

    assert "Your old password was entered incorrectly" in wrong.content.decode()
    assert "Your password is changed." in done.content.decode()
    assert client.login(username="amina", password="quite-another-9")
    assert not Client().login(username="amina", password="amina-secret")


def test_no_proxy_keeps_a_page(mine, amina, ask):
    run = ask(amina, "patience")

    for page in (*PAGES, f"/my/runs/{run.public_id}/"):
        assert "no-store" in mine.get(page)["Cache-Control"], page


def test_what_is_of_another_is_not_there(theirs, amina, ask):
    run = ask(amina, "patience")
    here = f"/my/runs/{run.public_id}"

    for page in ("/", "/live/", "/cancel/", "/results/", "/results.json"):
        assert theirs.get(here + page).status_code == 404, page
    assert theirs.post(f"{here}/cancel/").status_code == 404
    assert theirs.get(f"/my/?after={run.public_id}").status_code == 404
    assert str(run.public_id) not in theirs.get("/my/").content.decode()
    assert theirs.get(f"/my/runs/{uuid.uuid4()}/").status_code == 404
    run.refresh_from_db()
    assert run.cancelled_at is None


@pytest.mark.parametrize(
    ("language", "direction"), [("ar", "rtl"), ("so", "ltr"), ("en", "ltr")]
)
def test_pages_are_in_the_language_of_the_browser(mine, language, direction):
    for page in ("/my/", "/my/words/", "/my/keys/"):
        html = mine.get(page, headers={"Accept-Language": language}).content.decode()
        assert f'<html lang="{language}" dir="{direction}">' in html


def test_no_page_has_a_script_of_its_own_in_it(mine, amina, ask):
    run = ask(amina, "patience")

    for page in (*PAGES[:1], *PAGES[2:], f"/my/runs/{run.public_id}/"):
        html = mine.get(page).content.decode()
        assert "<script>" not in html
        assert " onclick=" not in html
        assert " style=" not in html
