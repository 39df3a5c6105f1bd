"""Review by a person in a real browser: by touch on an Arabic phone, and at a desk."""

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from tests.browser.conftest import DESKTOP, FAULTY, PHONE, Demo, Faulty
from tests.browser.test_desk import fits

pytestmark = pytest.mark.slow

ARRIVES_MS = 20_000
SAVED_MS = 8_000
THUMB = 44
LABEL = "translations_lessons.lesson"

SHELL = """
from django.contrib.auth.models import Group, User
from translations.lessons.models import Lesson
from translations.models import Translation
"""


@dataclass
class Case:
    """A lesson whose Arabic body waits for review, and who may review it."""

    demo: Demo
    lesson: Faulty
    key: str
    unit: str

    @property
    def url(self) -> str:
        where = f"/admin/translations/translation/{self.unit}/review/"
        return f"{self.demo.site}{where}"

    def ask(self, expression: str) -> object:
        """A JSON value of the demo's data; `unit` is the text under review."""
        script = (
            f"{SHELL}\nimport json\nunit = Translation.objects.get(pk={self.unit})\n"
            f"print(json.dumps({expression}))"
        )
        return json.loads(self.demo.manage("shell", "-v0", "-c", script))


def translate(demo: Demo, key: str, field: str = "body", *flags: str) -> None:
    """Have a field translated by the demo's own worker; returns when it is there."""
    demo.manage(
        *("run_workload", "translation", "--language", "ar", "--content", LABEL),
        *("--key", key, "--field", field, *flags),
    )
    left = "from batches.models import OpenItem; print(OpenItem.objects.count())"
    deadline = time.monotonic() + 60
    while demo.manage("shell", "-v0", "-c", left).strip() != "0":
        assert time.monotonic() < deadline, "the demo's worker does not come to it"


@pytest.fixture(scope="session")
def lessons() -> Iterator[Faulty]:
    return iter(FAULTY)


@pytest.fixture
def case(demo: Demo, lessons: Iterator[Faulty], request: pytest.FixtureRequest) -> Case:
    prefix = re.sub(r"\W", "", request.node.name)[-28:]
    lesson = next(lessons)
    row = {
        **lesson.fields,
        "id": f"{prefix}-1",
        "course_id": f"course-{prefix}",
        "course_title": f"Caafimaad {prefix}",
        "source_language": "so",
        "format": "html",
    }
    demo.import_rows([row], prefix=prefix)
    script = f"{SHELL}\nprint(Lesson.objects.get(external_id='{prefix}-1').pk)"
    key = demo.manage("shell", "-v0", "-c", script).strip()
    translate(demo, key)
    script = (
        f"{SHELL}\nfor name in ('amina', 'bilal'):\n"
        "    user, _ = User.objects.get_or_create(username=name, is_staff=True)\n"
        "    user.set_password('a long secret'); user.save()\n"
        "    user.groups.add(Group.objects.get(name='reviewer'))\n"
        f"print(Translation.objects.get(object_id='{key}', field='body').pk)"
    )
    return Case(demo, lesson, key, demo.manage("shell", "-v0", "-c", script).strip())


@pytest.fixture
def phone(chromium: Browser) -> Iterator[BrowserContext]:
    """A phone that speaks Arabic and has no mouse."""
    context = chromium.new_context(
        viewport=PHONE, locale="ar", has_touch=True, is_mobile=True
    )
    context.set_default_timeout(10_000)
    yield context
    context.close()


@pytest.fixture
def desk(chromium: Browser) -> Iterator[BrowserContext]:
    context = chromium.new_context(viewport=DESKTOP)
    context.set_default_timeout(10_000)
    yield context
    context.close()


def log_in(page: Page, demo: Demo, name: str = "amina") -> None:
    page.goto(f"{demo.site}/admin/login/?next=/admin/translations/translation/review/")
    page.locator("#id_username").fill(name)
    page.locator("#id_password").fill("a long secret")
    page.locator("#login-form [type=submit]").click()
    page.locator("#content-main").wait_for()


def segment(page: Page, number: int) -> Locator:
    return page.locator(f'[data-segment="s{number}"]')


def press(page: Page, act: str) -> Locator:
    return page.locator(f'.thumb [name="act"][value="{act}"]').first


def height(locator: Locator) -> float:
    box = locator.bounding_box()
    assert box
    return box["height"]


def test_on_an_arabic_phone_a_fault_is_mended_approved_and_published(phone, case):
    complaints: list[str] = []
    phone.on("console", lambda m: m.type == "error" and complaints.append(m.text))
    phone.on("weberror", lambda error: complaints.append(str(error.error)))
    page = phone.new_page()
    log_in(page, case.demo)
    assert page.locator("html").get_attribute("dir") == "rtl"
    assert fits(page)
    page.goto(case.url)

    # Only what is flagged is open, each text in its own language and direction.
    expect(segment(page, 3)).to_be_visible()
    expect(segment(page, 1)).to_be_hidden()
    faulty = segment(page, 3)
    source, target = faulty.locator(".source .text"), faulty.locator(".target .shown")
    assert (source.get_attribute("lang"), source.get_attribute("dir")) == ("so", "ltr")
    assert (target.get_attribute("lang"), target.get_attribute("dir")) == ("ar", "rtl")
    assert source.bounding_box()["y"] < target.bounding_box()["y"]
    expect(faulty.locator(".findings li.error")).to_have_count(1)
    assert fits(page)
    for button in page.locator(".thumb button:visible, .thumb summary:visible").all():
        assert height(button) >= THUMB
        assert button.bounding_box()["y"] > PHONE["height"] / 2

    faulty.locator(".mend").tap()
    field = faulty.locator("textarea")
    expect(field).to_be_focused()
    assert field.get_attribute("dir") == "rtl"
    field.fill(case.lesson.right)
    expect(faulty.locator(".findings li")).to_have_count(0, timeout=SAVED_MS)
    assert fits(page)
    page.locator(".primary").tap()

    expect(page.locator(".messagelist .success")).to_be_visible()
    assert case.ask("[unit.status, unit.published.text]") == [
        "published",
        case.lesson.target.replace(case.lesson.wrong, case.lesson.right),
    ]
    assert complaints == []


def test_at_a_desk_the_whole_loop_goes_by_keyboard(desk, case):
    page = desk.new_page()
    log_in(page, case.demo)
    page.goto(case.url)
    source = segment(page, 3).locator(".source .text").bounding_box()
    target = segment(page, 3).locator(".target .shown").bounding_box()
    assert source["y"] == pytest.approx(target["y"], abs=4)
    assert source["x"] != target["x"]
    assert fits(page)

    page.keyboard.press("j")
    expect(segment(page, 3)).to_be_focused()
    page.keyboard.press("e")
    expect(segment(page, 3).locator("textarea")).to_be_focused()
    page.keyboard.press("Control+A")
    page.keyboard.insert_text(case.lesson.right)
    expect(segment(page, 3).locator(".findings li")).to_have_count(0, timeout=SAVED_MS)
    page.keyboard.press("Control+Enter")

    expect(page.locator(".messagelist .success")).to_be_visible()
    assert case.ask("unit.status") == "published"


def test_rejecting_and_asking_go_by_keyboard_and_lead_on(desk, case):
    page = desk.new_page()
    log_in(page, case.demo)
    page.goto(case.url)

    page.keyboard.press("q")
    page.keyboard.type("Is it five?")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".messagelist .success")).to_be_visible()
    assert case.ask("unit.review_comments.get().text") == "Is it five?"
    page.goto(case.url)
    expect(page.get_by_text("Is it five?")).to_be_visible()
    page.keyboard.press("r")
    page.keyboard.press("Space")
    page.locator("[name=words]").fill("five, not seven")
    page.keyboard.press("Control+Enter")

    expect(page.locator(".messagelist .success")).to_be_visible()
    assert case.ask("unit.status") == "rejected"
    assert page.url != case.url


def test_a_draft_outlives_a_reload_a_lost_line_and_an_ended_session(phone, case):
    page = phone.new_page()
    log_in(page, case.demo)
    page.goto(case.url)
    field = segment(page, 3).locator("textarea")

    segment(page, 3).locator(".mend").tap()
    field.fill("واحد")
    expect(page.locator("[data-said]")).to_contain_text(
        re.compile(r"\d\d:\d\d:\d\d"), timeout=SAVED_MS
    )
    page.reload()
    expect(field).to_have_value("واحد")

    phone.set_offline(True)
    field.fill("اثنان")
    expect(page.locator("[data-said]")).to_have_text(
        page.locator("#review").get_attribute("data-lost"), timeout=SAVED_MS
    )
    phone.set_offline(False)
    expect(page.locator("[data-said]")).to_contain_text(
        re.compile(r"\d\d:\d\d:\d\d"), timeout=ARRIVES_MS
    )
    assert case.ask("unit.review_drafts.get().texts") == {"s3": "اثنان"}

    phone.clear_cookies()
    field.fill("ثلاثة")
    expect(page.locator("[data-said]")).to_contain_text(
        page.locator("#review").get_attribute("data-ended"), timeout=SAVED_MS
    )
    with phone.expect_page() as opened:
        page.locator("[data-said] a").click()
    other = opened.value
    other.locator("#id_username").fill("amina")
    other.locator("#id_password").fill("a long secret")
    other.locator("#login-form [type=submit]").click()
    other.locator("#content-main").wait_for()
    page.bring_to_front()
    expect(page.locator("[data-said]")).to_contain_text(
        re.compile(r"\d\d:\d\d:\d\d"), timeout=ARRIVES_MS
    )
    assert case.ask("unit.review_drafts.get().texts") == {"s3": "ثلاثة"}


def test_what_was_never_sent_comes_back_from_the_device(desk, case):
    page = desk.new_page()
    log_in(page, case.demo)
    page.goto(case.url)
    page.keyboard.press("e")
    desk.set_offline(True)
    segment(page, 3).locator("textarea").fill("اثنان")
    page.close()
    desk.set_offline(False)

    again = desk.new_page()
    again.goto(case.url)

    expect(segment(again, 3).locator("textarea")).to_have_value("اثنان")
    expect(segment(again, 3).locator("textarea")).to_be_visible()


def test_two_editors_see_each_other_and_neither_overwrites(chromium, phone, desk, case):
    amina, bilal = phone.new_page(), desk.new_page()
    log_in(amina, case.demo)
    log_in(bilal, case.demo, "bilal")
    amina.goto(case.url)
    amina.locator("[data-review]").wait_for()
    segment(amina, 3).locator(".mend").tap()
    segment(amina, 3).locator("textarea").fill("من أمينة")
    expect(amina.locator("[data-said]")).not_to_be_empty(timeout=SAVED_MS)

    bilal.goto(case.url)
    expect(bilal.locator("[data-others]")).to_contain_text("amina is editing this")
    bilal.keyboard.press("e")
    segment(bilal, 3).locator("textarea").fill(case.lesson.right)
    bilal.keyboard.press("Control+Enter")
    expect(bilal.locator(".messagelist .success")).to_be_visible()
    amina.locator(".primary").tap()

    expect(amina.locator(".messagelist .error")).to_be_visible()
    expect(segment(amina, 3).locator("textarea")).to_have_value(case.lesson.right)
    expect(segment(amina, 3).locator(".set-aside")).to_contain_text("من أمينة")
    assert fits(amina)
    segment(amina, 3).locator(".take-mine").tap()
    expect(segment(amina, 3).locator("textarea")).to_have_value("من أمينة")
    assert case.ask("unit.published.text").endswith(f"<p>{case.lesson.right}</p>")


def test_a_later_answer_is_a_proposal_and_the_published_text_stands(
    phone, case, lessons
):
    page = phone.new_page()
    log_in(page, case.demo)
    page.goto(case.url)
    segment(page, 3).locator(".mend").tap()
    segment(page, 3).locator("textarea").fill(case.lesson.right)
    page.locator(".primary").tap()
    expect(page.locator(".messagelist .success")).to_be_visible()
    mine = case.ask("unit.published.text")

    later = case.lesson.fields["body"] + next(lessons).fields["body"]
    case.demo.manage(
        *("shell", "-v0", "-c"),
        f"{SHELL}\nlesson = Lesson.objects.get(pk={case.key})\n"
        f"lesson.body = {later!r}\nlesson.save()",
    )
    translate(case.demo, case.key)

    assert case.ask("[unit.latest.origin, unit.published.text]") == ["machine", mine]
    page.goto(case.url)
    expect(page.locator(".about .note")).to_be_visible()
    assert fits(page)
    page.locator("[data-sheet=reject] summary").tap()
    page.locator("[name=reason][value=wrong_meaning]").tap()
    press(page, "reject").tap()
    expect(page.locator(".messagelist .success")).to_be_visible()
    assert case.ask("[unit.status, unit.latest.origin]") == ["published", "person"]


def test_a_source_that_is_hostile_is_shown_as_text(desk, case):
    script = (
        f"{SHELL}\nlesson = Lesson.objects.get(pk={case.key})\n"
        "lesson.title = '<img src=x onerror=window.wasRun=1>'\nlesson.save()\n"
        "print(Translation.objects.get(object_id=lesson.pk, field='title').pk)"
    )
    translate(case.demo, case.key, "title")
    unit = case.demo.manage("shell", "-v0", "-c", script).strip()
    page = desk.new_page()
    log_in(page, case.demo)

    page.goto(f"{case.demo.site}/admin/translations/translation/{unit}/review/")

    expect(page.get_by_text("<img src=x").first).to_be_visible()
    assert page.evaluate("window.wasRun") is None
