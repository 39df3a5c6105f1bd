"""The pages of chats: lists, a session with its transcript and analysis, exports."""

import pytest
from django.contrib.auth.models import Group, Permission
from django.core.files.uploadedfile import SimpleUploadedFile

from tests.chats.conftest import CONTENT
from tests.chats.test_pipeline import EXAMPLES, PLAIN, ask, asking, store
from translations.chats.models import ChatSession, Question
from translations.chats.showing import marked

pytestmark = pytest.mark.django_db

BASE = "/admin/translations_chats"


def read(client, path):
    answer = client.get(f"{BASE}/{path}")
    assert answer.status_code == 200, path
    return answer.content.decode()


def test_a_session_shows_transcript_and_analysis_with_the_evidence_marked(
    sandbox, samples, admin_client
):
    ask()
    store(samples[0], EXAMPLES["chat-01"])

    page = read(admin_client, f"chatsession/{samples[0].pk}/change/")

    quote = "Saddex jeer ayaan idiin soo qoray oo cidna iima soo jawaabin!"
    assert f"<mark>{quote}</mark>" in page
    assert '<a href="#message-2">2</a>' in page
    assert 'dir="auto"' in page
    assert "side-by-side" in page
    assert "The automatic checks found nothing." in page
    assert "<style" not in page
    assert " style=" not in page


def test_what_people_and_models_write_is_escaped(sandbox, make_sessions, admin_client):
    text = "<script>alert(1)</script> when does it start?"
    (session,) = make_sessions(
        {"id": "<b>x</b>", "messages": [{"role": "user", "text": text}]}
    )
    ask()
    evidence = [{"label": "category", "message_index": 0, "quote": "alert(1)</script>"}]
    questions = [asking("<i>When</i> does it start?")]
    summary = "<u>Asks</u> when the course starts and has no answer until now."
    said = {"evidence": evidence, "questions": questions, "summary": summary}
    store(session, {**PLAIN, **said})

    question = Question.objects.get()
    for path in (
        "chatsession/",
        f"chatsession/{session.pk}/change/",
        f"analysis/{session.analysis_id}/change/",
        "analysis/",
        "question/",
        f"question/{question.pk}/change/",
    ):
        page = read(admin_client, path)
        for tag in ("<script>alert", "<b>x", "<i>When", "<u>Asks"):
            assert tag not in page, path


def test_what_was_masked_is_shown_to_those_alone_who_may_see_it(
    sandbox, samples, client, django_user_model
):
    user = django_user_model.objects.create_user("reader", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_chatsession"))
    client.force_login(user)
    path = f"chatsession/{samples[5].pk}/change/"

    page = read(client, path)
    assert "[EMAIL_1]" in page
    assert "amina.test@example.com" not in page

    user.groups.add(Group.objects.get(name="reviewer"))
    assert "amina.test@example.com" in read(client, path)


def test_the_list_begins_with_what_needs_a_person_and_costs_few_queries(
    sandbox, samples, admin_client, django_assert_max_num_queries
):
    ask()
    store(samples[5], EXAMPLES["chat-06"])

    with django_assert_max_num_queries(9):
        page = read(admin_client, "chatsession/")
    places = [page.index(f">{key}<") for key in ("chat-06", "chat-01", "chat-05")]
    assert places == sorted(places)
    for path, there in (
        ("chatsession/?category=refund_cancellation", True),
        ("chatsession/?sentiment=negative", False),
        ("chatsession/?attention=2", True),
        ("chatsession/?resolution=resolved", True),
        ("chatsession/?q=chat-06", True),
        ("chatsession/?account=other", False),
    ):
        assert (">chat-06<" in read(admin_client, path)) == there, path


def test_the_desk_names_chats_that_need_help_at_once(make_sessions, admin_client):
    assert "may need help at once" not in admin_client.get("/admin/").content.decode()

    make_sessions({"id": "a", "transcript": "User: I want to end my life."})

    page = admin_client.get("/admin/").content.decode()
    assert "The customer of 1 chat may need help at once." in page
    assert "chatsession/?attention=3" in page


def test_a_chat_without_messages_or_analysis_says_so(make_sessions, admin_client):
    empty, new = make_sessions(
        {"id": "empty", "transcript": ""}, {"id": "new", "transcript": "User: hi there"}
    )

    assert "It has no messages." in read(
        admin_client, f"chatsession/{empty.pk}/change/"
    )
    page = read(admin_client, f"chatsession/{new.pk}/change/")
    assert "run_workload session_analysis" in page


def test_ticked_sessions_are_handed_out(sandbox, samples, admin_client):
    ask()
    store(samples[0], EXAMPLES["chat-01"])
    data = {
        "action": "export_csv",
        "_selected_action": [session.pk for session in samples],
    }

    answer = admin_client.post(f"{BASE}/chatsession/", data)

    lines = b"".join(answer.streaming_content).decode("utf-8-sig").splitlines()
    assert len(lines) == 2
    assert "chat-01" in lines[1]


def test_a_table_without_a_header_is_imported_by_hand(admin_client, settings, tmp_path):
    settings.SPOOL_DIR = tmp_path / "spool"
    file = SimpleUploadedFile(
        "sessions.csv", (CONTENT / "sessions.csv").read_bytes(), "text/csv"
    )

    answer = admin_client.post(f"{BASE}/chatsession/import/", {"file": file})
    looked = admin_client.get(answer.url)
    names = looked.context["form"].fields
    chosen = {name: field.initial for name, field in names.items()}
    admin_client.post(answer.url, {**chosen, "import": "1"})

    assert "hr-2001" in looked.content.decode()
    assert ChatSession.objects.count() == 5


def test_without_the_permission_nothing_is_imported(client, django_user_model):
    user = django_user_model.objects.create_user("reader", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_chatsession"))
    client.force_login(user)

    assert client.get(f"{BASE}/chatsession/import/").status_code == 403


@pytest.mark.parametrize(
    ("text", "quote", "html"),
    [
        ("a <b> c", "<B>", "a <mark>&lt;b&gt;</mark> c"),
        ("it’s   fine", "it's fine", "<mark>it’s   fine</mark>"),
        ("nothing", "else", "nothing"),
        ("nothing", " ", "nothing"),
    ],
)
def test_quotes_are_marked_as_the_checks_find_them(text, quote, html):
    assert marked(text, [quote]) == html


def test_quotes_that_overlap_are_marked_once():
    assert marked("one two three", ["one two", "two three"]) == (
        "<mark>one two</mark> three"
    )
