"""Who may import whom, and what lies where: read from the sources, line by line.

Left may not import right:

    errors, processes, signals, states → querysets → models → config → providers,
    wire_schema, workloads, content → services → monitoring → tasks, schedules, runs,
    testing, api, admin, my, benchmark, management

The sandbox stands apart: it imports itself and nothing else of ours. Content apps
import the engine, never the reverse; only `batchsite` sees every app. Dotted names in
strings count as imports, in migrations too: a dependency binds like an import.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.processes import ROOT

APPS = ("batchsite", "batches", "translations")
ENGINE_ORDER = (
    ("errors", "processes", "signals", "states"),
    ("querysets",),
    ("models", "migrations"),
    ("config",),
    ("providers", "wire_schema", "workloads", "content"),
    ("services",),
    ("monitoring",),
    (
        "tasks",
        "schedules",
        "__init__",
        "runs",
        "testing",
        "api",
        "admin",
        "my",
        "benchmark",
        "management",
        "checks",
        "apps",
    ),
)
RANKS = {room: rank for rank, rooms in enumerate(ENGINE_ORDER) for room in rooms}
# Words and prices need no rows; config is how a client learns its timeout.
PROVIDERS_MAY_IMPORT = ("batches.errors", "batches.states", "batches.config")
ONLY_FILES_WITH_OPENAI = (
    "batches/providers/openai_batch.py",
    "batches/providers/openai_organization.py",
    "batches/providers/openai_webhooks.py",
)
NESTED_APPS = ("lessons", "dictionary", "chats", "files")
# The labels that migrations and string references use for these apps.
LABELS = {f"translations_{name}": f"translations.{name}" for name in NESTED_APPS}
DOTTED_NAME = re.compile(r"[a-z_]\w*(\.\w+)+")


@dataclass(frozen=True)
class Import:
    """One module that a line names, by an import or as a dotted string."""

    file: str
    line: int
    module: str
    is_string: bool = False

    @property
    def parts(self) -> list[str]:
        return self.module.split(".")


def imports_of(file: str, source: str) -> Iterator[Import]:
    """What a source names, relative imports and `from package import module` resolved.

    `from a.b import c` gives `a.b.c`: whether c is a module or a name in one, its place
    is in a.b.
    """
    package = file.removesuffix(".py").removesuffix("/__init__").split("/")
    if not file.endswith("/__init__.py"):
        package = package[:-1]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(file, node.lineno, alias.name)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            start = ".".join([*base, *(node.module or "").split(".")]).strip(".")
            for alias in node.names:
                yield Import(file, node.lineno, f"{start}.{alias.name}")
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from _named_in_text(file, node.lineno, node.value)
        elif isinstance(node, ast.Tuple) and "/migrations/" in file:
            yield from _dependency(file, node)


def _named_in_text(file: str, line: int, text: str) -> Iterator[Import]:
    if not DOTTED_NAME.fullmatch(text):
        return
    start, _, rest = text.partition(".")
    module = f"{LABELS.get(start, start)}.{rest}"
    app, name = module.split(".")[:2]
    # `batches.Run` is a model, `batches.states` a module; `batches.create` is neither,
    # but the provider's word for a call.
    is_module = any((ROOT / app / f"{name}{end}").exists() for end in ("", ".py"))
    if app in APPS and (name[0].isupper() or is_module):
        yield Import(file, line, module, is_string=True)


def _dependency(file: str, node: ast.Tuple) -> Iterator[Import]:
    """`("translations", "0001_initial")` in a migration's dependencies."""
    match node.elts:
        case [ast.Constant(value=str(label)), ast.Constant(value=str(name))]:
            app = LABELS.get(label, label)
            if app.split(".")[0] in APPS and re.match(r"\d{4}_|__first__", name):
                yield Import(
                    file, node.lineno, f"{app}.migrations.{name}", is_string=True
                )


def place_of(parts: list[str]) -> str:
    """The app a module belongs to; a nested app is an app of its own."""
    nested = len(parts) > 1 and parts[0] == "translations" and parts[1] in NESTED_APPS
    return ".".join(parts[:2]) if nested else parts[0]


def objection(found: Import) -> str | None:
    """Why this import may not be; None where it may."""
    source = found.file.removesuffix(".py").split("/")
    here, there = place_of(source), place_of(found.parts)
    if found.parts[0] == "openai" and found.file not in ONLY_FILES_WITH_OPENAI:
        return f"only {' and '.join(ONLY_FILES_WITH_OPENAI)} imports openai"
    if source[:2] == ["batches", "providers"] and found.module.startswith("django.db"):
        return "providers do no ORM"
    if found.parts[0] not in APPS:
        return None
    if source[:2] == ["batches", "sandbox"]:
        inside = found.parts[:2] == ["batches", "sandbox"]
        return None if inside else "the sandbox imports nothing of ours but itself"
    if here == "batchsite":
        return None
    if there == "batchsite":
        return "only batchsite sees batchsite"
    if here == "batches":
        return _objection_in_engine(source, found, there)
    if here == "translations" and there not in ("translations", "batches"):
        return "core translations knows none of its nested apps"
    if here.startswith("translations.") and there not in (
        here,
        "translations",
        "batches",
    ):
        return f"{here} does not know {there}"
    return None


def _objection_in_engine(source: list[str], found: Import, there: str) -> str | None:
    if there != "batches":
        return "the engine knows no content app"
    if len(found.parts) < 2:
        return None
    room, other = source[1], found.parts[1]
    if room not in RANKS:
        return f"the room {room} has no place in the order"
    if other == "sandbox":
        is_its_command = source == ["batches", "management", "commands", "sandbox"]
        return None if is_its_command else "only its command imports the sandbox"
    if other not in RANKS:
        return None if found.is_string else f"{other} has no place in the order"
    if RANKS[other] > RANKS[room]:
        return f"{other} comes after {room}"
    if room == "providers" and other != "providers":
        if not found.module.startswith(PROVIDERS_MAY_IMPORT):
            return "providers import errors, states and config alone"
        if other == "config" and source[-1] != "registry":
            return "only the registry of providers reads config"
    return None


def violations(file: str, source: str) -> list[str]:
    """One line for each import of a source that may not be, with its place."""
    return [
        f"{found.file}:{found.line}: {found.module}: {reason}"
        for found in imports_of(file, source)
        if (reason := objection(found))
    ]


def sources() -> list[Path]:
    return sorted(path for app in APPS for path in (ROOT / app).rglob("*.py"))


def test_every_import_keeps_to_the_order():
    files = sources()

    found = [
        line
        for path in files
        for line in violations(path.relative_to(ROOT).as_posix(), path.read_text())
    ]

    assert len(files) > 50
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("file", "line", "reason"),
    [
        ("batches/states.py", "import batches.models", "models comes after states"),
        ("batches/querysets.py", "from batches import models", "models comes after"),
        ("batches/models/run.py", "from batches import config", "config comes after"),
        (
            "batches/models/run.py",
            "from ..services import bulk",
            "services comes after",
        ),
        ("batches/config.py", "import batches.workloads", "workloads comes after"),
        ("batches/workloads.py", "import batches.services", "services comes after"),
        ("batches/services/bulk.py", "import batches.admin", "admin comes after"),
        (
            "batches/services/bulk.py",
            "from batches.monitoring.explain import explain",
            "monitoring comes after services",
        ),
        (
            "batches/monitoring/explain.py",
            "def late():\n    from batches.management.output import counted",
            "management comes after monitoring",
        ),
        ("batches/services/bulk.py", "import translations", "knows no content app"),
        (
            "batches/models/item.py",
            "x = ForeignKey('translations_lessons.Lesson')",
            "knows no content app",
        ),
        (
            "batches/migrations/0003_x.py",
            "dependencies = [('translations', '0001_initial')]",
            "knows no content app",
        ),
        ("batches/services/x.py", "import batches.sandbox", "only its command"),
        ("batches/sandbox/app.py", "from batches import states", "nothing of ours"),
        ("batches/sandbox/app.py", "from .. import config", "nothing of ours"),
        ("batches/providers/pricing.py", "from django.db import models", "no ORM"),
        (
            "batches/providers/pricing.py",
            "from batches.models.money import to_nanos",
            "errors, states and config alone",
        ),
        ("batches/providers/tokens.py", "from batches import config", "the registry"),
        ("batches/services/x.py", "from openai import OpenAI", "imports openai"),
        ("batches/helpers.py", "import batches.states", "no place in the order"),
        (
            "translations/registry.py",
            "from translations.lessons.models import Lesson",
            "none of its nested apps",
        ),
        (
            "translations/migrations/0002_x.py",
            "dependencies = [('translations_lessons', '0001_initial')]",
            "none of its nested apps",
        ),
        (
            "translations/chats/models.py",
            "import translations.lessons.models",
            "does not know translations.lessons",
        ),
        ("translations/lessons/x.py", "import batchsite.processes", "only batchsite"),
        ("batches/services/x.py", "import_string('batchsite.urls')", "only batchsite"),
    ],
)
def test_the_checker_finds_each_kind_of_wrong_import(file, line, reason):
    found = violations(file, f"import os\n{line}\n")

    assert len(found) == 1, found
    assert re.match(rf"{re.escape(file)}:[23]: ", found[0])
    assert reason in found[0]


@pytest.mark.parametrize(
    ("file", "line"),
    [
        (
            "batches/services/x.py",
            "from batches.providers.registry import get_provider",
        ),
        ("batches/providers/registry.py", "from batches import config"),
        ("batches/providers/openai_batch.py", "import openai"),
        ("batches/management/commands/sandbox.py", "import batches.sandbox.server"),
        ("batches/sandbox/app.py", "from batches.sandbox.storage import Storage"),
        ("batches/migrations/0002_x.py", "x = [('batches', '0001_initial')]"),
        ("translations/workloads.py", "from batches.workloads import Workload"),
        ("translations/lessons/x.py", "from translations.registry import register"),
        ("batchsite/management/commands/x.py", "import translations.lessons.models"),
    ],
)
def test_the_checker_lets_right_imports_be(file, line):
    assert violations(file, line) == []


# --- What lies where ------------------------------------------------------------------

TOP_LEVEL = {
    ".ci",
    ".dockerignore",
    ".env.example",
    ".gitattributes",
    ".gitignore",
    "README.md",
    "batches",
    "batchsite",
    "deploy",
    "docs",
    "manage.py",
    "pyproject.toml",
    "requirements-dev.txt",
    "requirements.txt",
    "templates",
    "tests",
    "translations",
}
NOT_OF_THE_REPOSITORY = ".git"
CATCH_ALLS = ("utils", "helpers", "common", "misc")


def ignored() -> frozenset[str]:
    """What .gitignore names at the top level: made here, and not kept."""
    lines = (ROOT / ".gitignore").read_text().split()
    return frozenset(line.strip("/") for line in lines)


def test_the_top_level_holds_what_it_may_and_nothing_else():
    there = {path.name for path in ROOT.iterdir()}

    assert there - ignored() - {NOT_OF_THE_REPOSITORY} <= TOP_LEVEL


def test_no_module_is_named_after_nothing():
    named = [
        path.relative_to(ROOT).as_posix()
        for app in (*APPS, "tests")
        for path in (ROOT / app).rglob("*")
        if path.stem in CATCH_ALLS and path.suffix in ("", ".py")
    ]

    assert named == []
