"""Translations out to files and back, as proposals."""

import csv
import io
import json
from io import StringIO

import polib
import pytest
from defusedxml.ElementTree import fromstring
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from batches.models import AuditEntry
from tests.translations.publishing import ENTRY, answer, make_lesson
from translations.exchange.exporting import ExportRefused, exported
from translations.exchange.formats import ENDINGS, written
from translations.exchange.proposals import import_translations
from translations.exchange.tables import COLUMNS, as_written, neutral
from translations.importing import ImportRefused
from translations.models import Origin, ReviewStatus, Translation, TranslationVersion

pytestmark = pytest.mark.django_db
BODY = '<p>Ilmuhu wuu <b class="x">seexdaa</b>.</p><p>Habeen &amp; maalin.</p>'


@pytest.fixture
def lesson():
    return make_lesson("Hurdo", body=BODY, body_format="html", external_id="a/b:ç 1")


def export(format="jsonl", language="ar", **given) -> str:
    return "".join(written(exported(ENTRY, language, **given), format, language))


def bring(text, format="jsonl", **given):
    return import_translations(
        io.BytesIO(text.encode()),
        name=f"back.{ENDINGS[format]}",
        actor="amina",
        **given,
    )


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


def filled(text, word="نص"):
    rows = [{**row, "target": f"{word} {n}"} for n, row in enumerate(lines(text))]
    return "".join(f"{json.dumps(row)}\n" for row in rows)


def fill(text, format):
    """The file as a translator gives it back: each target says its source again."""
    if format == "po":
        catalogue = polib.pofile(text)
        for message in catalogue:
            message.msgstr = f"نص {message.msgid}"
        return str(catalogue)
    if format == "xliff":
        return text.replace(
            "</source>", "</source><target>نص &lt;b id=&quot;b1&quot;&gt;</target>"
        )
    if format == "jsonl":
        return filled(text)
    rows = list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"))))
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS)
    writer.writeheader()
    writer.writerows({**row, "target": f"نص {row['source']}"} for row in rows)
    return out.getvalue()


@pytest.mark.parametrize("format", ENDINGS)
def test_what_is_exported_comes_back_as_proposals(lesson, format):
    stored = bring(fill(export(format), format), format)

    assert (stored.created, stored.updated, stored.bad) == (2, 0, [])
    unit = Translation.objects.get(field="body")
    version = unit.latest
    assert (unit.status, unit.published) == (ReviewStatus.PENDING_REVIEW, None)
    assert (version.origin, version.number) == (Origin.FILE, 1)
    assert [s["id"] for s in version.segments] == ["s1", "s2"]
    assert version.text.startswith("<p>نص") and version.text.endswith("</p>")


@pytest.mark.parametrize("format", ENDINGS)
def test_a_file_that_comes_back_as_it_went_changes_nothing(lesson, format):
    answer(lesson)
    answer(lesson, "body")

    stored = bring(export(format), format)

    assert (stored.created, stored.updated, stored.unchanged) == (0, 0, 2)
    assert TranslationVersion.objects.count() == 2
    assert stored.bad == []


def test_what_is_published_stays_so_and_what_a_person_keeps(lesson, settings):
    settings.TRANSLATION_PUBLISH = "all"
    unit = answer(lesson)
    Translation.objects.filter(pk=unit.pk).update(is_kept=True)
    amina = User.objects.create_user("amina")

    stored = bring(filled(export(), "عنوان"), by=amina)

    unit.refresh_from_db()
    assert (stored.created, stored.updated) == (1, 1)
    assert (unit.published.number, unit.published.text) == (1, "نص 1")
    assert (unit.latest.number, unit.latest.text) == (2, "عنوان 0")
    assert (unit.latest.author, unit.is_kept) == (amina, True)
    entry = AuditEntry.objects.get(action="translations.import")
    assert (entry.actor, entry.after) == ("amina", {"new": 1, "proposed": 1})


def test_twice_is_as_good_as_once(lesson):
    bring(filled(export()))

    again = bring(filled(export()))

    assert (again.created, again.updated, again.unchanged) == (0, 0, 2)


def test_a_check_changes_nothing(lesson):
    stored = bring(filled(export()), dry_run=True)

    assert stored.created == 2
    assert not Translation.objects.exists()
    assert not AuditEntry.objects.exists()


def test_a_segment_that_is_not_given_keeps_what_it_has(lesson):
    answer(lesson, "body", word="قديم")
    rows = [row for row in lines(export()) if row["segment"] == "s2"]

    stored = bring(json.dumps({**rows[0], "target": "جديد"}))

    assert stored.bad == []
    texts = [s["text"] for s in Translation.objects.get().latest.segments]
    assert texts == ["قديم 1", "جديد"]


def test_a_text_that_lacks_a_segment_is_left_out_whole(lesson):
    rows = [row for row in lines(export()) if row["field"] == "body"]

    stored = bring(json.dumps({**rows[0], "target": "نص"}))

    assert "no translation yet: s2" in stored.bad[0].problem
    assert not Translation.objects.exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kind": "poem"}, "no such kind"),
        ({"id": "nobody"}, "no lesson with this id"),
        ({"id": "x\0"}, "no lesson with this id"),
        ({"field": "price"}, "Translated fields are title"),
        ({"language": "klingon"}, "no language tag"),
        ({"language": "so"}, "written in this language"),
        ({"segment": "s9"}, "none of them. Export it again"),
        ({"source": "Wax kale"}, "says “Hurdo” by now"),
        ({"target": "a\0b"}, "NUL"),
    ],
)
def test_a_bad_row_is_named_and_the_others_go_in(lesson, change, words):
    other = make_lesson("Biyo")
    (row, *_) = lines(export())
    good = {**row, "id": other.external_id, "source": "Biyo", "target": "ماء"}

    stored = bring(
        "".join(
            f"{json.dumps(r)}\n" for r in [{**row, "target": "نوم", **change}, good]
        )
    )

    (bad,) = stored.bad
    assert words in bad.problem
    assert bad.line == 1
    assert stored.created == 1
    assert Translation.objects.get().object_id == str(other.pk)


def test_the_same_segment_twice_is_told(lesson):
    row = json.dumps({**lines(export())[0], "target": "نوم"})

    stored = bring(f"{row}\n{row}\n")

    assert "stands on line 1 already" in stored.bad[0].problem
    assert stored.created == 1


def test_a_proposal_is_checked_as_an_answer_is(lesson):
    rows = [row for row in lines(export()) if row["field"] == "body"]
    bad = "".join(
        f"{json.dumps({**row, 'target': '<script>alert(1)</script>'})}\n"
        for row in rows
    )

    bring(bad)

    version = Translation.objects.get().latest
    assert version.errors > 0
    assert version.score < 100


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+1", "-1", "@x", "\tx", "'=1", "''=x", "＝1", "plain", "'quoted'", ""],
)
def test_no_cell_is_a_formula_and_all_come_back_as_they_were(text):
    cell = neutral(text)

    assert cell[:1] not in tuple("=+-@\t\r\n＝＋－＠")
    assert as_written(cell) == text


def test_a_formula_goes_out_neutral(lesson):
    make_lesson('=HYPERLINK("http://x")')

    rows = list(csv.reader(io.StringIO(export("csv").removeprefix("\ufeff"))))

    assert not any(cell.startswith("=") for row in rows for cell in row)


def test_xliff_and_po_say_languages_and_keep_every_character(lesson):
    make_lesson('Q & <A> "x"\x01\\n', external_id="odd")
    tree = fromstring(export("xliff"))
    catalogue = polib.pofile(export("po"))

    assert (tree.get("srcLang"), tree.get("trgLang")) == ("so", "ar")
    assert tree.get("version") == "2.0"
    assert catalogue.metadata["Language"] == "ar"
    assert 'Q & <A> "x"\x01\\n' in [message.msgid for message in catalogue]
    stored = bring(export("xliff"), "xliff")
    assert (stored.unchanged, stored.bad) == (3, [])


def test_an_xliff_whose_unit_a_tool_cut_is_put_together(lesson):
    text = export("xliff").replace(
        "<source>Hurdo</source></segment>",
        "<source>Hur</source><target>ن</target></segment>"
        "<ignorable><source>d</source></ignorable>"
        "<segment><source>o</source><target>م</target></segment>",
    )

    stored = bring(text, "xliff")

    assert stored.bad == []
    assert Translation.objects.get().latest.text == "نdم"


def test_an_inline_element_that_was_not_exported_is_told(lesson):
    text = export("xliff").replace(
        "<source>Hurdo</source>",
        '<source>Hurdo</source><target><ph id="1"/>نوم</target>',
    )

    stored = bring(text, "xliff")

    assert "inline element <ph>" in stored.bad[0].problem


@pytest.mark.parametrize(
    ("text", "format", "words"),
    [
        ("<xliff", "xliff", "is no well-formed XML"),
        (
            "<xliff version='1.2'><file><trans-unit id='1'/></file></xliff>",
            "xliff",
            "no XLIFF 2",
        ),
        (
            '<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>',
            "xliff",
            "declares entities",
        ),
        ("nonsense\n", "po", "is no PO file"),
        (__file__, "po", "is no PO file"),
        ('msgid "a"\nmsgstr "b"\n', "po", "does not say its language"),
        ("a,b\n1,2\n", "csv", "lacks id"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(text, format, words):
    with pytest.raises(ImportRefused, match=words):
        bring(text, format)


def test_a_fuzzy_message_is_no_translation(lesson):
    catalogue = polib.pofile(export("po"))
    for message in catalogue:
        message.msgstr, message.flags = "نص", ["fuzzy"]

    stored = bring(str(catalogue), "po")

    assert (stored.created, stored.unchanged, stored.bad) == (0, 2, [])


def test_xliff_of_content_in_two_languages_is_refused(lesson):
    make_lesson("Sleep", source_language="en")

    with pytest.raises(ExportRefused, match="several languages"):
        export("xliff")


def test_only_gaps_leaves_out_what_is_published(lesson, settings):
    settings.TRANSLATION_PUBLISH = "all"
    answer(lesson)

    fields = {row["field"] for row in lines(export(only_gaps=True))}

    assert fields == {"body"}


def test_the_commands_go_there_and_back(lesson, tmp_path):
    file = tmp_path / "out.xlf"
    told, err = StringIO(), StringIO()

    call_command(
        *("export_content", "translations", "--language", "ar", "--kind", "lesson"),
        *("--format", "xliff", "--output", str(file)),
        stdout=told,
    )
    file.write_text(fill(file.read_text(), "xliff"))
    call_command("import_content", "translations", str(file), stdout=told, stderr=err)

    assert "Imported 2 translations: 2 new" in told.getvalue()
    assert err.getvalue() == ""
    assert Translation.objects.count() == 2


def test_the_command_names_bad_rows_and_fails(lesson, tmp_path):
    file = tmp_path / "back.jsonl"
    file.write_text(json.dumps({**lines(export())[0], "id": "?", "target": "x"}))
    err = StringIO()

    with pytest.raises(CommandError, match="1 row is not imported"):
        call_command("import_content", "translations", str(file), stderr=err)

    assert "line 1, id: “?”" in err.getvalue()


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--language", "xx"], "no language tag"),
        (["--language", "ar", "--kind", "poem"], "no content 'poem'"),
        (["--language", "ar", "--group", "1"], "needs a --kind"),
        (["--language", "ar", "--output", "/nowhere/x"], "cannot be written"),
    ],
)
def test_what_cannot_be_exported_is_said(args, words):
    with pytest.raises(CommandError, match=words):
        call_command("export_content", "translations", *args)
