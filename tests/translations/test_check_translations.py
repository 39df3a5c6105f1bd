"""`check_translations`: anybody's file, and what is wrong with it."""

import json
import os
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from tests.processes import ROOT

CASES = Path(__file__).parent / "check_cases.jsonl"
GOOD = {
    "source": "Jooji shaqada.",
    "target": "Stop working.",
    "source_language": "so",
    "target_language": "en",
    "format": "text",
}
PO = r"""# A catalogue.
msgid ""
msgstr ""
"Content-Type: text/plain; charset=UTF-8\n"
"Language: ar\n"
"Plural-Forms: nplurals=6; plural=n==0 ? 0 : n==1 ? 1 : n==2 ? 2 : 3;\n"

msgid "Good morning"
msgstr "صباح الخير"

msgctxt "button"
msgid "Save %s"
msgstr "احفظ"

msgid "Not yet"
msgstr ""

#, fuzzy
msgid "Perhaps"
msgstr "شيء آخر تمامًا"

msgid "%d hour"
msgid_plural "%d hours"
msgstr[0] "لا ساعات"
msgstr[1] "ساعة واحدة"
msgstr[2] "ساعتان"
msgstr[3] "%d ساعات"
msgstr[4] "%d ساعة"
msgstr[5] "ساعة"

#~ msgid "Gone"
#~ msgstr "ذهب"
"""
XLIFF_1 = """<?xml version="1.0" encoding="UTF-8"?>
<xliff version="1.2" xmlns="urn:oasis:names:tc:xliff:document:1.2">
 <file original="a" source-language="en" target-language="de" datatype="html">
  <body>
   <trans-unit id="t1"><source>Read <g id="1">this</g>.</source>
    <target>Lesen Sie <g id="1">dies</g>.</target>
    <alt-trans><source>Other</source><target>Anderes 5</target></alt-trans></trans-unit>
   <trans-unit id="t2"><source>Read <g id="1">this</g>.<x id="2"/></source>
    <target>Lesen Sie dies.</target></trans-unit>
   <trans-unit id="t3"><source>Later</source></trans-unit>
   <trans-unit id="t4" translate="no"><source>X</source><target>5</target></trans-unit>
   <trans-unit id="t5"><source>Done</source><target state="final"/></trans-unit>
   <group><trans-unit id="t6" maxwidth="4" size-unit="char"><source>Stop now</source>
    <target>Halten Sie jetzt an</target></trans-unit></group>
  </body>
 </file>
</xliff>
"""
XLIFF_2 = """<?xml version="1.0"?>
<xliff version="2.0" xmlns="urn:oasis:names:tc:xliff:document:2.0"
       srcLang="en" trgLang="fr-CA">
 <file id="f"><unit id="u">
  <segment id="s1"><source>Wait <pc id="1">here</pc>.</source>
   <target>Attendez <pc id="1">ici</pc>.</target></segment>
  <ignorable><source> </source></ignorable>
  <segment id="s2"><source>10 minutes</source><target>20 minutes</target></segment>
  <segment id="s3" state="initial"><source>Now</source></segment>
 </unit></file>
</xliff>
"""


def check(file, *args):
    """(lines on stdout, stderr, the sentence that the command ended with)"""
    out, err, ending = StringIO(), StringIO(), ""
    try:
        call_command("check_translations", str(file), *args, stdout=out, stderr=err)
    except CommandError as error:
        ending = str(error)
    return out.getvalue().splitlines(), err.getvalue(), ending


def check_json(file, *args):
    lines, err, ending = check(file, "--json", *args)
    return [json.loads(line) for line in lines], err, ending


@pytest.fixture
def write(tmp_path):
    def write(content, name="file.jsonl"):
        path = tmp_path / name
        if isinstance(content, list):
            content = "".join(
                (row if isinstance(row, str) else json.dumps(row)) + "\n"
                for row in content
            )
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def test_the_check_cases_have_their_codes_in_their_order():
    cases = [json.loads(line) for line in CASES.read_text().splitlines()]

    rows, _, ending = check_json(CASES)

    assert [row["id"] for row in rows] == [case["id"] for case in cases]
    for row, case in zip(rows, cases, strict=True):
        assert set(row) == {"id", "codes", "errors", "warnings", "score"}
        assert sorted(row["errors"]) == sorted(case["expected_errors"])
        assert sorted(row["warnings"]) == sorted(case["expected_warnings"])
        assert row["codes"] == row["errors"] + row["warnings"]
        assert (row["score"] < 50) == bool(row["errors"])
    assert ending == "14 translations have errors."


def test_a_file_without_faults_ends_well(write):
    lines, err, ending = check(write([GOOD]))

    assert lines == [
        "1 translation: 0 with errors, 0 with warnings only, 1 clean, 0 unreadable."
    ]
    assert (err, ending) == ("", "")


def test_the_report_says_what_is_wrong_with_which_line(write):
    wrong = GOOD | {"target": "Stop working, 5 times."}

    lines, _, ending = check(write([GOOD, wrong | {"id": "a-7", "source": "3 jeer."}]))

    assert lines[:3] == [
        "Line 2, a-7: 49 of 100",
        "  error number_mismatch: Missing numbers: “3”; the translation has “5”.",
        "  warning number_extra: Numbers that the source does not have: “5”.",
    ]
    assert "2 translations: 1 with errors, 0 with warnings only, 1 clean" in lines[3]
    assert ending == "1 translation has errors."


def test_an_id_is_given_back_or_is_the_line(write):
    rows, _, _ = check_json(write([GOOD, "", GOOD | {"id": 5}, GOOD | {"id": "x"}]))

    assert [row["id"] for row in rows] == [1, 5, "x"]


def test_glossary_rows_come_with_their_translation(write):
    row = {
        "source_language": "so",
        "source_term": "shaqo",
        "source_forms": ["shaqo", "shaqada"],
        "target_language": "en",
        "preferred": ["job"],
        "forbidden": ["working"],
        "rule": "required",
        "note": "",
    }
    arabic = row | {"target_language": "ar", "preferred": ["عمل"]}

    [found], _, _ = check_json(write([GOOD | {"glossary": [row, arabic]}]))

    assert found["errors"] == ["glossary_forbidden"]
    assert found["warnings"] == ["glossary_missing"]


def test_a_language_that_nothing_can_tell_is_said_so(write):
    row = GOOD | {"target_language": "am", "target": "ሥራ አቁም።"}

    [found], err, ending = check_json(write([row]))

    assert found["codes"] == []
    assert found["notes"] == ["language_unchecked"]
    assert "note    language_unchecked" in err
    assert ending == ""


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", "'{' is no JSON"),
        ("[1]", "'[1]' is no object"),
        (GOOD | {"source": 5}, "source is 5, which is no text"),
        ({"source": "a", "target": "b"}, "source_language is missing"),
        ({k: v for k, v in GOOD.items() if k != "target"}, "target is missing"),
        (
            GOOD | {"target_language": "xx"},
            "target_language is 'xx', which is no known",
        ),
        (GOOD | {"source_language": ""}, "source_language is ''"),
        (GOOD | {"format": "docx"}, "format is 'docx'; give one of text, html"),
        (GOOD | {"glossary": "a"}, "glossary is 'a'; give a list"),
        (GOOD | {"glossary": [5]}, "row 1 of glossary is 5; give an object"),
        (
            GOOD | {"glossary": [{"rule": "x"}]},
            "row 1 of glossary: rule 'x' is none of",
        ),
        (GOOD | {"id": [1]}, "id is [1]; give a text or a whole number"),
        (GOOD | {"max_length": "9"}, "max_length is '9'"),
    ],
)
def test_a_bad_line_is_named_and_the_others_are_checked(write, line, problem):
    rows, err, ending = check_json(write([GOOD, line, GOOD]))

    assert f"Line 2: {problem}" in err
    assert [row["id"] for row in rows] == [1, 2, 3]
    assert [row["errors"] for row in rows] == [[], ["unreadable"], []]
    assert problem in rows[1]["problem"]
    assert ending == "1 translation has errors."


def test_a_bad_line_keeps_its_id(write):
    rows, err, _ = check_json(write([GOOD | {"id": "a-7", "format": "docx"}]))

    assert rows[0]["id"] == "a-7"
    assert "Line 1, a-7: format is 'docx'" in err


def test_a_line_in_another_encoding_is_named(write):
    good = json.dumps(GOOD).encode()
    bad = json.dumps(GOOD | {"target": "à"}, ensure_ascii=False).encode("latin-1")

    rows, err, _ = check_json(write(b"\xef\xbb\xbf" + good + b"\r\n" + bad + b"\n"))

    assert [row["errors"] for row in rows] == [[], ["unreadable"]]
    assert "(0xe0) is no UTF-8; save the file in UTF-8" in err


def test_a_line_without_end_is_skipped_and_named(write):
    long = json.dumps(GOOD | {"source": "a" * 40 * 2**20})

    rows, err, _ = check_json(write([long, GOOD]))

    assert [row["errors"] for row in rows] == [["unreadable"], []]
    assert "Line 1: it is longer than 16 MB" in err


@pytest.mark.parametrize(
    ("content", "name", "problem"),
    [
        ("", "a.jsonl", "has no translations to check"),
        ("\n\n", "a.jsonl", "has no translations to check"),
        ("{}".encode("utf-16"), "a.jsonl", "a.jsonl is UTF-16; save it as plain UTF-8"),
        (b"PK\x03\x04", "a.jsonl", "a.jsonl is zip"),
        ("x", "a.docx", "a.docx is of no kind that can be read; give a file that ends"),
        ("", "a.po", "a.po has no Language in its header"),
        ("hello", "a.po", "a.po is no PO file"),
        (PO.replace("UTF-8", "ASCII"), "a.po", "says that it is in ASCII, and is not"),
        (PO.replace(": ar", ": xx"), "a.po", "Language is 'xx'"),
        ("", "a.xlf", "a.xlf is no well-formed XML (no element found"),
        ("<a/>", "a.xlf", "a.xlf is no XLIFF: its root is <a>"),
        (XLIFF_1[:700], "a.xlf", "Checked before that: 2."),
        (
            '<!DOCTYPE x [<!ENTITY a "b">]><xliff>&a;</xliff>',
            "a.xlf",
            "declares entities",
        ),
    ],
)
def test_a_file_that_cannot_be_read_says_why(write, content, name, problem):
    _, _, ending = check(write(content, name))

    assert problem in ending


def test_a_file_that_is_not_there(tmp_path):
    _, _, ending = check(tmp_path / "none.jsonl")

    assert ending.endswith(
        "cannot be read (No such file or directory); check the path."
    )


def test_a_catalogue_of_gettext(write):
    rows, err, ending = check_json(write(PO, "a.po"))

    assert [(row["id"], row["errors"]) for row in rows] == [
        ("Good morning", []),
        ("button|Save %s", ["placeholder_mismatch"]),
        ("%d hour[0]", []),
        ("%d hour[1]", []),
        ("%d hour[2]", []),
        ("%d hour[3]", []),
        ("%d hour[4]", []),
        ("%d hour[5]", ["placeholder_mismatch"]),
    ]
    assert "Not checked, because not translated yet: 1" in err
    assert "Not checked, because fuzzy: 1" in err
    assert "Not checked, because no longer used: 1" in err
    assert ending == "2 translations have errors."


def test_the_caller_may_name_the_languages(write):
    po = write(PO.replace('"Language: ar\\n"\n', ""), "a.po")
    bare = {"source": "Jooji shaqada.", "target": "Stop working."}

    _, _, refused = check(po)
    rows, _, _ = check_json(po, "--target-language", "ar")
    [row], _, _ = check_json(
        write([bare]), "--source-language", "so", "--target-language", "en_GB"
    )

    assert "name it with --target-language" in refused
    assert len(rows) == 8
    assert row["codes"] == []


def test_xliff_1(write):
    rows, err, _ = check_json(write(XLIFF_1, "a.xlf"))

    assert [(row["id"], row["errors"]) for row in rows] == [
        ("t1", []),
        ("t2", ["tags_mismatch"]),
        ("t5", ["empty"]),
        ("t6", ["too_long"]),
    ]
    assert "Not checked, because not translated yet: 1" in err
    assert "Not checked, because not to be translated: 1" in err


def test_xliff_2(write):
    rows, _, _ = check_json(write(XLIFF_2, "a.xliff"))

    assert [(row["id"], row["errors"]) for row in rows] == [
        ("u/s1", []),
        ("u/s2", ["number_mismatch"]),
    ]


def run(*args, **options):
    return subprocess.run(
        [sys.executable, "manage.py", "check_translations", *args],
        cwd=ROOT,
        env=os.environ | {"ENV_FILE": "/dev/null"},
        capture_output=True,
        **options,
    )


def test_it_reads_from_a_pipe_and_tells_by_its_status():
    bad = json.dumps(GOOD | {"target": ""}).encode()

    done = run("-", "--json", input=json.dumps(GOOD).encode() + b"\n" + bad + b"\n")

    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["codes"] for row in rows] == [[], ["empty"]]
    assert done.returncode == 1
    assert run("-", input=json.dumps(GOOD).encode()).returncode == 0


@pytest.mark.slow
def test_a_huge_file_takes_no_more_memory_than_a_small_one(write):
    lines = 25_000
    row = json.dumps(GOOD | {"source": "Jooji.", "target": "Stop.", "note": "x" * 4000})
    path = write((row + "\n") * lines)
    assert path.stat().st_size > 80 * 2**20

    def peak(file):
        code = (
            "import django, os, resource, sys, io;"
            "os.environ.update(DJANGO_SETTINGS_MODULE='batchsite.settings');"
            "django.setup();"
            "from django.core.management import call_command;"
            f"call_command('check_translations', {str(file)!r}, stdout=io.StringIO(),"
            " stderr=io.StringIO());"
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env=os.environ | {"ENV_FILE": "/dev/null"},
            capture_output=True,
            check=True,
        )
        return int(done.stdout)

    small = path.with_name("small.jsonl")
    small.write_text((row + "\n") * 10)
    assert peak(path) - peak(small) < 20 * 1024  # KiB
