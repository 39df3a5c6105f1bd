"""The glossary: what goes out with a request, and what may stand in it."""

import csv
import io
import json

import orjson
import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command

from batches.models import AuditEntry, BatchItem, ItemRequest
from batches.services.collection import collect_run, start_run
from batches.states import Trigger
from tests.driving import work_off
from tests.processes import ROOT
from translations.glossary.importing import write_terms
from translations.glossary.saving import delete_term, save_term
from translations.lessons.models import Lesson
from translations.models import GlossaryTerm, Translation

pytestmark = pytest.mark.django_db

SHIPPED = ROOT / "translations" / "glossary" / "content" / "glossary.csv"
CHILD = {
    "source_language": "so",
    "target_language": "en",
    "source_term": "ilme",
    "source_forms": "ilme|ilmaha|ilmahaaga",
    "preferred": "child|children",
    "forbidden": "kid|kids",
}


def make_term(**given):
    term = GlossaryTerm(**CHILD | given)
    save_term(term, by="amina")
    return term


def make_lesson(course, **given):
    values = {"title": "Hurdada carruurta", "body_format": "html"} | given
    number = Lesson.objects.count()
    return Lesson.objects.create(
        course=course, external_id=f"lesson-{number}", **values
    )


def collect(*languages):
    options = {"languages": languages, "content": ["translations_lessons.lesson"]}
    run = start_run("translation", options, trigger=Trigger.COMMAND, canary=False)
    collect_run(run)
    return run


def message_of(target):
    body = ItemRequest.objects.get(item__target=target).body
    return orjson.loads(orjson.loads(body)["messages"][1]["content"])


def import_glossary(path):
    out = io.StringIO()
    call_command("import_content", "glossary", str(path), "--json", stdout=out)
    return json.loads(out.getvalue())


def test_only_terms_that_occur_go_out_in_any_of_their_forms(sandbox, course):
    make_term()
    make_term(source_term="xeer", source_forms="", preferred="rule", forbidden="")
    make_lesson(course, title="Dhegaysiga Ilmahaaga", description="Xeerka guriga")

    collect("en")

    (row,) = message_of("title:en")["glossary"]
    assert row["preferred"] == ["child", "children"]
    assert "glossary" not in message_of("description:en")  # xeer is not xeerka


def test_terms_of_other_languages_and_kinds_of_content_stay_here(sandbox, course):
    make_term(target_language="ar", preferred="طفل", forbidden="")
    make_term(scope="gallery.photo")
    make_lesson(course, title="ilmaha")

    collect("en")

    assert "glossary" not in message_of("title:en")


def test_a_request_without_terms_is_as_it_was_without_a_glossary(sandbox, course):
    make_lesson(course, title="Cunto")

    collect("en")
    before = ItemRequest.objects.get().body
    BatchItem.objects.all().delete()
    make_term()
    collect("en")

    assert ItemRequest.objects.get().body == before


def test_answers_are_checked_by_the_terms_as_they_were_sent(sandbox, course):
    term = make_term(
        source_term="hurdo",
        source_forms="hurdada",
        preferred="slumber",
        forbidden="sleep",
    )
    make_lesson(course)
    collect("en")
    delete_term(term, by="amina")

    work_off()

    version = Translation.objects.get().versions.order_by("number").first()
    codes = {finding["code"] for finding in version.findings}
    assert codes >= {"glossary_missing", "glossary_forbidden"}
    assert len(version.glossary_version) == 12


def test_a_long_text_is_checked_by_the_terms_of_all_its_parts(sandbox, course):
    make_term(preferred="offspring", forbidden="")
    lesson = make_lesson(
        course,
        title="Cunto",
        body="".join(f"<p>Qodob {n}.</p>" for n in range(26)) + "<p>ilmaha</p>",
    )

    collect("en")

    assert "glossary" not in message_of("body:en#1")
    assert message_of("body:en#2")["glossary"][0]["source_term"] == "ilme"
    work_off()
    version = Translation.objects.get(object_id=str(lesson.pk), field="body").latest
    assert len(version.glossary_version) == 12


def test_two_rows_that_want_different_words_name_each_other():
    there = make_term()

    with pytest.raises(ValidationError) as refused:
        make_term(source_term="ilmaha", source_forms="", preferred="infant")

    (problem,) = refused.value.messages
    assert "ilmaha (so → en)" in problem
    assert f"ilme (so → en) (row {there.pk})" in problem
    assert GlossaryTerm.objects.count() == 1


def test_a_word_wanted_by_one_row_and_forbidden_by_another_is_refused():
    make_term()

    with pytest.raises(ValidationError, match="kid"):
        make_term(source_term="ilmaha", rule="preferred", preferred="kid", forbidden="")


@pytest.mark.parametrize(
    "given",
    [
        {"target_language": "ar", "preferred": "طفل", "forbidden": ""},
        {"scope": "gallery.photo", "preferred": "child|children"},
        {"source_term": "carruur", "source_forms": "", "preferred": "little ones"},
        {"source_term": "ilmo", "rule": "preferred", "preferred": "little one"},
    ],
)
def test_rows_that_do_not_meet_stand_beside_each_other(given):
    make_term()

    make_term(**given)

    assert GlossaryTerm.objects.count() == 2


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"target_language": "englisch"}, "no language tag"),
        ({"scope": "lessons"}, "no kind of content"),
        ({"preferred": "", "forbidden": ""}, "Say what the term is called"),
        ({"forbidden": "Child"}, "choose one"),
        ({"rule": "perhaps"}, "perhaps"),
    ],
)
def test_a_row_that_cannot_be_is_refused(given, words):
    with pytest.raises(ValidationError, match=words):
        make_term(**given)

    assert not GlossaryTerm.objects.exists()


def test_a_change_raises_the_row_s_version_and_is_logged():
    term = make_term()

    assert not save_term(term, by="amina")
    term.note = "Singular or plural"
    assert save_term(term, by="amina")

    term.refresh_from_db()
    assert term.version == 2
    actions = AuditEntry.objects.order_by("pk").values_list("action", flat=True)
    assert list(actions) == ["glossary.add", "glossary.change"]


def test_the_shipped_glossary_comes_in_once_and_goes_out_as_it_came():
    first, second = import_glossary(SHIPPED), import_glossary(SHIPPED)

    assert (first["created"], first["bad"]) == (11, [])
    assert (second["unchanged"], second["bad"]) == (11, [])
    out = io.StringIO()
    write_terms(GlossaryTerm.objects.order_by("pk"), out)
    with SHIPPED.open(encoding="utf-8", newline="") as file:
        given = list(csv.DictReader(file))
    out.seek(0)
    exported = [{name: row[name] for name in given[0]} for row in csv.DictReader(out)]
    assert exported == given


def test_a_bad_row_of_a_file_is_named_and_the_others_come_in(tmp_path, capsys):
    path = tmp_path / "terms.csv"
    path.write_text(
        "source_language,source_term,target_language,preferred\n"
        "so,ilme,en,child\n"
        "so,ilme,en,kid\n"
        "so,waalid,xx-nowhere-at-all,parent\n"
    )

    with pytest.raises(CommandError, match="2 rows are not imported"):
        call_command("import_content", "glossary", str(path))

    said = capsys.readouterr().err
    assert "line 3, id" in said and "stands on line 2" in said
    assert "line 4, target_language" in said
    assert GlossaryTerm.objects.get().preferred == "child"


def test_a_cell_that_would_be_a_formula_is_no_formula_any_more():
    make_term(source_term="=SUM(A1)", source_forms="summa")
    out = io.StringIO()

    write_terms(GlossaryTerm.objects.all(), out)

    assert ",'=SUM(A1)," in out.getvalue()


class TestInTheAdmin:
    URL = "/admin/translations/glossaryterm/"

    @pytest.fixture(autouse=True)
    def static_root(self, settings, tmp_path):
        settings.STATIC_ROOT = tmp_path

    def test_a_term_is_added_and_logged_with_who(self, admin_client):
        response = admin_client.post(f"{self.URL}add/", {**CHILD, "rule": "required"})

        assert response.status_code == 302
        assert AuditEntry.objects.get().actor == "admin"

    def test_a_conflict_is_said_on_the_page(self, admin_client):
        make_term()

        given = CHILD | {"source_term": "ilmaha", "preferred": "infant"}
        response = admin_client.post(f"{self.URL}add/", {**given, "rule": "required"})

        assert "ilme (so → en) (row" in response.content.decode()
        assert GlossaryTerm.objects.count() == 1

    def test_the_list_is_shown_and_taken_along(self, admin_client):
        term = make_term(note="<script>alert(1)</script>")

        page = admin_client.get(self.URL)
        file = admin_client.post(
            self.URL, {"action": "download", "_selected_action": [term.pk]}
        )

        assert page.status_code == 200
        assert "import" in page.content.decode()
        assert b"child|children" in file.content
        assert file["Content-Type"] == "text/csv; charset=utf-8"
