"""The pages in a browser that holds them to the site's content security policy."""

import pytest

from tests.browser.conftest import DESKTOP, log_in

pytestmark = pytest.mark.slow

PAGES = (
    "/admin/",
    "/admin/batches/run/",
    "/admin/batches/batchjob/",
    "/admin/batches/hourlyusage/",
    "/admin/batches/hourlyusage/cost/",
    "/admin/batches/promptversion/",
    "/admin/batches/hold/add/",
    "/admin/auth/user/add/",
    "/admin/auth/group/add/",
    "/admin/django_q/schedule/add/",
    "/admin/translations/translation/coverage/",
    "/admin/translations/translation/review/",
    "/admin/translations_lessons/lesson/",
    "/admin/translations_lessons/lesson/add/",
    "/second-factor/",
    "/api/docs",
)


def test_the_policy_stops_nothing_that_a_page_needs(demo, chromium):
    page = chromium.new_page(viewport=DESKTOP)
    stopped = []
    page.on(
        "console",
        lambda said: said.type == "error" and stopped.append((page.url, said.text)),
    )
    log_in(page, demo)

    for path in PAGES:
        page.goto(f"{demo.site}{path}")
        page.wait_for_load_state("networkidle")

    assert stopped == []
    assert page.locator(".opblock").count() > 30  # the documentation has drawn itself


def test_what_slips_into_a_page_is_not_run(demo, chromium):
    page = chromium.new_page(viewport=DESKTOP)
    log_in(page, demo)

    page.evaluate(
        """() => {
            const script = document.createElement("script");
            script.textContent = "window.wasRun = true";
            document.body.append(script);
            document.body.insertAdjacentHTML(
                "beforeend", "<img src='x:' onerror='window.wasRun = true'>");
        }"""
    )
    page.wait_for_load_state("networkidle")

    assert page.evaluate("window.wasRun === undefined")
