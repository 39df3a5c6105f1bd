"""docs/roles.md shows the table that the code has."""

from django.core.management import call_command

from tests.processes import ROOT

MARK = "<!-- From here on: manage.py permission_table -->\n"


def test_the_document_is_what_the_command_prints(capsys):
    call_command("permission_table")
    printed = capsys.readouterr().out

    _, _, shown = (ROOT / "docs" / "roles.md").read_text().partition(MARK)

    assert shown.strip() == printed.strip(), (
        "print it anew with manage.py permission_table, below the mark"
    )
