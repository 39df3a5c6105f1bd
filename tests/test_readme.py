"""README's promises that a machine can check."""

import re
from pathlib import Path

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
    page = (ROOT / "docs" / "commands.md").read_text()

    named = re.findall(r"^\|[^|]*\| `(\w+)", page, re.MULTILINE)

    assert sorted(named) == sorted(ours)


def test_the_newcomers_page_leads_to_every_document_and_stays_short():
    named = set(re.findall(r"\]\(docs/([\w-]+\.md)\)", readme()))

    assert named == {path.name for path in (ROOT / "docs").glob("*.md")}
    assert len(readme().splitlines()) <= 100


def test_every_heading_that_the_documents_point_to_is_there():
    for document in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        for link, heading in re.findall(
            r"\]\(([^)#:]*)#([^)]+)\)", document.read_text()
        ):
            target = document.parent / link if link else document
            assert heading in anchors(target), f"{document.name}: {link}#{heading}"


def anchors(document: Path) -> set[str]:
    """What the headings of a page are called in links, as GitHub does it."""
    titles = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", title.lower()) for title in titles]
    return {title.strip().replace(" ", "-") for title in plain}


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
