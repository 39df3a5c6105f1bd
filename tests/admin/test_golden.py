"""The golden set in the admin: filled, run with its price, compared case by case."""

import pytest
from django.contrib.auth.models import Permission, User
from django.urls import reverse

from batches.admin.display import list_url, row_url
from batches.models import AuditEntry, GoldenCase, PromptVersion, Run
from batches.services.golden import NewCase, add_cases
from batches.services.prompts import current_prompt, write_version
from batches.workloads import get_workload
from tests.driving import work_off
from translations.models import Translation

pytestmark = pytest.mark.django_db


@pytest.fixture
def case():
    workload = get_workload("captions")
    request = workload.request("Else.", "A boat", 0, "painting")
    new = NewCase(
        workload, "boat", "caption", request, "A small boat", GoldenCase.Origin.SHIPPED
    )
    assert add_cases([new], by="amina") == 1
    return GoldenCase.objects.get()


@pytest.fixture
def candidate():
    return write_version(
        get_workload("captions"), "Write a rhyme.", note="", by="amina"
    )


def golden_page(version):
    return reverse("admin:batches_promptversion_golden", args=[version.pk])


def test_the_page_says_what_starting_costs_before_it_starts(page, case, candidate):
    html = page(golden_page(candidate))

    assert "Before it starts" in html
    assert "Worst case, reserved" in html
    assert "captions prompt 1 is asked too" in html
    assert "Run it on the golden set" in html
    assert not Run.objects.exists()


def test_starting_asks_the_version_and_production_and_shows_the_difference(
    sandbox, admin_client, page, case, candidate
):
    answer = admin_client.post(golden_page(candidate), follow=True).content.decode()
    work_off()

    runs = Run.objects.order_by("pk")
    assert [run.options["prompt"] for run in runs] == [2, 1]
    assert {run.owner.username for run in runs} == {"admin"}
    assert "tries captions prompt 2" in answer
    html = page(golden_page(candidate))
    assert "+0.0" in html  # the sandbox answers both alike
    assert "answered before, at no cost" in html.lower()


def test_it_needs_a_permission_of_its_own(client, case, candidate):
    user = User.objects.create_user("bilan", is_staff=True)
    user.user_permissions.set(
        Permission.objects.filter(codename__in=["view_promptversion"])
    )
    client.force_login(user)

    assert "Run it" not in client.get(golden_page(candidate)).content.decode()
    assert client.post(golden_page(candidate)).status_code == 403
    assert not Run.objects.exists()


def test_an_empty_set_says_how_to_fill_it(page, candidate):
    html = page(golden_page(candidate))

    assert "add_references" in html
    assert "Run it on the golden set" not in html


def test_the_weight_page_says_that_a_version_was_not_tried(page, candidate):
    url = reverse("admin:batches_promptversion_weight", args=[candidate.pk])

    assert "not run on the golden set yet" in page(url)


def test_a_case_is_shown_and_taken_out(admin_client, page, case):
    html = page(row_url(GoldenCase, case.pk))
    assert "A small boat" in html

    admin_client.post(
        list_url(GoldenCase),
        {"action": "delete_selected", "_selected_action": case.pk, "post": "yes"},
    )

    assert not GoldenCase.objects.exists()
    assert AuditEntry.objects.get(action="golden.delete").actor == "admin"


def test_translations_are_added_from_their_list(
    admin_client, make_lesson, make_translation, make_item, make_request
):
    version = current_prompt(get_workload("translation"))
    lesson = make_lesson()
    item = make_item(subject=lesson, prompt_version=version)
    make_request(
        item,
        '{"model":"m","messages":[{"role":"system","content":"Else."},'
        '{"role":"user","content":"{\\"source_language\\":\\"so\\",'
        '\\"target_language\\":\\"ar\\",\\"segments\\":[]}"}]}',
        '{"parts": 1, "source_hash": "hash"}',
    )
    unit = make_translation(lesson, item=item)
    unread = make_translation(make_lesson())
    Translation.objects.filter(pk=unit.pk).update(is_kept=True)

    answer = admin_client.post(
        list_url(Translation),
        {
            "action": "add_to_golden_set",
            "_selected_action": [unit.pk, unread.pk],
        },
        follow=True,
    ).content.decode()

    assert "0 cases were added to the golden set" in answer
    assert "1 × Nobody has approved or edited it; review it first." in answer
    assert "does not begin with the prompt of translation" in answer
    assert PromptVersion.objects.filter(workload="translation").count() == 1
