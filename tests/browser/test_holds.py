"""A hold raised and lifted with a mouse; its notice on desk and phone."""

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import DESKTOP, PHONE, Demo, log_in
from tests.browser.test_desk import fits

pytestmark = pytest.mark.slow

REASON = "The glossary of the health course is being corrected; " * 4
PLACES = ["/admin/", "/admin/batches/run/", "/admin/batches/batchjob/"]


@pytest.fixture(params=[DESKTOP, PHONE], ids=["desk", "phone"])
def page(chromium: Browser, request):
    context = chromium.new_context(viewport=request.param)
    context.set_default_timeout(10_000)
    yield context.new_page()
    context.close()


def test_a_hold_is_raised_seen_everywhere_and_lifted(demo: Demo, page):
    complaints: list[str] = []
    page.on("console", lambda m: m.type == "error" and complaints.append(m.text))
    log_in(page, demo)

    page.goto(f"{demo.site}/admin/batches/hold/add/")
    page.get_by_label("Holds").select_option("workload")
    page.get_by_label("Which").fill("summary_of_none")
    page.get_by_label("Reason").fill(REASON)
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("There are: ")).to_be_visible()
    page.get_by_label("Which").fill("translation")
    page.get_by_role("button", name="Save", exact=True).click()

    for place in PLACES:
        page.goto(f"{demo.site}{place}")
        notices = page.get_by_role("region", name="Needs attention")
        expect(notices.get_by_text("On hold: Workload translation")).to_be_visible()
        assert fits(page), place
    page.get_by_role("link", name="See the hold").click()
    page.get_by_role("button", name="Lift").click()
    expect(page.get_by_text("It is about:")).to_be_visible()
    assert fits(page)
    page.get_by_role("button", name="Yes: Lift").click()
    expect(page.get_by_text("Lifted: 1 of 1 hold.")).to_be_visible()
    page.goto(f"{demo.site}/admin/")
    expect(page.get_by_role("region", name="Needs attention")).to_have_count(0)
    assert complaints == []
