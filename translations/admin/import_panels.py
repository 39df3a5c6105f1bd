"""What a file for import holds, and what came of it, to be looked at."""

import json

from django.utils.html import format_html
from django.utils.text import Truncator
from django.utils.translation import gettext as _

from batches.admin.display import number
from batches.admin.panels import Panel
from translations.importing import BadRow

BAD_ROWS_SHOWN = 100
CELL_CHARACTERS = 80


def counts_facts(created, updated, unchanged):
    return [
        (_("new"), number(created)),
        (_("changed"), number(updated)),
        (_("unchanged"), number(unchanged)),
    ]


def stored_panel(title, importer, stored):
    panel = Panel(
        title=title,
        facts=counts_facts(stored.created, stored.updated, stored.unchanged)
        + [(_("rows with errors"), number(len(stored.bad)))],
    )
    if stored.ignored:
        panel.notes.append(
            _("Unknown, and not imported: %(names)s.")
            % {"names": ", ".join(stored.ignored)}
        )
    if not stored.good and not stored.bad:
        panel.notes.append(_("The file has no %(what)s.") % {"what": importer.noun[1]})
    return panel


def preview_panel(rows):
    """The first rows as they would be read; a bad one shows in the list of errors."""
    good = [row for row in rows if not isinstance(row, BadRow)]
    names = [
        name
        for name in (type(good[0][1]).model_fields if good else ())
        if any(name in row.model_fields_set for _line, row in good)
    ]
    return Panel(
        title=_("The first rows"),
        columns=[_("Line"), *names],
        rows=[
            (number(line), *[_shown(getattr(row, name)) for name in names])
            for line, row in good
        ],
        empty=_("None of the first rows can be read."),
    )


def bad_panels(stored):
    return [bad_rows_panel(stored.bad, len(stored.bad))] if stored.bad else []


def bad_rows_panel(bad, count):
    panel = Panel(
        title=_("Errors"),
        columns=[_("Line"), _("Field"), _("Value"), _("Problem")],
        rows=[
            (number(b.line), b.field, _shown(b.value), b.problem)
            for b in bad[:BAD_ROWS_SHOWN]
        ],
    )
    if count > BAD_ROWS_SHOWN:
        panel.notes.append(
            _("The first %(shown)s of %(all)s are shown.")
            % {"shown": number(BAD_ROWS_SHOWN), "all": number(count)}
        )
    return panel


def _shown(value):
    text = "" if value is None else cell(value)
    return format_html(
        '<span dir="auto">{}</span>', Truncator(text).chars(CELL_CHARACTERS)
    )


def cell(value):
    """A value as a cell of a CSV has it."""
    if isinstance(value, list | dict):
        plain = [v if isinstance(v, str) else getattr(v, "text", v) for v in value]
        return json.dumps(plain, ensure_ascii=False, default=str)
    return str(value)
