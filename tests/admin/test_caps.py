"""Caps are set by those with the right, checked, shown with what is left, logged."""

import pytest
from django.contrib.auth.models import User

from batches.admin.display import list_url, row_url
from batches.models import AuditEntry, Cap, Run
from batches.services.bundling import bundle
from batches.services.steering import pause_run
from batches.states import CapPeriod, CapScope
from tests.factories import make_collected_run

pytestmark = pytest.mark.django_db

ADD = "/admin/batches/cap/add/"


def typed(**given):
    form = {
        "scope": "all",
        "key": "",
        "period": "month",
        "dollars": "",
        "most_items": "",
    }
    return form | given


def errors_of(response):
    assert response.status_code == 200
    return response.context["adminform"].form.errors


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"dollars": "2.50"}, "$2.5 a month, everything"),
        ({"most_items": "500", "period": "day"}, "500 items a day, everything"),
        (
            {"scope": "workload", "key": "captions", "dollars": "0"},
            "$0 a month, a workload captions",
        ),
        (
            {"scope": "run", "period": "ever", "dollars": "50"},
            "$50 in all, each run",
        ),
        (
            {"scope": "owner", "key": "admin", "dollars": "1"},
            "$1 a month, an owner admin",
        ),
    ],
)
def test_a_cap_is_set_and_logged(admin_client, given, words):
    response = admin_client.post(ADD, typed(**given))

    assert response.status_code == 302, errors_of(response)
    cap = Cap.objects.get()
    assert (str(cap), cap.changed_by) == (words, "admin")
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.after) == ("cap:set", {"cap": words})


@pytest.mark.parametrize(
    ("given", "field", "says"),
    [
        ({}, "dollars", "Give dollars or items"),
        ({"dollars": "1", "most_items": "1"}, "dollars", "one of the two"),
        ({"dollars": "-1"}, "dollars", "greater than or equal to 0"),
        ({"dollars": "a lot"}, "dollars", "Enter a number"),
        ({"dollars": "NaN"}, "dollars", "Enter a number"),
        ({"dollars": "99999999999"}, "dollars", "10000000"),
        ({"most_items": "-5"}, "most_items", "greater than or equal to 0"),
        ({"dollars": "1", "key": "x"}, "key", "Leave this empty"),
        ({"scope": "run", "dollars": "1"}, "period", "A run is capped in all"),
        ({"scope": "workload", "key": "nothing", "dollars": "1"}, "key", "There are: "),
        (
            {"scope": "owner", "key": "nobody", "dollars": "1"},
            "key",
            "Nobody is called",
        ),
    ],
)
def test_what_is_no_cap_is_refused_in_words(admin_client, given, field, says):
    errors = errors_of(admin_client.post(ADD, typed(**given)))

    assert says in str(errors[field])
    assert not Cap.objects.exists()


def test_the_same_cap_is_not_set_twice(admin_client):
    Cap.objects.create(most_nanos=1)

    errors = errors_of(admin_client.post(ADD, typed(dollars="2")))

    assert "There is such a cap already" in str(errors["__all__"])


def test_the_list_shows_how_far_each_is_used_up(admin_client):
    make_collected_run(items=2)
    Cap.objects.create(most_items=8)
    Cap.objects.create(scope=CapScope.RUN, period=CapPeriod.EVER, most_items=5)
    bundle()

    text = admin_client.get(list_url(Cap)).content.decode()

    assert "25%" in text.replace("\xa0", "").replace(" %", "%")
    assert "6 items" in text
    assert "each by itself" in text


def test_raising_and_deleting_are_logged_with_what_was_before(admin_client):
    cap = Cap.objects.create(most_nanos=1_000_000_000)

    admin_client.post(row_url(Cap, cap.pk), typed(dollars="3"))
    admin_client.post(f"/admin/batches/cap/{cap.pk}/delete/", {"post": "yes"})

    changed, deleted = AuditEntry.objects.order_by("pk")
    assert changed.before == {"cap": "$1 a month, everything"}
    assert changed.after == deleted.before == {"cap": "$3 a month, everything"}
    assert not Cap.objects.exists()


def test_the_caps_of_settings_stand_beside_them(admin_client, settings):
    settings.DAILY_CAP_USD = "7"

    text = admin_client.get(ADD).content.decode()

    assert "DAILY_CAP_USD" in text and "$7.00" in text


def test_who_may_not_see_money_sees_no_caps(client):
    client.force_login(User.objects.create_user("reader", is_staff=True))

    assert client.get(list_url(Cap)).status_code == 403


def test_an_act_that_costs_money_says_what_the_tightest_cap_leaves(
    admin_client, settings
):
    run = make_collected_run(items=2)
    settings.MONTHLY_CAP_USD = "0.00001"
    pause_run(run, by="amina")
    asked = admin_client.post(
        list_url(Run), {"action": "resume", "index": 0, "_selected_action": [run.pk]}
    )

    text = admin_client.get(asked.url).content.decode()

    assert "Worst case, reserved" in text
    assert "Left of the tightest cap" in text
    assert "raising MONTHLY_CAP_USD lets it go" in text
