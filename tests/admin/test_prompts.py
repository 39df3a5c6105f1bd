"""Prompt versions in the admin: edited as new ones, compared, put into production."""

import re

import pytest
from django.contrib.auth.models import Permission, User
from django.urls import reverse

from batches.admin.display import list_url, row_url
from batches.models import AuditEntry, PromptVersion
from batches.services.arms import weigh
from batches.services.collection import collect_run
from batches.services.prompts import current_prompt, promote, write_version
from batches.states import ItemStatus
from batches.workloads import get_workload
from tests.factories import make_paintings
from tests.factories import make_run as start_run

pytestmark = pytest.mark.django_db

ADD = "/admin/batches/promptversion/add/"
COMPARE = "/admin/batches/promptversion/compare/"


@pytest.fixture
def shipped():
    return current_prompt(get_workload("captions"))


@pytest.fixture
def candidate(shipped):
    return write_version(
        get_workload("captions"),
        "Write a rhyme.",
        note="Children like <rhymes>.",
        by="amina",
    )


@pytest.fixture
def member(client):
    """A signed-in member of staff with these permissions of the engine alone."""

    def sign_in(*codenames):
        user = User.objects.create_user("bilan", is_staff=True)
        user.user_permissions.set(
            Permission.objects.filter(
                content_type__app_label="batches", codename__in=codenames
            )
        )
        client.force_login(user)
        return client

    return sign_in


def act(client, name, *versions):
    """Choose an act on the list, and confirm it; the question, and the answer."""
    chosen = {"action": name, "_selected_action": [v.pk for v in versions]}
    asked = client.post(list_url(PromptVersion), chosen)
    question = client.get(asked.url)
    answer = client.post(asked.url, follow=True)
    return question.content.decode(), answer.content.decode()


def page_of(name, version):
    return reverse(f"admin:batches_promptversion_{name}", args=[version.pk])


def test_an_edit_starts_from_a_version_and_makes_a_candidate(admin_client, shipped):
    form = admin_client.get(f"{ADD}?from={shipped.pk}").content.decode()
    assert shipped.text in form

    response = admin_client.post(
        ADD,
        {"workload": "captions", "text": "One.\r\nTwo.", "note": "shorter"},
    )

    assert response.status_code == 302
    version = PromptVersion.objects.get(number=2)
    assert (version.text, version.note) == ("One.\nTwo.", "shorter")
    assert (version.label, version.written_by) == ("candidate", "admin")
    assert current_prompt(get_workload("captions")) == shipped


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Write in $tongue.", "$tongue is no variable of captions"),
        ("Write a caption.", "this is captions prompt 1, word for word"),
        ("", "required"),
    ],
)
def test_a_text_that_cannot_be_used_is_refused_beside_its_field(
    admin_client, text, words
):
    response = admin_client.post(ADD, {"workload": "captions", "text": text})

    assert response.status_code == 200
    (error,) = response.context["adminform"].form.errors["text"]
    assert words in error


def test_a_version_cannot_be_changed_or_deleted(admin_client, shipped):
    url = row_url(PromptVersion, shipped.pk)

    assert admin_client.post(url, {"text": "Other."}).status_code == 403
    assert admin_client.post(url.replace("change", "delete")).status_code == 403
    shipped.refresh_from_db()
    assert shipped.text != "Other."


def test_the_page_shows_what_is_different_from_production(page, candidate):
    html = page(row_url(PromptVersion, candidate.pk))

    assert "Different from captions prompt 1" in html
    assert "<del>caption</del>" in html
    assert "<ins>rhyme</ins>" in html
    assert "Children like &lt;rhymes&gt;." in html


def test_any_two_versions_can_be_compared(page, shipped, candidate):
    third = write_version(
        get_workload("captions"), "Write a riddle.", note="", by="amina"
    )

    html = page(row_url(PromptVersion, third.pk) + "?against=2")

    assert "Different from captions prompt 2" in html
    assert "<del>rhyme</del>" in html
    assert "?against=1" in html


def test_promoting_asks_names_what_changes_and_is_audited(
    admin_client, shipped, candidate
):
    weigh(candidate, 20, by="amina")

    question, answer = act(admin_client, "promote", candidate)

    assert "captions prompt 2 instead of captions prompt 1." in question
    assert "Its trial on 20 % of the subjects ends." in question
    assert "Put into production: 1 of 1" in answer
    assert current_prompt(get_workload("captions")) == candidate
    assert AuditEntry.objects.filter(action="prompt.promote", actor="admin").exists()


def test_rolling_back_asks_and_names_what_comes_again(admin_client, shipped, candidate):
    promote(candidate, by="amina")

    question, answer = act(admin_client, "roll_back", candidate)

    assert "captions prompt 1 again, instead of captions prompt 2." in question
    assert "Rolled back: 1 of 1" in answer
    assert current_prompt(get_workload("captions")) == shipped


def test_the_page_offers_what_is_possible_for_a_version(page, shipped, candidate):
    def buttons(version):
        html = page(row_url(PromptVersion, version.pk))
        found = re.findall(r'<button[^>]*data-act="(\w+)"([^>]*)>', html)
        return {name for name, more in found if "hidden" not in more}

    assert buttons(candidate) == {"promote"}
    assert buttons(shipped) == set()
    promote(candidate, by="amina")
    candidate.refresh_from_db()
    assert buttons(candidate) == {"roll_back"}


def test_production_is_protected(member, candidate):
    client = member("view_promptversion", "add_promptversion", "weigh_promptversion")
    listed = client.get(list_url(PromptVersion)).content.decode()

    assert "Put into production" not in listed
    chosen = {"action": "promote", "_selected_action": candidate.pk}
    client.post(list_url(PromptVersion), chosen)
    token = "nothing"  # noqa: S105  # the name of a selection
    url = f"/admin/batches/promptversion/promote/{token}/sure/"
    assert client.post(url).status_code == 403
    candidate.refresh_from_db()
    assert not candidate.is_production


def test_a_weight_is_set_and_said(admin_client, candidate):
    answer = admin_client.post(
        page_of("weight", candidate), {"weight": "20"}, follow=True
    ).content.decode()

    candidate.refresh_from_db()
    assert candidate.weight == 20
    assert "prompt 2 is tried on 20 % of the subjects." in answer


@pytest.mark.parametrize("typed", ["95", "-1", "x", ""])
def test_a_weight_that_cannot_be_is_refused(admin_client, candidate, typed):
    response = admin_client.post(page_of("weight", candidate), {"weight": typed})

    assert response.status_code == 200
    assert response.context["form"].errors["weight"]
    candidate.refresh_from_db()
    assert candidate.weight == 0


def test_weights_need_their_own_permission(member, candidate):
    client = member("view_promptversion")

    assert client.get(page_of("weight", candidate)).status_code == 403
    assert client.get(ADD).status_code == 403
    assert client.get(COMPARE).status_code == 403  # it shows runs, too


def test_the_exact_request_is_shown_with_tokens_and_price(page, candidate):
    (painting,) = make_paintings("A <b>boat</b>")

    html = page(f"{page_of('request', candidate)}?subject={painting.pk}")

    assert "Write a rhyme." in html
    assert "A &lt;b&gt;boat&lt;/b&gt;" in html
    assert "Input tokens" in html
    assert "Worst case" in html


def test_a_request_is_shown_to_those_alone_who_may_see_its_subject(member, candidate):
    (painting,) = make_paintings("A boat")
    client = member("view_promptversion")

    url = f"{page_of('request', candidate)}?subject={painting.pk}"

    assert client.get(page_of("request", candidate)).status_code == 200
    assert client.get(url).status_code == 403


def test_a_subject_that_is_not_there_is_said_beside_its_field(page, candidate):
    html = page(f"{page_of('request', candidate)}?subject=99")

    assert "there is no picture &#x27;99&#x27;" in html


def test_the_arms_of_a_run_stand_beside_its_own_figures(page, candidate):
    make_paintings(*[f"painting {number}" for number in range(40)])
    weigh(candidate, 50, by="amina")
    run = start_run()
    collect_run(run)

    html = page(f"{COMPARE}?run={run.pk}")

    assert "captions prompt 1 (In production)" in html
    assert "captions prompt 2 (On trial)" in html
    assert "All together, by the runs&#x27; own figures" in html
    assert "do not add up" not in html


def test_what_does_not_add_up_is_said(page, make_run, make_item):
    run = make_run(items_collected=3)
    make_item(ItemStatus.COMPLETE, run=run)

    assert "items: 1 in the arms, 3 in the runs" in page(f"{COMPARE}?run={run.pk}")


def test_the_comparison_comes_as_a_table_too(admin_client, candidate):
    make_paintings("one")
    run = start_run()
    collect_run(run)

    response = admin_client.get(f"{COMPARE}?workload=captions&days=7&format=csv")

    assert response["Content-Type"] == "text/csv; charset=utf-8"
    assert response["Content-Disposition"].endswith('"prompts-captions-7d.csv"')
    assert b"captions prompt 1,1,production,1,0,0,0,1" in response.content


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ("", 200),
        ("?workload=nothing&days=x", 200),
        ("?run=99", 404),
        ("?run=x", 404),
    ],
)
def test_odd_questions_are_answered_or_refused(admin_client, asked, status):
    assert admin_client.get(COMPARE + asked).status_code == status


def test_a_run_links_to_its_arms(page, make_run):
    run = make_run()

    assert f"{COMPARE}?run={run.pk}" in page(row_url(type(run), run.pk))
