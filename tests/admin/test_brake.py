"""A run that was braked: why, and the question, on its page."""

import re

import pytest
from django.contrib.auth.models import Permission
from django.utils import timezone

from batches.admin.display import list_url, row_url
from batches.models import Run
from batches.services.alerts import raise_alert
from batches.states import CanaryState, RunStatus, Severity

pytestmark = pytest.mark.django_db

BRAKE = {
    "job": None,
    "judged": 20,
    "passed": 3,
    "checks": {"number_mismatch": 15, "<b>evil</b>": 2},
    "items": 100,
    "nanos": 4_026_075,
}


@pytest.fixture
def braked(make_run, make_item):
    run = make_run(
        paused_at=timezone.now(), brake=BRAKE, canary_state=CanaryState.BRAKED
    )
    make_item(run=run)
    return run


def panel_of(html):
    return re.search(r'data-panel="brake".*?</section>', html, re.S)[0]


def test_the_page_says_why_and_asks(page, braked):
    panel = panel_of(page(row_url(Run, braked.pk)))

    assert "Paused: too few answers passed" in panel
    assert "Only 3 of 20 answers passed the checks." in panel
    assert "100 items wait; they would cost at most $0.00403." in panel
    assert "Go on anyway?" in panel
    assert re.search(r"number_mismatch</bdi></td>.*?15", panel, re.S)
    assert "&lt;b&gt;evil" in panel


def test_its_two_buttons_lead_to_the_questions_of_resume_and_cancel(
    admin_client, page, braked
):
    html = page(row_url(Run, braked.pk))

    buttons = re.findall(r'form="acts" name="action" value="(\w+)">([^<]+)<', html)
    assert buttons == [("resume", "Go on anyway"), ("cancel", "Cancel the run")]
    assert re.search(r'<form class="acts" id="acts" method="post"', html)
    chosen = {"action": "resume", "index": 0, "_selected_action": braked.pk}
    asked = admin_client.post(list_url(Run), chosen).url
    admin_client.post(asked)

    braked.refresh_from_db()
    assert (braked.paused_at, braked.is_braked) == (None, False)
    assert 'data-panel="brake"' not in page(row_url(Run, braked.pk))


def test_who_may_only_look_has_no_buttons(client, django_user_model, braked):
    reader = django_user_model.objects.create_user("sahra", is_staff=True)
    reader.user_permissions.add(Permission.objects.get(codename="view_run"))
    client.force_login(reader)

    panel = panel_of(client.get(row_url(Run, braked.pk)).content.decode())

    assert "Only 3 of 20" in panel
    assert "<button" not in panel


def test_the_lists_tell_of_it(page, braked):
    raise_alert(
        "low_pass_ratio",
        "Run 1 is paused.",
        key=f"run {braked.pk}",
        severity=Severity.CRITICAL,
        run=braked,
    )

    assert "Too few answers passed" in page(list_url(Run))


def test_a_run_that_is_finished_asks_nothing(page, make_run):
    run = make_run(RunStatus.CANCELLED, brake=BRAKE)

    assert 'data-panel="brake"' not in page(row_url(Run, run.pk))


def test_the_page_says_what_was_reused_and_saved(page, make_run, make_item):
    run = make_run(reused=12, saved_nanos=1_500_000)
    make_item(run=run)

    assert "12, $0.00150 saved" in page(row_url(Run, run.pk))
