"""The audit log: what goes into it by itself, what it refuses, and how it is read."""

import csv
import io
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.test import Client, RequestFactory
from django.utils import timezone

from batches.api.audit.addresses import client_address
from batches.errors import AuditIsFixed
from batches.models import AuditEntry
from batches.services import events
from batches.services.asking import Asking, asked_by
from batches.services.events import audit, audit_counted
from batches.signals import login_throttled
from batches.states import AuditKind, AuditOutcome
from tests.api.conftest import Caller

pytestmark = pytest.mark.django_db

LOG = "/api/admin/audit"
LOGIN = "/admin/login/"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
BLOCKED, FAILURE = AuditOutcome.BLOCKED, AuditOutcome.FAILURE


@pytest.fixture
def auditor(document, make_user):
    user = make_user("hodan")
    user.groups.add(Group.objects.get(name="auditor"))
    client = Client(enforce_csrf_checks=True)
    client.force_login(user)
    return Caller(document, client)


def refuse(actor="amina", address="192.0.2.1", now=NOON, outcome=BLOCKED):
    with asked_by(Asking(address=address)):
        audit_counted(
            "denied", actor=actor, kind=AuditKind.DENIAL, outcome=outcome, now=now
        )


# --- it only grows --------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        lambda entry: entry.delete(),
        lambda entry: entry.save(),
        lambda entry: AuditEntry.objects.all().delete(),
        lambda entry: AuditEntry.objects.filter(pk=entry.pk).update(actor="x"),
        lambda entry: AuditEntry.objects.bulk_update([entry], ["actor"]),
        lambda entry: AuditEntry.objects.update_or_create(
            pk=entry.pk, defaults={"actor": "x"}
        ),
        lambda entry: AuditEntry.objects.all()._raw_delete("default"),
    ],
)
def test_an_entry_is_never_changed_and_never_deleted(change):
    audit("run.cancel", actor="amina")
    entry = AuditEntry.objects.get()
    entry.actor = "somebody else"

    with pytest.raises(AuditIsFixed, match="only grows"):
        change(entry)

    assert AuditEntry.objects.get().actor == "amina"


def test_the_admin_neither_changes_nor_deletes_it(admin_client):
    audit("run.cancel", actor="amina")
    page = f"/admin/batches/auditentry/{AuditEntry.objects.get().pk}"

    assert admin_client.post(f"{page}/delete/", {"post": "yes"}).status_code == 403
    assert admin_client.post(f"{page}/change/", {"actor": "x"}).status_code == 403

    assert AuditEntry.objects.get(action="run.cancel").actor == "amina"


# --- a flood is a few rows ------------------------------------------------------------


def test_refusals_of_one_minute_actor_and_address_are_one_row_with_a_count():
    for seconds in range(3):
        refuse(now=NOON + timedelta(seconds=seconds))
    refuse(now=NOON + timedelta(minutes=1))
    refuse(actor="bilan")
    refuse(address="192.0.2.2")

    counts = AuditEntry.objects.order_by("pk").values_list("count", flat=True)
    assert list(counts) == [3, 1, 1, 1]


def test_a_network_of_ipv6_counts_as_one_address():
    for last in range(5):
        refuse(address=f"2001:db8:0:1::{last}")
    refuse(address="2001:db8:0:2::1")

    counts = AuditEntry.objects.order_by("pk").values_list("count", flat=True)
    assert list(counts) == [5, 1]


def test_a_flood_from_everywhere_is_bounded_and_still_counted():
    for number in range(200):
        refuse(address=str(ip_address("198.51.100.0") + number))

    assert AuditEntry.objects.count() == events.MOST_ROWS_A_MINUTE + 1
    rest = AuditEntry.objects.get(action="flood")
    assert (rest.actor, rest.address, rest.outcome) == ("many", "", BLOCKED)
    assert rest.count == 200 - events.MOST_ROWS_A_MINUTE


# --- sign-ins -------------------------------------------------------------------------


def sign_in(name="amina", **given):
    data = {"username": name, "password": "x", **given}
    return Client().post(LOGIN, data)


def test_sign_in_and_sign_out_are_entries(make_user):
    make_user()
    client = Client()

    client.post(LOGIN, {"username": "amina", "password": "x"})
    client.post("/admin/logout/")

    kept = AuditEntry.objects.order_by("pk")
    assert [(one.action, one.actor, one.outcome) for one in kept] == [
        ("session.login", "amina", "SUCCESS"),
        ("session.logout", "amina", "SUCCESS"),
    ]
    assert {one.address for one in kept} == {"127.0.0.1"}
    assert {one.kind for one in kept} == {AuditKind.SIGN_IN}


def test_failed_sign_ins_are_counted_under_the_name_that_was_tried(make_user):
    make_user()

    for _ in range(3):
        assert sign_in(password="wrong").status_code == 200

    entry = AuditEntry.objects.get()
    assert (entry.action, entry.actor, entry.outcome) == (
        "session.login",
        "amina",
        FAILURE,
    )
    assert entry.count == 3


def test_a_password_in_the_field_for_the_name_is_not_written_down(make_user):
    make_user()

    sign_in(name="correct horse battery", password="amina")
    sign_in(name="nul\0", password="x")

    assert "horse" not in str(AuditEntry.objects.values())
    assert set(AuditEntry.objects.values_list("actor", flat=True)) == {
        "an unknown name"
    }


def test_a_sign_in_that_was_throttled_is_an_entry(make_user, rf):
    make_user()

    with asked_by(Asking(address="192.0.2.1")):
        login_throttled.send(None, request=rf.post(LOGIN), username="amina", seconds=60)

    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.outcome) == ("amina", AuditOutcome.RATE_LIMITED)


# --- refusals -------------------------------------------------------------------------


def refusal() -> tuple[str, str, str]:
    entry = AuditEntry.objects.exclude(action="api_key.create").get()
    assert (entry.action, entry.outcome) == ("denied", BLOCKED)
    return entry.actor, entry.target, entry.message.partition(" ")[0]


def test_a_stranger_is_refused_and_written_down(anonymous):
    anonymous.get("/api/admin/batch-jobs")

    assert refusal() == ("anonymous", "GET /api/admin/batch-jobs", "401")


def test_a_key_without_the_scope_is_named(with_key):
    with_key("read").post("check-all-status")

    actor, target, status = refusal()
    assert actor.startswith("key:program")
    assert (target, status) == ("POST /api/admin/batch-jobs/check-all-status", "403")


def test_a_wrong_key_is_not_written_down(document):
    client = Caller(document, Client(headers={"X-API-Key": "bs_secret-of-somebody"}))

    client.get("/api/admin/batch-jobs")

    assert refusal()[0] == "anonymous"
    assert "secret-of" not in str(AuditEntry.objects.values())


def test_another_users_job_is_a_refusal_and_a_job_that_is_not_is_none(
    with_key, make_user
):
    mine = with_key("submit", owner=make_user("amina"))
    theirs = with_key("read", owner=make_user("bilan"))
    order = {"words": ["calm"], "features": {"etymology": True}}
    job = mine.post("/api/v1/ai/batch", order).json()["jobId"]
    nobodys = "0" * 8 + job[8:]

    assert theirs.get(f"/api/v1/ai/batch/{nobodys}").status_code == 404
    assert not AuditEntry.objects.filter(outcome=BLOCKED).exists()
    assert theirs.get(f"/api/v1/ai/batch/{job}").status_code == 404

    entry = AuditEntry.objects.get(outcome=BLOCKED)
    assert entry.target == f"GET /api/v1/ai/batch/{job}"
    assert entry.actor.startswith("key:program 1")


def test_the_admin_writes_down_whom_it_refuses(make_user, client):
    client.force_login(make_user())
    assert client.get("/admin/batches/auditentry/").status_code == 403
    client.force_login(make_user("bilan", is_staff=False))
    assert client.get("/admin/").status_code == 302

    kept = AuditEntry.objects.order_by("pk").values_list("actor", "message", "target")
    assert list(kept) == [
        ("amina", "403 Forbidden", "GET /admin/batches/auditentry/"),
        ("bilan", "302 Found", "GET /admin/"),
    ]


def test_a_form_without_its_token_is_refused_and_written_down(make_user):
    client = Client(enforce_csrf_checks=True)
    client.force_login(make_user())

    assert client.post("/admin/logout/").status_code == 403

    assert refusal() == ("amina", "POST /admin/logout/", "403")


def test_an_address_that_is_not_there_is_no_refusal(client):
    client.get("/api/nothing")
    client.get("/admin/nothing/")

    assert not AuditEntry.objects.exists()


@pytest.mark.parametrize("path", ["%00", "x" * 3000, "%ff%fe", "%ED%A0%80"])
def test_whatever_is_in_an_address_is_written_down(anonymous, path):
    assert anonymous.client.get(f"/api/chats/{path}").status_code == 401

    assert refusal()[1].startswith("GET /api/chats/")


def test_an_act_that_fails_is_written_down(program):
    program.post("/api/admin/batch-jobs/translation", {"limit": 0})

    entry = AuditEntry.objects.get(outcome=FAILURE)
    assert entry.action == "api.create_translation"
    assert entry.message == "400 Bad Request"


# --- from where -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trusted", "peer", "forwarded", "address"),
    [
        ([], "10.0.0.1", "203.0.113.9", "10.0.0.1"),
        (["10.0.0.0/8"], "10.0.0.1", "203.0.113.9", "203.0.113.9"),
        (["10.0.0.0/8"], "10.0.0.1", "1.2.3.4, 203.0.113.9", "203.0.113.9"),
        (["10.0.0.0/8"], "10.0.0.1", "203.0.113.9, 10.0.0.2", "203.0.113.9"),
        (["10.0.0.0/8"], "192.0.2.1", "203.0.113.9", "192.0.2.1"),
        (["10.0.0.0/8"], "10.0.0.1", "", "10.0.0.1"),
        (["10.0.0.0/8"], "10.0.0.1", "<script>", "10.0.0.1"),
        (["::1"], "::1", "2001:db8::1", "2001:db8::1"),
        ([], "::ffff:192.0.2.1", "", "192.0.2.1"),
        ([], "", "203.0.113.9", ""),
    ],
)
def test_only_trusted_proxies_are_believed(settings, trusted, peer, forwarded, address):
    settings.TRUSTED_PROXIES = trusted
    request = RequestFactory().get(
        "/", REMOTE_ADDR=peer, HTTP_X_FORWARDED_FOR=forwarded
    )

    assert client_address(request) == address


def test_what_services_write_has_the_address_of_the_request(with_key, settings):
    settings.TRUSTED_PROXIES = ["127.0.0.1"]
    caller = with_key("operate")

    caller.post(
        "/api/admin/steering",
        {"act": "pause", "account": "acme"},
        X_Forwarded_For="203.0.113.9",
    )

    assert AuditEntry.objects.get(action="hold.raise").address == "203.0.113.9"


# --- reading it -----------------------------------------------------------------------


@pytest.fixture
def some_entries(db):
    """Oldest first: a cancelled run, a refusal, and a name that is a formula."""
    audit("run.cancel", actor="amina", target="run 1", before={"status": "pending"})
    refuse(actor="bilan")
    audit("run.pause", actor="=1+1", target="run 2")


def found(caller, **search):
    text = "&".join(f"{name}={value}" for name, value in search.items())
    answer = caller.get(f"{LOG}?{text}")
    assert answer.status_code == 200, answer.content
    return [entry["action"] for entry in answer.json()["entries"]]


def test_it_is_searched_by_each_of_its_parts(auditor, some_entries):
    since = timezone.now() - timedelta(hours=1)
    stamp = since.isoformat().replace("+", "%2B")

    assert found(auditor) == ["run.pause", "denied", "run.cancel"]
    assert found(auditor, actor="amina") == ["run.cancel"]
    assert found(auditor, address="192.0.2.1") == ["denied"]
    assert found(auditor, action="run.") == ["run.pause", "run.cancel"]
    assert found(auditor, target="run 1") == ["run.cancel"]
    assert found(auditor, outcome="BLOCKED") == ["denied"]
    assert found(auditor, kind="denial") == ["denied"]
    assert found(auditor, since=stamp) == ["run.pause", "run.cancel"]
    assert found(auditor, until=stamp) == ["denied"]


def test_pages_follow_each_other_by_key(auditor, some_entries):
    first = auditor.get(f"{LOG}?limit=2").json()
    audit("run.resume", actor="amina")  # new ones move no page
    second = auditor.get(f"{LOG}?limit=2&cursor={first['nextCursor']}").json()

    assert [one["action"] for one in first["entries"]] == ["run.pause", "denied"]
    assert [one["action"] for one in second["entries"]] == ["run.cancel"]
    assert second["nextCursor"] is None
    assert second["entries"][0]["before"] == {"status": "pending"}


def test_no_page_counts_the_log(auditor, some_entries, django_assert_max_num_queries):
    with django_assert_max_num_queries(6) as queries:
        auditor.get(LOG)

    assert not [one for one in queries if "COUNT(" in one["sql"]]


@pytest.mark.parametrize(
    "wrong",
    ["cursor=x", "limit=0", "limit=201", "outcome=maybe", "since=today"],
)
def test_a_search_that_is_none_is_refused_by_name(auditor, wrong):
    answer = auditor.get(f"{LOG}?{wrong}")

    assert answer.status_code == 400
    assert wrong.partition("=")[0] in answer.json()["detail"]


@pytest.mark.parametrize("path", [LOG, f"{LOG}/export"])
def test_it_is_for_auditors(signed_in, anonymous, with_key, make_user, path):
    assert anonymous.get(path).status_code == 401
    assert signed_in(name="amina", is_staff=False).get(path).status_code == 403
    assert signed_in(name="bilan").get(path).status_code == 403
    assert with_key("operate").get(path).status_code == 403
    assert with_key("admin", owner=make_user("cawo")).get(path).status_code == 403
    assert signed_in(name="root", is_superuser=True).get(path).status_code == 200
    assert with_key("admin", "read").get(path).status_code == 200


def rows_of(response):
    text = b"".join(response.streaming_content).decode()
    return list(csv.DictReader(io.StringIO(text)))


def test_the_export_streams_what_was_searched_for_without_formulas(
    auditor, some_entries
):
    answer = auditor.get(f"{LOG}/export?action=run.")

    assert "attachment" in answer["Content-Disposition"]
    rows = rows_of(answer)
    assert [(row["actor"], row["target"]) for row in rows] == [
        ("'=1+1", "run 2"),
        ("amina", "run 1"),
    ]
    assert rows[1]["before"] == '{"status": "pending"}'


def test_the_admin_exports_what_its_list_shows(admin_client, some_entries):
    url = "/admin/batches/auditentry/"

    page = admin_client.get(f"{url}?action_is=run.&since=2026-03-02").content.decode()
    answer = admin_client.get(f"{url}export/?action_is=run.&since=2026-03-02")

    assert "run.cancel" in page and "denied" not in page
    assert 'href="/admin/batches/auditentry/export/?action_is=run.' in page
    assert [row["action"] for row in rows_of(answer)] == ["run.pause", "run.cancel"]


def test_looks_at_the_desk_are_one_entry_a_minute(admin_client, monkeypatch):
    monkeypatch.setattr(events.timezone, "now", lambda: NOON)

    for _ in range(3):
        admin_client.get("/admin/")

    entry = AuditEntry.objects.get(action="batch_monitoring_access")
    assert (entry.count, entry.kind) == (3, AuditKind.PLATFORM_ADMIN)
    assert entry.message == "Admin accessed batch monitoring dashboard"
    assert get_user_model().objects.get().username == entry.actor
