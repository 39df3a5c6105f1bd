"""Secrets are planted, everything is used, and whatever comes out is searched."""

import base64
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import httpx2
import psutil
import pytest

from batchsite.redaction import LineFormatter, harmless
from tests.processes import ROOT, clean_environment, free_port, manage
from tests.sandbox.fixtures import SandboxProcess, running_sandbox, wait_for

LESSONS = ROOT / "translations" / "lessons" / "content" / "lessons.jsonl"
PLANTED = {
    "SECRET_KEY": "planted-signing-key-0123456789-abcdefghijklmnopqrstuvwxyz",
    "OPENAI_API_KEY": "sk-planted-provider-key-77",
    "OPENAI_ADMIN_KEY": "sk-admin-planted-key-88",
    "OPENAI_WEBHOOK_SECRET": "whsec_"
    + base64.b64encode(b"planted-webhook-secret-9").decode(),
}
DATABASE_PASSWORD = "planted-database-pass-55"
MAIL_PASSWORD = "planted-mail-pass-66"
PASSWORD = "planted-user-pass-44"
OUR_KEY = "bs_0123456789." + "planted" * 6 + "k"

# --- error pages and log lines --------------------------------------------------------


@pytest.fixture
def planted(settings, tmp_path):
    settings.STATIC_ROOT = tmp_path  # Whitenoise warns of one that is not there
    for name, value in PLANTED.items():
        setattr(settings, name, value)
    settings.DATABASE_URL = f"postgres://me:{DATABASE_PASSWORD}@db.example/site"
    settings.REDIS_URL = f"redis://:{DATABASE_PASSWORD}@cache.example/0"
    settings.EMAIL_HOST_PASSWORD = MAIL_PASSWORD
    return [*PLANTED.values(), DATABASE_PASSWORD, MAIL_PASSWORD, PASSWORD, OUR_KEY]


def leaks(text: str, secrets) -> list[str]:
    return [secret for secret in secrets if secret in text]


def fail(request):
    """A view with each secret in a local variable, as code that uses them has it."""
    client = {"api_key": PLANTED["OPENAI_API_KEY"]}
    url = f"postgres://me:{DATABASE_PASSWORD}@db.example/site"
    text, password = OUR_KEY, PASSWORD
    raise RuntimeError(f"{len(client)} {len(url)} {len(text)} {len(password)}")


@pytest.mark.django_db
@pytest.mark.parametrize("debug", [True, False])
def test_an_error_page_shows_no_secret(
    client, settings, planted, monkeypatch, caplog, debug
):
    settings.DEBUG = debug
    settings.ROOT_URLCONF = "tests.failing_urls"
    client.raise_request_exception = False

    page = client.post(
        "/fail/?page=2",
        {"username": "amina", "password": PASSWORD},
        headers={"X-API-Key": OUR_KEY, "Authorization": f"Bearer {OUR_KEY}"},
    )

    html = page.content.decode()
    assert page.status_code == 500
    assert ("RuntimeError" in html) is debug
    assert "db.example" in html or not debug  # what is no secret is shown
    assert leaks(html, planted) == []
    assert leaks(caplog.text, planted) == []


def test_a_log_line_shows_no_secret(planted):
    try:
        raise ValueError(f"refused: {PLANTED['OPENAI_API_KEY']}")
    except ValueError:
        record = logging.LogRecord(
            *("batches", logging.ERROR, __file__, 1, "key %s, %s"),
            args=(OUR_KEY, DATABASE_PASSWORD),
            exc_info=sys.exc_info(),
        )

    line = LineFormatter("{levelname} {message}", style="{").format(record)

    assert "ERROR key ****" in line and "ValueError" in line
    assert leaks(line, planted) == []


def test_what_is_short_or_empty_is_no_secret(settings):
    settings.OPENAI_API_KEY, settings.SECRET_KEY = "", "a"

    assert harmless("a plain line") == "a plain line"


# --- a whole installation -------------------------------------------------------------


class Site:
    """`up` with secrets in its environment; `said` is all that it put out."""

    def __init__(self, data: Path, database_url: str, provider: SandboxProcess):
        self.port, self.log = free_port(), data / "up.log"
        parts = urlsplit(database_url)
        host = parts.netloc.rpartition("@")[2]
        user = parts.username or psutil.Process().username()
        there = parts._replace(netloc=f"{user}:{DATABASE_PASSWORD}@{host}")
        self.env = clean_environment(
            **PLANTED,
            DATA_DIR=str(data),
            DATABASE_URL=urlunsplit(there),
            EMAIL_URL=f"smtp://me:{MAIL_PASSWORD}@127.0.0.1:{free_port()}",
            ALERT_EMAILS="ops@example.org",
            OPENAI_BASE_URL=provider.url,
            LOG_LEVEL="DEBUG",
            SECURE_SSL_REDIRECT="false",
            DJANGO_SUPERUSER_PASSWORD=PASSWORD,
        )
        self.said: dict[str, str] = {}
        self.http = httpx2.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=60)

    def manage(self, *arguments: str, fails: bool = False, **env: str) -> str:
        done = manage(*arguments, env={**self.env, **env})
        assert (done.returncode != 0) is fails, done.stderr
        place = " ".join(arguments[:2])
        self.said[f"manage.py {place} {env}"] = done.stdout + done.stderr
        return done.stdout

    @contextmanager
    def running(self) -> Iterator[None]:
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [
                    *(sys.executable, "manage.py", "up", "--no-input"),
                    f"--port={self.port}",
                ],
                cwd=ROOT,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            wait_for(self.answers, seconds=60)
            yield
            everyone = [process.pid]
            everyone += [
                child.pid for child in psutil.Process(process.pid).children(True)
            ]
            self.said["arguments of processes"] = "\n".join(
                " ".join(psutil.Process(pid).cmdline()) for pid in everyone
            )
        finally:
            self.http.close()
            process.terminate()
            process.wait(60)
        self.said["log"] = self.log.read_text()

    def answers(self) -> bool:
        try:
            return self.http.get("/admin/login/").status_code == 200
        except httpx2.TransportError:
            return False

    def get(self, path: str, **headers: str) -> httpx2.Response:
        answer = self.http.get(path, headers=headers)
        self.said[f"GET {path}"] = f"{answer.headers} {answer.text}"
        return answer

    def post(self, path: str, **given) -> httpx2.Response:
        answer = self.http.post(path, **given)
        self.said[f"POST {path} {len(self.said)}"] = f"{answer.headers} {answer.text}"
        return answer

    def sign_in(self, **fields: str) -> httpx2.Response:
        self.http.get("/admin/login/")
        token = self.http.cookies["csrftoken"]
        fields["csrfmiddlewaretoken"] = token
        return self.post("/admin/login/?next=/admin/", data=fields)


ROWS = """
from django.contrib import admin
from django.urls import reverse
for model in admin.site._registry:
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
    print(reverse(f"{name}_changelist"))
    row = model._default_manager.first()
    if row:
        print(reverse(f"{name}_change", args=[row.pk]))
"""
ENDPOINT = """
from batches.models import WebhookEndpoint
from batches.services.webhooks import create_endpoint
made = WebhookEndpoint(name="site", url="https://example.org/", kinds=["run.finished"])
print(create_endpoint(made, by="test"))
"""


def use(site: Site) -> tuple[str, str]:
    """Everything once; the key and the webhook's secret that were made meanwhile."""
    site.manage("createsuperuser", "--no-input", "--username=root", "--email=a@b.so")
    key = site.manage("create_api_key", "x", "--scopes=admin").strip()
    secret = site.manage("shell", "-v0", "-c", ENDPOINT).strip()
    site.said.clear()  # these two print what they made, once
    site.manage("import_content", "lessons", str(LESSONS))
    headers = {"X-API-Key": key}
    made = site.post(
        "/api/admin/batch-jobs/translation", json={"limit": 2}, headers=headers
    ).json()
    run = f"/api/admin/batch-jobs/{made['runId']}"

    def is_done() -> bool:
        for act in ("check-status", "process-results"):
            site.http.post(f"{run}/{act}", headers=headers)
        return site.get(run, **headers).json()["job"]["status"] == "completed"

    wait_for(is_done, seconds=60)
    site.sign_in(username=PASSWORD, password="x")
    site.said.popitem()  # the form, which shows what was typed to whoever typed it
    site.sign_in(username="root", password=f"{PASSWORD}!")
    site.post("/api/admin/batch-jobs/translation", json={"limit": PASSWORD})
    site.get("/api/admin/batch-jobs", **{"X-API-Key": f"{key}x"})
    site.post("/api/webhooks/openai", content=b"{}", headers={"webhook-id": "1"})
    assert site.sign_in(username="root", password=PASSWORD).status_code == 302
    pages = site.manage("shell", "-v0", "-c", ROWS).split()
    assert len(pages) > 60
    for path in [
        *pages,
        "/admin/batches/auditentry/export/",
        "/admin/batches/hourlyusage/cost/?format=csv",
        "/api/openapi.json",
        "/api/admin/batch-monitoring?includeDetails=true",
        "/api/admin/batch-monitoring/config",
        "/api/admin/batch-monitoring/export",
        "/api/admin/audit",
        f"{run}?content=true",
    ]:
        assert site.get(path).status_code == 200, path
    return key, secret


@pytest.mark.slow
def test_no_secret_leaves_a_whole_installation(tmp_path, postgres_url):
    with running_sandbox(
        "--api-key-env=ITS_KEY",
        "--responder=sample",
        env={"ITS_KEY": PLANTED["OPENAI_API_KEY"], "LOG_LEVEL": "DEBUG"},
    ) as provider:
        site = Site(tmp_path, postgres_url, provider)
        site.manage("migrate", "-v0")
        with site.running():
            key, webhook_secret = use(site)
        site.manage("explain", "run", "1")
        site.manage("explain", "job", "1", "--json")
        site.manage("usage_report", "--format=json")
        site.manage("run_workload", "translation", "--limit=1", "--dry-run")
        dump = site.manage("dumpdata", "--exclude=batches.webhookendpoint")
        site.manage(
            *("process_batches", "--traceback"),
            OPENAI_BASE_URL=f"http://127.0.0.1:{free_port()}/v1",
        )
        broken = site.env["DATABASE_URL"].replace(":5432", f":{free_port()}")
        site.manage("migrate", fails=True, DATABASE_URL=broken)
        for name in ("DATABASE_URL", "EMAIL_URL"):
            site.manage("check", fails=True, **{name: f"x{site.env[name]}"})
        site.said["the provider's log"] = "".join(provider.log)
        site.said["the provider's files"] = "".join(
            path.read_bytes().decode("latin-1")
            for path in provider.directory.rglob("*")
            if path.is_file()
        )
        site.said["the spool and what else is kept"] = "".join(
            path.read_bytes().decode("latin-1")
            for path in tmp_path.rglob("*")
            if path.is_file()
        )

    secrets = {
        **PLANTED,
        "the database's password": DATABASE_PASSWORD,
        "the mail server's password": MAIL_PASSWORD,
        "a user's password": PASSWORD,
        "a key of ours": key,
        "a webhook's secret": webhook_secret,
    }
    found = [
        f"{name} is in {place}"
        for place, text in site.said.items()
        for name, secret in secrets.items()
        if secret in text
    ]
    assert json.loads(dump)
    assert "[Batch API] Submitted job" in site.said["log"]
    assert found == []
