"""Pictures of the desk for the README: `python -m tests.browser.screenshots`.

Starts a demo in a copy of the sources, does the main job in it, and writes
`docs/images/desk-*.png`.
"""

import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page, ViewportSize, expect

from tests.browser.conftest import (
    DESKTOP,
    LESSONS,
    PHONE,
    Demo,
    log_in,
    running_chromium,
    running_demo,
)
from tests.processes import ROOT, copy_of_the_repository

IMAGES = ROOT / "docs" / "images"
MOST_BYTES = 200_000
LIST = "/admin/translations_lessons/lesson/"


def new_page(browser: Browser, size: ViewportSize, scheme: str = "light") -> Page:
    context = browser.new_context(
        viewport=size,
        color_scheme=scheme,
        reduced_motion="reduce",
        # the list of apps at the side would take a third of the picture
        storage_state={"cookies": [], "origins": []},
    )
    context.add_init_script(
        "localStorage.setItem('django.admin.navSidebarIsOpen', 'false')"
    )
    return context.new_page()


def picture(page: Page, name: str) -> None:
    file = IMAGES / f"desk-{name}.png"
    page.wait_for_load_state("networkidle")
    page.screenshot(path=file, animations="disabled")
    size = file.stat().st_size
    assert size < MOST_BYTES, f"{file.name} has {size} bytes"


def start_translating(page: Page, demo: Demo, prefix: str) -> None:
    """From the list to the question; the caller confirms."""
    page.goto(f"{demo.site}{LIST}?q={prefix}")
    for box in page.locator("input.action-select").all():
        box.check()
    page.get_by_label("Action:").select_option(label="Translate…")
    page.get_by_role("button", name="Go", exact=True).click()
    page.get_by_role("button", name="Start translating").wait_for()


def take(browser: Browser, demo: Demo) -> None:
    page = new_page(browser, DESKTOP)
    log_in(page, demo)
    picture(page, "index")
    demo.import_lessons(prefix="lesson")
    start_translating(page, demo, "lesson")
    picture(page, "translate")
    page.get_by_role("button", name="Start translating").click()
    page.get_by_role("button", name="Pause").wait_for()
    picture(page, "run")
    expect(page.locator("[data-live-sentence]")).to_contain_text("Done", timeout=30_000)
    page.goto(f"{demo.site}/admin/batches/run/")
    picture(page, "runs")
    page.goto(f"{demo.site}{LIST}?q=Hurdada")
    page.get_by_role("link", name="Hurdada carruurta").click()
    page.get_by_role("heading", name="Translations").scroll_into_view_if_needed()
    page.locator(".panels").evaluate("one => one.scrollIntoView()")
    picture(page, "lesson")

    phone = new_page(browser, PHONE, "dark")
    log_in(phone, demo)
    phone.goto(f"{demo.site}{LIST}?q={LESSONS[0]['title'].split()[0]}")
    phone.get_by_role("link", name=LESSONS[0]["title"]).first.click()
    phone.locator(".panels").evaluate("one => one.scrollIntoView()")
    picture(phone, "phone")


def main() -> None:
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        root = copy_of_the_repository(Path(place) / "batchsite")
        with running_demo(root) as demo, running_chromium() as browser:
            take(browser, demo)


if __name__ == "__main__":
    main()
