"""docs/extending.md, followed word for word: an app outside the repository."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import ROOT, clean_environment
from tests.sandbox.fixtures import running_sandbox

PARTS = ("shop/apps.py", "shop/models.py", "shop/workloads.py")
STEP = re.compile(
    r"`(?P<file>shop/\w+\.py)`\n\n```python\n(?P<code>.*?)^```"
    r"|^```sh\n(?P<sh>.*?)^```",
    re.MULTILINE | re.DOTALL,
)


def steps() -> list[dict[str, str]]:
    document = (ROOT / "docs" / "extending.md").read_text()
    return [step.groupdict() for step in STEP.finditer(document)]


def test_the_app_is_written_in_under_forty_lines():
    written = {step["file"]: step["code"] for step in steps() if step["file"]}

    lines = [
        line for name in PARTS for line in written[name].splitlines() if line.strip()
    ]

    assert 20 < len(lines) < 40


@pytest.mark.slow
def test_the_walk_leads_where_it_says(tmp_path: Path):
    shop = tmp_path / "shop"
    (shop / "shop").mkdir(parents=True)
    (shop / "shop" / "__init__.py").touch()
    said = []
    with running_sandbox() as sandbox:
        env = clean_environment(
            DATA_DIR=str(tmp_path / "data"), DEBUG="true", SANDBOX_URL=sandbox.url
        )
        for step in steps():
            if step["file"]:
                (shop / step["file"]).write_text(step["code"])
            elif "manage.py sandbox" not in step["sh"]:
                said.append(_follow(step["sh"], shop, env))

    told = "\n".join(said)
    assert "Ran 1 test" in told
    assert "Would make 1 item of 1 subject." in told
    assert re.search(r"Run 1: 1 item of 1 product in 1 job", told)
    assert re.search(r"\[\('cup', .*COMPLETE", told)
    assert re.search(r"Run 3: 1 item of 1 (\w+ )*in 1 job", told)
    assert "shop_product" in _tables(tmp_path / "data" / "batchsite.sqlite3")


def _follow(script: str, shop: Path, env: dict[str, str]) -> str:
    """Run one block as it stands, with this Python and the app's real place."""
    script = script.replace("../shop", str(shop))
    if "BATCHSITE_APPS" not in script:
        script = f"export PYTHONPATH={shop} BATCHSITE_APPS=shop\n{script}"
    done = subprocess.run(
        ["sh", "-e", "-c", script.replace(".venv/bin/python", sys.executable)],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def _tables(database: Path) -> str:
    import sqlite3

    connection = sqlite3.connect(database)
    try:
        rows = connection.execute("SELECT name FROM sqlite_master").fetchall()
    finally:
        connection.close()
    return " ".join(name for (name,) in rows)


@pytest.mark.slow
def test_startworkload_writes_an_app_whose_test_passes(tmp_path: Path):
    env = clean_environment(
        DATA_DIR=str(tmp_path / "data"),
        DEBUG="true",
        PYTHONPATH=str(tmp_path),
    )

    said = _follow(
        f".venv/bin/python manage.py startworkload jottings {tmp_path}\n"
        "export BATCHSITE_APPS=jottings\n"
        ".venv/bin/python manage.py makemigrations --check --dry-run\n"
        ".venv/bin/python manage.py test jottings",
        tmp_path,
        env,
    )

    assert "No changes detected" in said
    assert "Ran 1 test" in said


def test_startworkload_refuses_a_name_that_is_none(tmp_path: Path):
    from django.core.management import CommandError, call_command

    with pytest.raises(CommandError, match="'my-work' is not a valid app name"):
        call_command("startworkload", "my-work", str(tmp_path))
