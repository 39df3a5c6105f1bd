"""Somebody who is not staff, on a phone: from signing in to the results and a key."""

import json
import re
from urllib.request import Request, urlopen

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import DESKTOP, PHONE, Demo
from tests.browser.test_desk import fits

pytestmark = pytest.mark.slow

ARRIVES_MS = 30_000
WORDS = [
    *("patience", "calm", "river", "mountain", "honey"),
    *("market", "teacher", "doctor", "window", "garden"),
]
MAKE_USER = """
from django.contrib.auth.models import User
User.objects.create_user("{name}", password="{name}-secret")
"""


@pytest.fixture
def context(chromium: Browser):
    context = chromium.new_context(viewport=PHONE, accept_downloads=True)
    context.set_default_timeout(10_000)
    yield context
    context.close()


def sign_in(page: Page, demo: Demo, name: str) -> None:
    demo.manage("shell", "-v0", "-c", MAKE_USER.format(name=name))
    page.goto(f"{demo.site}/")
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(f"{name}-secret")
    page.get_by_role("button", name="Sign in").click()


def thumbs(page: Page) -> list[float]:
    """The heights of what is to be pressed in the page's own part."""
    targets = page.locator("#content .button:visible, .places a:visible")
    return [one.bounding_box()["height"] for one in targets.all()]


def test_ten_words_are_asked_about_followed_read_and_taken_away(demo, context, said):
    page = context.new_page()
    sign_in(page, demo, "hodan")
    expect(page.get_by_text("You have no runs yet.")).to_be_visible()
    assert fits(page)
    page.get_by_role("link", name="Ask about words").last.click()
    page.get_by_role("textbox", name="Words").fill("\n".join(WORDS))
    page.get_by_role("checkbox", name="A summary").check()
    assert fits(page)
    assert min(thumbs(page)) >= 44
    page.get_by_role("button", name="See what it costs").click()

    expect(page.locator(".facts")).to_contain_text(re.compile(r"requests\s*10", re.I))
    expect(page.locator(".facts")).to_contain_text(re.compile(r"\$0\.\d+"))
    assert fits(page)
    page.get_by_role("button", name="Start the run").click()
    page.evaluate("window.wasNeverReloaded = true")
    sentence = page.locator("[data-live-sentence]")
    expect(sentence).to_have_text("Done: 10 of 10.", timeout=ARRIVES_MS)
    bar = page.locator("progress")
    expect(bar).to_have_attribute("value", "10")
    expect(bar).to_have_attribute("max", "10")
    expect(page.get_by_role("link", name="Cancel…")).to_be_hidden()
    assert page.evaluate("window.wasNeverReloaded")
    assert fits(page)

    with page.expect_download() as download:
        page.get_by_role("link", name="JSONL").click()
    file = download.value.path().read_text()
    rows = [json.loads(line) for line in file.splitlines()]
    assert [row["subject"] for row in rows] == [f"en:{word}" for word in WORDS]
    page.get_by_role("link", name="Read them").click()
    expect(page.locator("section.panel")).to_have_count(10)
    expect(page.locator("section.panel").first).to_contain_text("key points")
    assert fits(page)
    page.get_by_role("link", name="My runs").click()
    expect(page.get_by_text("100 %")).to_be_visible()
    assert fits(page)
    assert said == []


def test_a_key_is_made_by_keyboard_and_a_program_uses_it(demo, context, said):
    page = context.new_page()
    sign_in(page, demo, "ayaan")
    page.get_by_role("link", name="My keys").focus()
    page.keyboard.press("Enter")
    page.get_by_label("Name").focus()
    page.keyboard.type("laptop")
    page.get_by_label("Start runs").focus()
    page.keyboard.press("Space")
    page.get_by_role("button", name="Make the key").focus()
    page.keyboard.press("Enter")

    key = page.locator(".new-key code").inner_text()
    assert fits(page)
    body = {"words": ["patience"], "features": {"etymology": True}}
    accepted = call(demo, key, "/api/v1/ai/batch", body)
    page.get_by_role("link", name="My runs").click()
    page.get_by_role("link", name="patience").click()
    expect(page.locator("[data-live-sentence]")).to_have_text(
        "Done: 1 of 1.", timeout=ARRIVES_MS
    )
    told = call(demo, key, f"/api/v1/ai/batch/{accepted['jobId']}")

    assert (told["status"], told["progress"]) == ("completed", 100)
    page.get_by_role("link", name="My keys").click()
    expect(page.locator(".new-key")).to_have_count(0)
    page.get_by_role("link", name="Revoke…").click()
    page.get_by_role("button", name="Yes, revoke it").click()
    expect(page.get_by_text("None yet.")).to_be_visible()
    assert fits(page)
    assert said == []


def test_arabic_words_stand_right_to_left_on_phone_and_desk(demo, context, chromium):
    page = context.new_page()
    sign_in(page, demo, "warsame")
    arabic = chromium.new_context(
        viewport=DESKTOP, locale="ar", storage_state=context.storage_state()
    )
    for each in (page, arabic.new_page()):
        each.goto(f"{demo.site}/my/words/")
        each.locator("[name=words]").fill("صبر، هدوء")
        each.locator("[name=language]").select_option("ar")
        each.locator("[value=translation_context]").check()
        each.locator("[name=translate_into][value=so]").check()
        each.locator("button[name=price]").click()
        asked = each.locator('.asked[lang="ar"][dir="rtl"]')
        expect(asked).to_have_text("صبر, هدوء")
        assert fits(each)
    assert each.evaluate("document.documentElement.dir") == "rtl"
    each.locator("button[name=start]").click()
    heading = each.locator("h1 bdi")
    expect(heading).to_have_text("صبر, هدوء")
    assert fits(each)
    arabic.close()


def call(demo: Demo, key: str, path: str, body: object = None) -> dict:
    """What the API answers to a program with this key."""
    request = Request(  # noqa: S310
        f"{demo.site}{path}",
        data=None if body is None else json.dumps(body).encode(),
        headers={"X-API-Key": key, "Content-Type": "application/json"},
    )
    with urlopen(request, timeout=30) as answer:  # noqa: S310
        return json.load(answer)
