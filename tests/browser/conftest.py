"""The demo in a copy of the sources, and a real Chromium that looks at it."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.processes import clean_environment, copy_of_the_repository, free_port, manage
from tests.test_demo import serving, wait_for

DESKTOP = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}

# Lessons that the repository does not have, with the answers of the sandbox to them.
LESSONS = [
    {
        "id": "browser-1",
        "title": "Biyo nadiif ah",
        "description": "Sida biyaha loo kariyo ka hor inta ilmuhu cabbin.",
        "body": "Biyaha kari muddo toban daqiiqo ah.",
        "ar": [
            "مياه نظيفة",
            "كيف تُغلى المياه قبل أن يشربها الطفل.",
            "اغلِ الماء لمدة عشر دقائق.",
        ],
        "en": [
            "Clean water",
            "How to boil water before the child drinks it.",
            "Boil the water for ten minutes.",
        ],
    },
    {
        "id": "browser-2",
        "title": "Gacmo dhaqid",
        "description": "Goorta ilmuhu gacmaha dhaqayo.",
        "body": "Gacmaha ku dhaq saabuun iyo biyo.",
        "ar": [
            "غسل اليدين",
            "متى يغسل الطفل يديه.",
            "اغسل اليدين بالصابون والماء.",
        ],
        "en": [
            "Washing hands",
            "When the child washes its hands.",
            "Wash the hands with soap and water.",
        ],
    },
]
FIELDS = ("title", "description", "body")


@dataclass(frozen=True)
class Demo:
    """A demo that serves: where, and who may log in."""

    site: str
    user: str
    password: str
    root: Path

    def import_lessons(self, *, prefix: str) -> None:
        """Add the test's lessons, under ids of their own."""
        rows = [
            {
                "id": f"{prefix}-{lesson['id']}",
                "course_id": f"course-{prefix}",
                "course_title": f"Caafimaad {prefix}",
                "source_language": "so",
                "format": "text",
                **{name: lesson[name] for name in FIELDS},
            }
            for lesson in LESSONS
        ]
        file = self.root / f"{prefix}.jsonl"
        file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        done = manage(
            "import_content",
            "lessons",
            str(file),
            root=self.root,
            env=clean_environment(BATCHSITE_DEMO="true"),
        )
        assert done.returncode == 0, done.stderr


def add_samples(root: Path) -> None:
    """Teach the sandbox the answers for the lessons above."""
    samples = root / "translations" / "lessons" / "samples"
    for language in ("ar", "en"):
        with (samples / f"so-{language}.jsonl").open("a") as file:
            for lesson in LESSONS:
                for name, target in zip(FIELDS, lesson[language], strict=True):
                    sample = {
                        "source_language": "so",
                        "target_language": language,
                        "source": lesson[name],
                        "target": target,
                    }
                    file.write(json.dumps(sample, ensure_ascii=False) + "\n")


@contextmanager
def running_demo(root: Path) -> Iterator[Demo]:
    add_samples(root)
    with serving(root, f"--port={free_port()}") as process:
        found = wait_for(
            process, r"Open (http://\S+?)/admin/ as (\w+) with the password (\S+)\n"
        )
        yield Demo(*found.groups(), root)


@contextmanager
def running_chromium() -> Iterator[Browser]:
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    assert path, "Install Debian's chromium."
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox"]
        )
        yield browser
        browser.close()


def log_in(page: Page, demo: Demo) -> None:
    page.goto(f"{demo.site}/admin/")
    page.get_by_label("Username").fill(demo.user)
    page.get_by_label("Password").fill(demo.password)
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("heading", name="Operations desk").wait_for()


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    root = copy_of_the_repository(tmp_path_factory.mktemp("desk") / "batchsite")
    with running_demo(root) as found:
        yield found


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    with running_chromium() as browser:
        yield browser
