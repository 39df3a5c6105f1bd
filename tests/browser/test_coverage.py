"""Coverage on a phone and on a desk: looked at, and sent with one click."""

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import DESKTOP, PHONE, log_in

pytestmark = pytest.mark.slow

PAGE = "/admin/translations/translation/coverage/"


@pytest.fixture(params=[DESKTOP, PHONE], ids=["desk", "phone"])
def page(chromium: Browser, request):
    context = chromium.new_context(viewport=request.param)
    context.set_default_timeout(10_000)
    yield context.new_page()
    context.close()


def fits(page: Page) -> bool:
    width = "document.documentElement.scrollWidth <= window.innerWidth"
    return bool(page.evaluate(width))


def test_what_is_missing_is_one_click_from_its_price(demo, page, request):
    prefix = f"c{request.node.callspec.id}"
    demo.import_lessons(prefix=prefix)
    log_in(page, demo)

    page.goto(f"{demo.site}{PAGE}")
    row = page.locator(".coverage-row", has_text=f"Caafimaad {prefix} · Arabic")
    row.get_by_text("Export").click()
    button = row.get_by_role("button", name="Translate 6…")

    expect(row).to_contain_text("0 % of 6 texts are published. Missing 6.")
    expect(row.get_by_role("img")).to_be_visible()
    expect(row.get_by_role("link", name="XLIFF")).to_be_visible()
    assert fits(page)
    for target in (button, row.get_by_text("Export"), row.get_by_role("link").first):
        assert target.bounding_box()["height"] >= 44
    button.click()
    expect(page.get_by_role("heading", name="Translate 2 lessons")).to_be_visible()
    expect(page.get_by_label("Arabic")).to_be_checked()
    expect(page.get_by_label("English")).not_to_be_checked()
    expect(page.get_by_role("button", name="Start translating")).to_be_visible()
