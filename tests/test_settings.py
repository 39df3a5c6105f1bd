"""Settings: written down in three places alike, and refused in one sentence."""

import ast
import os
import re
import runpy
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from django.core.checks import CheckMessage
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from batches.config import OVERRIDABLE
from batchsite.checks import check_settings
from tests.processes import ROOT, clean_environment, manage

ROW = re.compile(
    r"^\| `([A-Z_]+)`( \\\*)? \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE
)
EXAMPLE = re.compile(r"^([A-Z_]+)=(.*)$", re.MULTILINE)
UNKNOWN = object()  # a default that is no literal


def settings_read() -> dict[str, object]:
    """{variable: its default} of every typed read in the settings module."""
    tree = ast.parse((ROOT / "batchsite" / "settings.py").read_text())
    found: dict[str, object] = {}
    for call in ast.walk(tree):
        if not (
            isinstance(call, ast.Call)
            and isinstance(call.func, ast.Attribute)
            and isinstance(call.func.value, ast.Name)
            and call.func.value.id == "env"
            and call.args
            and isinstance(call.args[0], ast.Constant)
        ):
            continue
        given = [*call.args[1:], *(keyword.value for keyword in call.keywords)]
        try:
            found[call.args[0].value] = ast.literal_eval(given[-1])
        except (IndexError, ValueError):
            found[call.args[0].value] = UNKNOWN
    return found


@dataclass(frozen=True)
class Row:
    """One row of the table of settings, as written there."""

    name: str
    can_be_overridden: bool
    kind: str
    default: str
    meaning: str


def table() -> dict[str, Row]:
    """The table of docs/settings.md; a setting that stands there twice is an error."""
    found = ROW.findall((ROOT / "docs" / "settings.md").read_text())
    rows = {name: Row(name, bool(star), *rest) for name, star, *rest in found}
    assert len(rows) == len(found)
    return rows


def example_file() -> dict[str, str]:
    return dict(EXAMPLE.findall((ROOT / ".env.example").read_text()))


def as_text(value: object) -> str:
    """A default as a person writes it into the environment."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ",".join(value)
    return str(value)


def test_settings_table_and_example_file_name_the_same_variables():
    read = set(settings_read())

    assert len(read) > 20
    assert set(table()) == read
    assert set(example_file()) == read


def test_no_other_page_has_a_table_of_settings():
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        if page.name != "settings.md":
            named = {name for name, *_ in ROW.findall(page.read_text())}
            assert not named & set(settings_read()), page.name


def test_readme_names_a_dozen_settings_to_begin_with():
    section = (ROOT / "README.md").read_text().split("\n### First settings\n")[1]
    named = re.findall(r"`([A-Z_]{4,})`", section.split("\n### ")[0])

    assert len(named) == len(set(named)) <= 12
    assert set(named) <= set(settings_read())


def test_table_and_example_file_show_the_defaults_that_the_settings_have():
    rows, example = table(), example_file()

    for name, default in settings_read().items():
        if default is UNKNOWN or as_text(default) == "":
            continue
        assert rows[name].default == f"`{as_text(default)}`", name
        assert example[name] == as_text(default), name


def test_the_table_says_the_meaning_and_what_can_be_changed_while_running():
    for name, row in table().items():
        assert row.meaning.endswith("."), name
        assert row.can_be_overridden == (name in OVERRIDABLE), name


def test_the_example_file_starts_as_it_is(tmp_path):
    file = tmp_path / ".env"
    file.write_text((ROOT / ".env.example").read_text())

    # The file's own empty ENV_FILE and DATA_DIR count as none; the environment wins.
    done = manage(
        "check",
        env=clean_environment(ENV_FILE=str(file), DATA_DIR=str(tmp_path / "data")),
    )

    assert done.returncode == 0, done.stderr


def read(tmp_path: Path, **variables: str) -> dict[str, Any]:
    """The settings as a process with these variables has them; its data lies in
    `tmp_path`."""
    environment = clean_environment(DATA_DIR=str(tmp_path / "data"), **variables)
    with patch.dict(os.environ, environment, clear=True):
        return runpy.run_path(str(ROOT / "batchsite" / "settings.py"))


def refusal(tmp_path: Path, **variables: str) -> str:
    """The sentence with which the start is refused."""
    with pytest.raises(ImproperlyConfigured) as caught:
        read(tmp_path, **variables)
    return str(caught.value)


def shown(tmp_path: Path, *names: str, **variables: str) -> list[str]:
    """Settings as a process with these variables has them, as text."""
    found = read(tmp_path, **variables)
    return [str(found[name]) for name in names]


def complaints(tmp_path: Path, *names: str, **variables: str) -> list[CheckMessage]:
    """What the checks at the start say of these settings."""
    found = read(tmp_path, **variables)
    with override_settings(**{name: found[name] for name in names}):
        return check_settings()


# --- What a person sees who starts it -------------------------------------------------


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        (
            {"BATCH_MAX_REQUESTS": "abc"},
            "BATCH_MAX_REQUESTS is 'abc' in the environment; it must be a whole "
            "number.",
        ),
        (
            {"BATCH_MAX_REQUESTS": "50001"},
            "BATCH_MAX_REQUESTS is 50001; it must be a whole number from 1 to 50000.",
        ),
    ],
)
def test_a_wrong_setting_stops_every_command_without_a_traceback(
    tmp_path, variables, said
):
    env = clean_environment(DATA_DIR=str(tmp_path / "data"), **variables)

    done = manage("check", env=env)

    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_what_cannot_be_read_at_all_is_one_line(tmp_path):
    env = clean_environment(DATA_DIR=str(tmp_path / "data"), DEBUG="false")

    done = manage("check", env=env)

    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr


# --- The secret key -------------------------------------------------------------------


def test_a_trial_makes_its_key_once_and_only_its_user_can_read_it(tmp_path):
    first = shown(tmp_path, "SECRET_KEY")
    file = tmp_path / "data" / "secret_key"
    mode = stat.S_IMODE(file.stat().st_mode)
    second = shown(tmp_path, "SECRET_KEY")

    assert first == second == [file.read_text()]
    assert len(file.read_text()) >= 50
    assert mode == 0o600
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["secret_key"]


@pytest.mark.parametrize(
    "variables",
    [
        {"DATABASE_URL": "postgres://batchsite@127.0.0.1:5432/batchsite"},
        {"DATABASE_URL": "sqlite:////tmp/batchsite.sqlite3", "DEBUG": "true"},
        {"DEBUG": "false"},
        {"DEBUG": "false", "SECRET_KEY": " "},
    ],
)
def test_without_a_key_anything_but_a_trial_is_stopped_with_one_sentence(
    tmp_path, variables
):
    assert refusal(tmp_path, **variables).startswith("SECRET_KEY is not set. ")
    assert not (tmp_path / "data").exists()


def test_a_given_key_is_taken_as_it_is_whatever_it_begins_with(tmp_path):
    assert shown(tmp_path, "SECRET_KEY", SECRET_KEY="$dollar") == ["$dollar"]
    assert not (tmp_path / "data" / "secret_key").exists()


# --- Values of the wrong kind ---------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("BATCH_MAX_REQUESTS", "abc", "a whole number"),
        ("BATCH_MIN_SIZE", "1.5", "a whole number"),
        ("STAGING", "maybe", "true or false"),
        ("LOG_LEVEL", "LOUD", "one of DEBUG, INFO, WARNING, ERROR, CRITICAL"),
        ("TIME_ZONE", "Africa", "a time zone such as Africa/Mogadishu"),
        (
            *("TRUSTED_PROXIES", "10.0.0"),
            "addresses or networks such as 10.0.0.5, 10.1.0.0/16",
        ),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused_by_name_and_value(
    tmp_path, name, value, expected
):
    said = refusal(tmp_path, **{name: value})

    assert said == f"{name} is {value!r} in the environment; it must be {expected}."


@pytest.mark.parametrize(
    "url",
    [
        "nonsense",
        "mysql://root:hidden@localhost/batchsite",
        "postgres://root:hidden@localhost:port/batchsite",
    ],
)
def test_an_address_of_no_database_is_refused_without_repeating_its_password(
    tmp_path, url
):
    said = refusal(tmp_path, DATABASE_URL=url, SECRET_KEY="s")

    assert said.startswith("DATABASE_URL is no database's address")
    assert "hidden" not in said


def test_an_app_that_is_not_there_is_named(tmp_path):
    assert "'no_such_app'" in refusal(tmp_path, BATCHSITE_APPS="no_such_app")


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("BATCH_MAX_REQUESTS", "50001", "a whole number from 1 to 50000"),
        ("BATCH_MIN_SIZE", "-1", "a whole number from 1 to 50000"),
        ("LEASE_SECONDS", "0", "a whole number from 5 to 3600"),
        ("SECURE_HSTS_SECONDS", "-1", "a number of seconds, 0 or more"),
        ("EVENT_STREAMS", "-1", "a number of streams, 0 or more; 0 pushes nothing"),
        (
            "CHAT_CATEGORIES",
            "one|one",
            "academy, staff, or 2 to 48 categories with | between them, each once",
        ),
        ("CHAT_STAFF_LANGUAGE", "Klingon", "a language tag such as en or nl"),
    ],
)
def test_a_value_out_of_its_range_is_refused_by_name_and_value(
    tmp_path, name, value, expected
):
    (complaint,) = complaints(tmp_path, name, **{name: value})

    assert complaint.msg == f"{name} is {value}; it must be {expected}."


def test_an_empty_value_is_none(tmp_path):
    names = [name for name in settings_read() if name not in ("ENV_FILE", "DATA_DIR")]

    shown_empty = shown(
        tmp_path, "BATCH_MAX_REQUESTS", "DEBUG", **dict.fromkeys(names, "")
    )

    assert shown_empty == ["1000", "True"]


# --- Which provider -------------------------------------------------------------------

PROVIDER = ("BATCH_PROVIDER", "OPENAI_API_KEY", "OPENAI_BASE_URL")
OPENAI = "https://api.openai.com/v1"
PROXY = "https://models.example.com/v1"


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, ["sandbox", "", OPENAI]),
        ({"OPENAI_API_KEY": "first"}, ["openai", "first", OPENAI]),
        ({"AI_INTEGRATIONS_OPENAI_API_KEY": "second"}, ["openai", "second", OPENAI]),
        (
            {"OPENAI_API_KEY": "first", "AI_INTEGRATIONS_OPENAI_API_KEY": "second"},
            ["openai", "first", OPENAI],
        ),
        (
            {
                "AI_INTEGRATIONS_OPENAI_API_KEY": "second",
                "AI_INTEGRATIONS_OPENAI_BASE_URL": PROXY,
            },
            ["openai", "second", PROXY],
        ),
        (
            {"OPENAI_API_KEY": "first", "AI_INTEGRATIONS_OPENAI_BASE_URL": PROXY},
            ["openai", "first", OPENAI],
        ),
        (
            {"OPENAI_API_KEY": "first", "BATCH_PROVIDER": ""},
            ["openai", "first", OPENAI],
        ),
        (
            {"OPENAI_API_KEY": "first", "BATCH_PROVIDER": "sandbox"},
            ["sandbox", "first", OPENAI],
        ),
    ],
)
def test_a_key_chooses_openai_unless_the_sandbox_is_named(
    tmp_path, variables, expected
):
    assert shown(tmp_path, *PROVIDER, **variables) == expected


@pytest.mark.parametrize(
    ("provider", "said"),
    [
        ("openai", "BATCH_PROVIDER is openai, but there is no key."),
        ("opnai", "BATCH_PROVIDER is 'opnai'; it must be one of openai, sandbox."),
    ],
)
def test_a_provider_that_cannot_be_used_stops_the_start(tmp_path, provider, said):
    (complaint,) = complaints(tmp_path, *PROVIDER, BATCH_PROVIDER=provider)

    assert complaint.msg.startswith(said)
