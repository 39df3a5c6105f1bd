"""Prices are added and changed by those with the right, checked, and logged."""

import pytest
from django.urls import reverse

from batches.admin.display import list_url, row_url
from batches.models import AnswerLength, AuditEntry, Price
from batches.services.prices import save_price
from tests.factories import make_price

pytestmark = pytest.mark.django_db

ADD = "/admin/batches/price/add/"
TYPED = {
    "model": "house-model",
    "valid_from": "2026-01-01",
    "batch_input": "1",
    "batch_output": "4",
    "real_time_input": "2",
    "real_time_output": "8",
    "written_factor": "1",
    "long_input_factor": "1",
    "long_output_factor": "1",
}


def errors_of(response):
    assert response.status_code == 200
    return response.context["adminform"].form.errors


def saved(**given):
    price = make_price(**given)
    save_price(price, by="ayaan")
    return price


def test_a_price_is_added_and_logged(admin_client):
    response = admin_client.post(ADD, TYPED)

    assert response.status_code == 302
    price = Price.objects.get()
    assert (price.model, price.revision, price.changed_by) == (
        "house-model",
        1,
        "admin",
    )
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.actor) == ("price.add", "admin")
    assert entry.address == "127.0.0.1"


@pytest.mark.parametrize(
    ("field", "typed", "words"),
    [
        ("batch_input", "cheap", "Enter a number"),
        ("batch_input", "NaN", "Enter a number"),
        ("batch_input", "-1", "more than 0"),
        ("batch_input", "0", "free by mistake"),
        ("batch_output", "50000", "another currency"),
        ("batch_output", "", "answers would be free"),
        ("batch_input", "", "required"),
        ("provider", "opnai", "there are openai, sandbox"),
        ("valid_until", "2025-01-01", "before it begins"),
        ("valid_from", "yesterday", "Enter a valid date"),
        ("model", "<b>*</b>", "names no model"),
    ],
)
def test_a_price_that_cannot_be_is_refused_beside_its_field(
    admin_client, field, typed, words
):
    response = admin_client.post(ADD, {**TYPED, field: typed})

    errors = errors_of(response)
    assert words in errors[field][0]
    assert "__all__" not in errors
    assert not Price.objects.exists()


def test_an_overlap_names_the_other_price(admin_client):
    price = saved()

    response = admin_client.post(ADD, {**TYPED, "valid_from": "2026-05-01"})

    (words,) = errors_of(response)["valid_from"]
    assert f"price {price.pk} for house-model" in words
    assert "from 2026-05-01" in words


def test_a_gap_is_told_after_saving_and_on_the_page(admin_client):
    price = saved(valid_until="2026-03-31")

    response = admin_client.post(
        ADD, {**TYPED, "valid_from": "2026-05-01"}, follow=True
    )

    assert "From 2026-04-01 to 2026-04-30" in response.content.decode()
    page = admin_client.get(row_url(Price, price.pk)).content.decode()
    assert "From 2026-04-01 to 2026-04-30" in page
    assert "by price " in page  # what the model costs today


def test_a_change_raises_the_revision_and_deleting_is_logged(admin_client):
    price = saved()

    admin_client.post(row_url(Price, price.pk), {**TYPED, "batch_input": "1.25"})
    assert Price.objects.get().revision == 2
    admin_client.post(
        list_url(Price),
        {
            "action": "delete_selected",
            "_selected_action": [price.pk],
            "post": "yes",
        },
    )

    assert not Price.objects.exists()
    assert list(AuditEntry.objects.order_by("pk").values_list("action", flat=True)) == [
        "price.add",
        "price.change",
        "price.delete",
    ]


def test_the_list_shows_what_holds_when(admin_client):
    saved(model="<i>house</i>", valid_until="2026-03-31")

    page = admin_client.get(list_url(Price)).content.decode()

    assert "&lt;i&gt;house&lt;/i&gt;" in page
    assert "<i>house" not in page
    assert "March 31, 2026" in page
    assert "$1 / — / $4" in page
    assert "$2 / — / $8" in page


def test_whoever_lacks_the_right_cannot_add_a_price(client, django_user_model):
    user = django_user_model.objects.create_user("guest", is_staff=True)
    client.force_login(user)

    assert client.post(ADD, TYPED).status_code == 403
    assert client.get(reverse("admin:batches_price_changelist")).status_code == 403


def test_how_long_answers_were_is_shown_as_people_read_it(admin_client):
    AnswerLength.objects.create(
        provider="sandbox",
        workload="captions",
        model="gpt-4o-mini",
        trait="<b>",
        size=10,
        step=-8,
        answers=7,
    )

    page = admin_client.get(list_url(AnswerLength)).content.decode()

    assert "1,024–2,047" in page
    assert "0.50 × the request" in page
    assert "&lt;b&gt;" in page
