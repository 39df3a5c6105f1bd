"""Content from a file, by hand: upload, say which column is what, look, import.

Between the steps the file lies in `SPOOL_DIR/imports` under a random name, which only
the session of whoever uploaded it knows. Nothing is written before the last step.
"""

import csv
import json
import secrets
import time
from contextlib import contextmanager, suppress
from io import StringIO
from pathlib import Path

from django import forms
from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse, HttpResponseRedirect
from django.template.defaultfilters import filesizeformat
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from batches.admin.display import list_url, number
from batches.admin.panels import Panel
from batches.services.events import audit
from translations.admin.import_panels import (
    BAD_ROWS_SHOWN,
    bad_panels,
    bad_rows_panel,
    cell,
    counts_facts,
    preview_panel,
    stored_panel,
)
from translations.importing import (
    BadRow,
    ImportRefused,
    first_rows,
    get_importer,
    import_rows,
    read_columns,
    suggest_columns,
)

NAME = "imports"
KEPT = 3
MOST_BYTES = 20 * 1024 * 1024
MOST_COLUMNS = 200
ROWS_SHOWN = 5
STALE_SECONDS = 24 * 3600
SUFFIXES = (".csv", ".jsonl", ".ndjson", ".json")


class UploadForm(forms.Form):
    file = forms.FileField(
        label=gettext_lazy("File"),
        help_text=gettext_lazy(
            "CSV, or JSON Lines (one object a line), in UTF-8. What has an id that is "
            "there already is updated."
        ),
        widget=forms.ClearableFileInput(attrs={"accept": ",".join(SUFFIXES)}),
    )

    def clean_file(self):
        file = self.cleaned_data["file"]
        if file.size > MOST_BYTES:
            raise forms.ValidationError(
                _(
                    "The file has %(size)s; at most %(most)s can be imported here. "
                    "Split it, or have it imported with “manage.py import_content”."
                ),
                params={
                    "size": filesizeformat(file.size),
                    "most": filesizeformat(MOST_BYTES),
                },
            )
        if not file.name.lower().endswith(SUFFIXES):
            raise forms.ValidationError(
                _("%(name)s is neither CSV nor JSON Lines; it should end in %(ends)s."),
                params={"name": file.name, "ends": _(" or ").join(SUFFIXES[:2])},
            )
        return file


class ColumnsForm(forms.Form):
    """Which field each column of the file is."""

    def __init__(self, importer, columns, chosen, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.columns = columns
        self.importer = importer
        choices = [("", _("— do not import —"))]
        choices += [(name, name) for name in importer.row.model_fields]
        for position, column in enumerate(columns):
            self.fields[f"column_{position}"] = forms.ChoiceField(
                label=column or _("(column %(number)s)") % {"number": position + 1},
                required=False,
                choices=choices,
                initial=chosen.get(column, ""),
            )

    def clean(self):
        cleaned = super().clean()
        used = [field for field in cleaned.values() if field]
        for name in sorted(set(used)):
            if used.count(name) > 1:
                text = _("Two columns are %(name)s; choose one of them.")
                raise forms.ValidationError(text, params={"name": name})
        return cleaned

    def chosen(self):
        return {
            column: field
            for position, column in enumerate(self.columns)
            if (field := self.cleaned_data.get(f"column_{position}"))
        }


class ImportContentMixin:
    """Imports rows of a kind of content; the admin names the kind and an example."""

    import_kind: str
    import_example: dict
    change_list_template = "admin/translations/content_list.html"

    def has_import_permission(self, request):
        """An import makes new rows and changes those there are."""
        return self.has_add_permission(request) and self.has_change_permission(request)

    def changelist_view(self, request, extra_context=None):
        context = dict(extra_context or {})
        if self.has_import_permission(request):
            context["import_url"] = self.import_url()
        return super().changelist_view(request, context)

    def import_url(self, step="", *args):
        opts = self.opts
        end = f"_{step}" if step else ""
        name = f"admin:{opts.app_label}_{opts.model_name}_import{end}"
        return reverse(name, args=args)

    def get_urls(self):
        start = f"{self.opts.app_label}_{self.opts.model_name}_import"
        wrap = self.admin_site.admin_view
        return [
            path("import/", wrap(self.upload_view), name=start),
            path(
                "import/template.<str:suffix>",
                wrap(self.template_view),
                name=f"{start}_template",
            ),
            path("import/<str:token>/", wrap(self.check_view), name=f"{start}_check"),
            *super().get_urls(),
        ]

    @property
    def importer(self):
        return get_importer(self.import_kind)

    def _page(self, request, template, title, **context):
        return TemplateResponse(
            request,
            f"admin/translations/{template}",
            {
                **self.admin_site.each_context(request),
                "opts": self.opts,
                "title": title,
                "media": self.media,
                "list_url": list_url(self.model),
                "import_url": self.import_url(),
                **context,
            },
        )

    def upload_view(self, request):
        if not self.has_import_permission(request):
            raise PermissionDenied
        form = UploadForm(request.POST or None, request.FILES or None)
        if request.method == "POST":
            form = UploadForm(request.POST, request.FILES)
            if form.is_valid():
                token = self._keep_upload(request, form.cleaned_data["file"])
                return HttpResponseRedirect(self.import_url("check", token))
        templates = [self.import_url("template", suffix) for suffix in ("csv", "jsonl")]
        return self._page(
            request,
            "import_upload.html",
            _("Import %(what)s") % {"what": self.importer.noun[1]},
            form=form,
            templates=templates,
        )

    def template_view(self, request, suffix):
        """An empty table with the known columns, and one row as an example."""
        if not self.has_import_permission(request):
            raise PermissionDenied
        names = list(self.importer.row.model_fields)
        if suffix == "csv":
            out = StringIO()
            writer = csv.DictWriter(out, names)
            writer.writeheader()
            writer.writerow({name: cell(v) for name, v in self.import_example.items()})
            body = "\ufeff" + out.getvalue()  # or spreadsheets take it for Latin-1
            kind = "text/csv; charset=utf-8"
        else:
            suffix = "jsonl"
            body = json.dumps(self.import_example, ensure_ascii=False) + "\n"
            kind = "application/jsonl; charset=utf-8"
        name = f"{self.import_kind}.{suffix}"
        disposition = f'attachment; filename="{name}"'
        headers = {"Content-Disposition": disposition}
        return HttpResponse(body, content_type=kind, headers=headers)

    # --- the file between the steps ---------------------------------------------------

    def _keep_upload(self, request, file):
        sweep()
        token = secrets.token_urlsafe(16)
        place = place_of(token)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch(mode=0o600)
        with place.open("wb") as out:
            for chunk in file.chunks():
                out.write(chunk)
        kept = request.session.get(NAME, {})
        kept[token] = {"kind": self.import_kind, "name": Path(file.name).name}
        request.session[NAME] = dict(list(kept.items())[-KEPT:])
        return token

    def _kept(self, request, token):
        found = request.session.get(NAME, {}).get(token)
        return found if found and found["kind"] == self.import_kind else None

    def _change(self, request, token, **changes):
        kept = request.session.get(NAME, {})
        kept[token] = {**kept.get(token, {}), **changes}
        request.session[NAME] = kept

    def _gone(self, request):
        messages.warning(
            request,
            _(
                "This upload is no longer here; nothing was imported now. Upload "
                "it again."
            ),
        )
        return HttpResponseRedirect(self.import_url())

    # --- look, and import -------------------------------------------------------------

    def check_view(self, request, token):
        if not self.has_import_permission(request):
            raise PermissionDenied
        kept = self._kept(request, token)
        if kept is None:
            return self._gone(request)
        if "result" in kept:
            return self._result_page(request, kept)
        if request.method == "POST" and "cancel" in request.POST:
            place_of(token).unlink(missing_ok=True)
            return HttpResponseRedirect(list_url(self.model))
        is_import = request.method == "POST" and "import" in request.POST
        if is_import and "column_0" not in request.POST:
            return self._import(request, token, kept)
        try:
            with opened(token) as stream:
                return self._check_page(request, token, kept, stream)
        except FileNotFoundError:
            return self._gone(request)
        except ImportRefused as err:
            place_of(token).unlink(missing_ok=True)
            messages.error(request, str(err))
            return HttpResponseRedirect(self.import_url())

    def _check_page(self, request, token, kept, stream):
        importer = self.importer
        columns = read_columns(importer, stream, kept["name"])
        if columns is not None and not 0 < len(columns) <= MOST_COLUMNS:
            raise ImportRefused(
                _("%(name)s has %(count)s columns; it must have 1 to %(most)s.")
                % {
                    "name": kept["name"],
                    "count": number(len(columns)),
                    "most": number(MOST_COLUMNS),
                }
            )
        form = None
        if columns is not None:
            chosen = kept.get("columns")
            if chosen is None:
                chosen = suggest_columns(importer, columns)
                self._change(request, token, columns=chosen)
            data = request.POST if request.method == "POST" else None
            form = ColumnsForm(importer, columns, chosen, data)
            if data is not None and form.is_valid():
                if form.chosen() == chosen and "import" in data:
                    return self._import(request, token, kept)
                if "import" in data:
                    text = _("You changed the columns. This is what it comes to now.")
                    messages.info(request, text)
                self._change(request, token, columns=form.chosen())
                return HttpResponseRedirect(request.path)
            kept = {**kept, "columns": chosen}
        panels, good = self._look(importer, stream, kept)
        return self._page(
            request,
            "import_check.html",
            _("Import %(what)s from %(name)s")
            % {"what": importer.noun[1], "name": kept["name"]},
            form=form,
            panels=panels,
            good=good,
            noun=importer.noun[0] if good == 1 else importer.noun[1],
        )

    def _look(self, importer, stream, kept):
        """(what the file comes to, how many good rows it has)."""
        given = {"name": kept["name"], "columns": kept.get("columns")}
        missing = missing_fields(importer, kept.get("columns"))
        if missing:
            text = _("Say which column is %(names)s; every row needs it.")
            names = ", ".join(missing)
            return [Panel(title=_("Check"), notes=[text % {"names": names}])], 0
        rows = first_rows(importer, stream, count=ROWS_SHOWN, **given)
        stored = import_rows(importer, stream, dry_run=True, **given)
        return [
            stored_panel(_("Check"), importer, stored),
            preview_panel(rows),
            *bad_panels(stored),
        ], stored.good

    def _import(self, request, token, kept):
        importer = self.importer
        columns = kept.get("columns")
        if missing_fields(importer, columns):
            return HttpResponseRedirect(request.path)
        # A file is taken once: a second click finds none.
        taken = place_of(token).with_suffix(".taken")
        try:
            place_of(token).rename(taken)
        except FileNotFoundError:
            return self._gone(request)
        try:
            with taken.open("rb") as stream:
                stored = import_rows(
                    importer, stream, name=kept["name"], columns=columns
                )
        except ImportRefused as err:
            messages.error(request, str(err))
            return HttpResponseRedirect(self.import_url())
        finally:
            taken.unlink(missing_ok=True)
        counts = {
            "created": stored.created,
            "updated": stored.updated,
            "unchanged": stored.unchanged,
            "refused": len(stored.bad),
        }
        audit(
            f"import.{self.import_kind}",
            actor=request.user.get_username(),
            target=kept["name"],
            after=counts,
        )
        text = ngettext(
            "Imported %(count)s %(one)s.", "Imported %(count)s %(many)s.", stored.good
        ) % {
            "count": number(stored.good),
            "one": importer.noun[0],
            "many": importer.noun[1],
        }
        level = messages.WARNING if stored.bad else messages.SUCCESS
        self.message_user(request, text, level)
        if not stored.bad:
            self._change(request, token, result={**counts, "bad": []})
            return HttpResponseRedirect(list_url(self.model))
        bad = [[b.line, b.field, b.value, b.problem] for b in stored.bad]
        result = {**counts, "bad": bad[:BAD_ROWS_SHOWN]}
        self._change(request, token, result=result)
        return HttpResponseRedirect(request.path)

    def _result_page(self, request, kept):
        result = kept["result"]
        panel = Panel(
            title=_("What was imported"),
            facts=counts_facts(
                result["created"], result["updated"], result["unchanged"]
            )
            + [(_("not imported"), number(result["refused"]))],
        )
        panels = [panel]
        if result["bad"]:
            rows = [BadRow(*row) for row in result["bad"]]
            panels.append(bad_rows_panel(rows, result["refused"]))
        return self._page(
            request,
            "import_result.html",
            _("Imported from %(name)s") % {"name": kept["name"]},
            panels=panels,
        )


def place_of(token):
    """Where an upload lies; tokens are ours, and still only their own letters count."""
    name = "".join(sign for sign in token if sign.isalnum() or sign in "-_")
    return Path(settings.SPOOL_DIR) / "imports" / f"{name}.upload"


@contextmanager
def opened(token):
    with place_of(token).open("rb") as stream:
        yield stream


def sweep():
    """Remove what was uploaded a day ago and never imported."""
    for file in (Path(settings.SPOOL_DIR) / "imports").glob("*"):
        with suppress(FileNotFoundError):
            if time.time() - file.stat().st_mtime > STALE_SECONDS:
                file.unlink()


def missing_fields(importer, columns):
    """Fields that every row needs and that no column is; for a CSV."""
    if columns is None:
        return []
    return [
        name
        for name, info in importer.row.model_fields.items()
        if info.is_required() and name not in columns.values()
    ]
