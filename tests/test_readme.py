"""README's promises that a machine can check."""

import re

from django.core.management import get_commands

from tests.processes import ROOT

INSTALL = "python3 -m venv .venv && .venv/bin/pip install -r"
DEMO = f"{INSTALL} requirements.txt && .venv/bin/python manage.py demo"
TESTS = f"{INSTALL} requirements-dev.txt && .venv/bin/python -m pytest"
OURS = ("batches", "batchsite", "translations")


def readme() -> str:
    return (ROOT / "README.md").read_text()


def test_two_commands_of_one_line_install_and_run():
    blocks = re.findall(r"^```sh\n(.*?)^```", readme(), re.MULTILINE | re.DOTALL)

    assert blocks[:2] == [f"{DEMO}\n", f"{TESTS}\n"]


def test_ci_calls_exactly_the_test_command():
    lines = (ROOT / ".ci" / "run").read_text().splitlines()

    assert f"  {TESTS}" in lines


def test_the_table_of_commands_names_every_command_of_ours():
    ours = {name for name, app in get_commands().items() if app.startswith(OURS)}
    section = readme().split("\n## Commands\n")[1].split("\n## ")[0]

    named = set(re.findall(r"^\|[^|]*\| `(\w+)", section, re.MULTILINE))

    assert named == ours


def test_every_file_that_the_documents_point_to_is_there():
    for document in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        for link in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
            assert (document.parent / link).exists(), f"{document.name}: {link}"


def test_every_path_that_the_documents_name_is_there():
    for document in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        for path in re.findall(
            r"`((?:batches|batchsite|translations|tests|docs|deploy|\.ci)/[\w./-]*)`",
            document.read_text(),
        ):
            assert (ROOT / path).exists(), f"{document.name}: {path}"
