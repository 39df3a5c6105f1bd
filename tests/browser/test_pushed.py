"""A run's page on an ASGI server: what happens is pushed, and asking becomes rare."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.asgi_site import BATCH, Site, own_database, running_site
from tests.browser.conftest import PHONE
from tests.processes import manage

pytestmark = pytest.mark.slow

ORDER = {"words": ["patience", "calm", "run"], "features": {"etymology": True}}
ARRIVES_MS = 20_000


@pytest.fixture
def site(sandbox_process, tmp_path, request) -> Iterator[Site]:
    with (
        own_database(request.config) as database,
        running_site(sandbox_process.url, tmp_path, database) as site,
    ):
        yield site


def test_a_page_is_told_and_hardly_asks(site: Site, chromium: Browser):
    job = site.ask("POST", BATCH, ORDER)[1]["jobId"]
    context = chromium.new_context(viewport=PHONE)
    page = context.new_page()
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda m: m.type == "error" and said.append(m.text))
    page.goto(f"http://127.0.0.1:{site.port}/my/runs/{job}/")
    page.get_by_label("Username").fill("amina")
    page.get_by_label("Password").fill("amina-secret")
    page.get_by_role("button", name="Sign in").click()
    sentence = page.locator("[data-live-sentence]")
    expect(sentence).to_have_text("Waiting: 0 of 3.")
    page.wait_for_timeout(5_000)  # asked every two seconds, there would be two by then
    quiet = [url for url in asked if url.endswith("/live/")]

    done = manage("process_batches", "--until-done", env=site.env)

    assert done.returncode == 0, done.stderr
    expect(sentence).to_have_text("Done: 3 of 3.", timeout=ARRIVES_MS)
    assert len(quiet) <= 1
    # Once, and once more where the end of the stream was quicker than the page.
    assert 1 <= sum(f"{BATCH}/{job}/events" in url for url in asked) <= 2
    assert said == []
    context.close()
