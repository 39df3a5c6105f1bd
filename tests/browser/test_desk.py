"""The main job with a mouse, in a real browser against the demo, on desk and phone."""

import re

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.conftest import DESKTOP, LESSONS, PHONE, Demo, log_in

pytestmark = pytest.mark.slow

ARRIVES_MS = 15_000
LIST = "/admin/translations_lessons/lesson/"


@pytest.fixture(params=[DESKTOP, PHONE], ids=["desk", "phone"])
def context(chromium: Browser, request):
    context = chromium.new_context(viewport=request.param)
    context.set_default_timeout(10_000)
    yield context
    context.close()


def open_lesson(page: Page, demo: Demo, title: str, prefix: str) -> None:
    page.goto(f"{demo.site}{LIST}?q={prefix}")
    page.get_by_role("link", name=title).first.click()
    page.get_by_role("heading", name="Translations").wait_for()


def panel(page: Page, title: str) -> Locator:
    heading = page.get_by_role("heading", name=title, exact=True)
    return page.locator("section", has=heading)


def fits(page: Page) -> bool:
    """Whether nothing of the page lies beyond the window's right edge."""
    width = "document.documentElement.scrollWidth <= window.innerWidth"
    return bool(page.evaluate(width))


def test_two_lessons_are_translated_and_the_arabic_arrives_by_itself(
    demo, context, said, request
):
    prefix = f"t{request.node.callspec.id}"
    demo.import_lessons(prefix=prefix)
    page, lesson_page = context.new_page(), context.new_page()
    log_in(page, demo)
    open_lesson(lesson_page, demo, LESSONS[0]["title"], prefix)
    lesson_page.evaluate("window.wasNeverReloaded = true")
    expect(lesson_page.get_by_text("It has not been translated.")).to_be_visible()

    page.goto(f"{demo.site}{LIST}?q={prefix}")
    for box in page.locator("input.action-select").all():
        box.check()
    page.get_by_label("Action:").select_option(label="Translate…")
    page.get_by_role("button", name="Go", exact=True).click()
    expect(page.get_by_role("heading", name="Translate 2 lessons")).to_be_visible()
    expect(page.get_by_label("Arabic")).to_be_checked()
    expect(page.locator(".facts")).to_contain_text(
        re.compile(r"Requests.*12", re.S | re.I)
    )
    assert fits(page)
    page.get_by_role("button", name="Start translating").click()

    # The run's page follows the run to its end, and the lesson's page its texts.
    expect(page.locator("[data-live-sentence]")).to_have_text(
        "Done: 12 of 12.", timeout=ARRIVES_MS
    )
    expect(page.get_by_role("button", name="Pause")).to_be_hidden()
    assert fits(page)
    arabic = lesson_page.locator('[lang="ar"][dir="rtl"]')
    expect(arabic.filter(has_text=LESSONS[0]["ar"][0])).to_be_visible(
        timeout=ARRIVES_MS
    )
    assert lesson_page.evaluate("window.wasNeverReloaded")
    assert fits(lesson_page)
    open_lesson(page, demo, LESSONS[1]["title"], prefix)
    expect(page.get_by_text(LESSONS[1]["ar"][0], exact=True)).to_be_visible()
    assert said == []


def test_a_run_is_paused_by_keyboard_and_its_page_tells_of_an_ended_session(
    demo, context, said, request
):
    prefix = f"k{request.node.callspec.id}"
    demo.import_lessons(prefix=prefix)
    page = context.new_page()
    log_in(page, demo)
    page.goto(f"{demo.site}/admin/batches/run/")
    assert fits(page)
    page.locator("input.action-select").first.focus()
    page.keyboard.press("Space")
    page.get_by_label("Action:").focus()
    page.keyboard.type("Low")
    page.get_by_role("button", name="Go", exact=True).focus()
    page.keyboard.press("Enter")

    expect(
        page.get_by_text("What is in no job yet goes out in the new order.")
    ).to_be_visible()
    expect(page.get_by_text("it costs nothing")).to_be_visible()
    assert fits(page)
    page.get_by_role("button", name="Yes: Low priority").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".messagelist")).to_contain_text("is finished (Done)")

    page.goto(f"{demo.site}{LIST}?q={prefix}")
    page.get_by_role("link", name=LESSONS[0]["title"]).first.click()
    page.get_by_role("heading", name="Translations").wait_for()
    context.clear_cookies()
    expect(page.locator("[data-live-sentence]")).to_contain_text(
        "your session has ended", timeout=ARRIVES_MS
    )
    assert said == []


def test_lessons_are_imported_from_a_table_with_columns_of_its_own(
    demo, context, said, request, tmp_path
):
    prefix = f"w{request.node.callspec.id}"
    file = tmp_path / "casharro.csv"
    file.write_text(
        f"Kood;Course ID;Cinwaan;source language\n{prefix}-1;c-{prefix};Caano;so\n"
        f"{prefix}-2;c-{prefix};;so\n"
    )
    page = context.new_page()
    log_in(page, demo)
    page.goto(f"{demo.site}{LIST}")
    page.get_by_role("link", name="Import", exact=True).click()
    assert fits(page)
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV").click()
    assert download.value.suggested_filename == "lessons.csv"
    page.get_by_label("File").set_input_files(file)
    page.get_by_role("button", name="Upload and check").click()

    expect(page.get_by_text("Say which column is id, title;")).to_be_visible()
    expect(page.get_by_label("Course ID")).to_have_value("course_id")
    assert fits(page)
    page.get_by_label("Kood").select_option("id")
    page.get_by_label("Cinwaan").select_option("title")
    page.get_by_role("button", name="Check again").click()
    expect(panel(page, "Errors")).to_contain_text("title")
    expect(panel(page, "The first rows")).to_contain_text("Caano")
    assert fits(page)
    page.get_by_role("button", name="Import 1 lesson").click()

    expect(page.locator(".messagelist")).to_contain_text("Imported 1 lesson.")
    expect(panel(page, "Errors")).to_contain_text("3")
    assert said == []
