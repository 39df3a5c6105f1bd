"""The demo in a copy of the sources, and a real Chromium that looks at it."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

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

# How many lessons there are whose Arabic has a fault: what a reviewer approved
# is remembered for all equal texts, so each test needs one of its own.
FAULTY_LESSONS = 12


@dataclass(frozen=True)
class Faulty:
    """A lesson in whose Arabic body the third paragraph has a wrong number."""

    number: int

    @property
    def fields(self) -> dict[str, str]:
        title, *body = (source for source, _ in self.segments)
        return {"title": title, "body": paragraphs(body)}

    @property
    def target(self) -> str:
        """The body as the sandbox answers it."""
        return paragraphs([target for _, target in self.segments[1:]])

    @property
    def right(self) -> str:
        """The third paragraph as it should be."""
        return self.wrong.replace("<strong>7</strong>", "<strong>5</strong>")

    @property
    def wrong(self) -> str:
        return self.segments[-1][1]

    @property
    def segments(self) -> list[tuple[str, str]]:
        """Title and paragraphs, each with the answer of the sandbox."""
        return [
            (f"Caafimaadka ilmaha {self.number}", f"صحة الطفل {self.number}"),
            (
                f"Ilmaha {self.number} gacmaha u dhaq.",
                f"اغسل يدي الطفل {self.number}.",
            ),
            (f"Biyo nadiif ah sii {self.number}.", f"أعطه ماءً نظيفًا {self.number}."),
            (
                f"Sug <strong>5</strong> daqiiqo ka hor cuntada {self.number}.",
                f"انتظر <strong>7</strong> دقائق قبل الطعام {self.number}.",
            ),
        ]


def paragraphs(texts: list[str]) -> str:
    return "".join(f"<p>{text}</p>" for text in texts)


FAULTY = [Faulty(number) for number in range(31, 31 + FAULTY_LESSONS)]


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
        self.import_rows(rows, prefix=prefix)

    def import_rows(self, rows: list[dict[str, str]], *, prefix: str) -> None:
        file = self.root / f"{prefix}.jsonl"
        file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        self.manage("import_content", "lessons", str(file))

    def manage(self, *arguments: str) -> str:
        """What a command says, run on the demo's data."""
        done = manage(
            *arguments, root=self.root, env=clean_environment(BATCHSITE_DEMO="true")
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


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
    with (samples / "so-ar.jsonl").open("a") as file:
        for source, target in chain.from_iterable(each.segments for each in FAULTY):
            sample = {
                "source_language": "so",
                "target_language": "ar",
                "source": source,
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


# Not for the whole session: while it is there the thread has a running event loop, in
# which Django asks no database.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with running_chromium() as browser:
        yield browser


@pytest.fixture
def said(context: BrowserContext) -> list[str]:
    """What pages of this context complain of: errors of scripts, failed requests."""
    found: list[str] = []
    context.on("console", lambda m: m.type == "error" and found.append(m.text))
    context.on("weberror", lambda error: found.append(str(error.error)))
    return found
