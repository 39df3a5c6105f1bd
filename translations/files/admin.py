"""Files of requests in the admin: upload, price, start, answers to take away."""

import json

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponseRedirect, StreamingHttpResponse
from django.template.defaultfilters import filesizeformat
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from batches.admin.base import ReadOnlyAdmin
from batches.admin.display import link, list_url, number, row_url
from batches.admin.groups import OPERATOR, every, ship
from batches.admin.panels import Block, Panel, facts
from batches.admin.starting import runs_panel, start_page
from batches.errors import BatchError
from batches.models import Run
from batches.services.budget import Payer
from batches.services.collection import plan_run, start_run_once
from batches.services.events import audit
from batches.states import Trigger
from translations.files.exporting import FORMS, written
from translations.files.importing import Asked, FileRefused, import_file
from translations.files.models import RequestFile
from translations.files.workloads import FileWorkload

PERMISSION = "translations_files.start_requestfile"
MOST_BYTES = 200 * 1024 * 1024
BAD_LINES_SHOWN = 20


class UploadForm(forms.Form):
    file = forms.FileField(
        label=gettext_lazy("File"),
        help_text=gettext_lazy(
            "JSON Lines as the Batch API takes them, or a table (CSV) with a prompt."
        ),
        widget=forms.ClearableFileInput(attrs={"accept": ".jsonl,.ndjson,.csv"}),
    )
    prompt = forms.CharField(
        label=gettext_lazy("Prompt (for a table)"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 5, "dir": "auto"}),
        help_text=gettext_lazy(
            "$column stands for a column's text. Without any, the row goes along as "
            "data."
        ),
    )
    schema = forms.JSONField(
        label=gettext_lazy("JSON schema of answers (for a table)"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 5, "dir": "ltr"}),
    )
    model = forms.CharField(
        label=gettext_lazy("Model (for a table)"),
        required=False,
        max_length=100,
        help_text=gettext_lazy("Empty: OPENAI_MODEL."),
    )
    output_limit = forms.IntegerField(
        label=gettext_lazy("Longest answer (tokens)"),
        required=False,
        min_value=1,
        help_text=gettext_lazy(
            "For requests that set no limit themselves; a table needs it."
        ),
    )

    def clean_file(self):
        file = self.cleaned_data["file"]
        if file.size > MOST_BYTES:
            raise forms.ValidationError(
                _(
                    "The file has %(size)s; at most %(most)s can be uploaded here. "
                    "Use “manage.py import_requests” for it."
                ),
                params={
                    "size": filesizeformat(file.size),
                    "most": filesizeformat(MOST_BYTES),
                },
            )
        return file

    def asked(self):
        given = self.cleaned_data
        return Asked(
            prompt=given["prompt"],
            schema=given["schema"],
            model=given["model"],
            output_limit=given["output_limit"],
        )


@admin.register(RequestFile)
class RequestFileAdmin(ReadOnlyAdmin):
    change_list_template = "admin/translations/request_files.html"
    list_display = ["name", "form", "model", "lines_total", "owner", "created_at"]
    list_select_related = ["owner"]
    list_filter = ["form"]
    ordering = ["-pk"]
    search_fields = ["name"]

    def has_delete_permission(self, request, obj=None):
        return super(ReadOnlyAdmin, self).has_delete_permission(request, obj)

    def get_urls(self):
        def page(way, view, name):
            return path(way, self.admin_site.admin_view(view), name=f"{prefix}_{name}")

        prefix = "translations_files_requestfile"
        return [
            page("upload/", self.upload_view, "upload"),
            page("<int:pk>/start/", self.start_view, "start"),
            page("<int:pk>/answers.<slug:form>", self.answers_view, "answers"),
            *super().get_urls(),
        ]

    def changelist_view(self, request, extra_context=None):
        url = reverse("admin:translations_files_requestfile_upload")
        may_add = request.user.has_perm("translations_files.add_requestfile")
        more = {"upload_url": url if may_add else "", **(extra_context or {})}
        return super().changelist_view(request, more)

    def get_deleted_objects(self, objs, request):
        """Files with their number of lines; not each of 50,000 lines by name."""
        named = [
            _("%(file)s with %(count)s requests and their answers")
            % {"file": file, "count": number(file.lines_total)}
            for file in objs
        ]
        return named, {self.opts.verbose_name_plural: len(named)}, set(), []

    def delete_model(self, request, obj):
        _audit(request, "file.delete", obj)
        super().delete_model(request, obj)

    def delete_queryset(self, request, queryset):
        for file in queryset:
            self.delete_model(request, file)

    def panels(self, request, file):
        if file is None:
            return []
        names = ["form", "model", "lines_total", "output_limit", "created_at"]
        answered = file.lines.filter(item_id__isnull=False).count()
        about = Panel(
            title=_("File"),
            facts=[*facts(file, names), (_("answered"), number(answered))],
            links=[
                link(
                    reverse(
                        "admin:translations_files_requestfile_answers",
                        args=[file.pk, form],
                    ),
                    _("Answers as %(form)s") % {"form": form.upper()},
                )
                for form in FORMS
            ],
        )
        if file.prompt:
            about.blocks.append(Block(_("prompt"), file.prompt))
        if file.schema:
            said = json.dumps(file.schema, indent=2, ensure_ascii=False)
            about.blocks.append(
                Block(_("schema of answers"), said, direction="ltr", is_code=True)
            )
        runs = Run.objects.filter(workload=FileWorkload.key, options__file=file.pk)
        url = reverse("admin:translations_files_requestfile_start", args=[file.pk])
        may_start = request.user.has_perm(PERMISSION)
        return [about, runs_panel(request, runs, start_url=url if may_start else "")]

    def upload_view(self, request):
        if not request.user.has_perm("translations_files.add_requestfile"):
            raise PermissionDenied
        is_sent = request.method == "POST"
        form = UploadForm(request.POST, request.FILES) if is_sent else UploadForm()
        bad = []
        if form.is_valid():
            try:
                return self._take(request, form)
            except FileRefused as err:
                bad = err.bad[:BAD_LINES_SHOWN]
                form.add_error(
                    "file", _("Nothing of it was kept. Correct these lines first.")
                )
            except BatchError as err:
                form.add_error("file", str(err))
        lines = Panel(
            title=_("Lines that cannot be sent"),
            columns=[_("Line"), _("What"), _("Value"), _("Why")],
            rows=[(row.line, row.field, row.value, row.problem) for row in bad],
            is_stacked=True,
        )
        return TemplateResponse(
            request,
            "admin/translations/request_upload.html",
            {
                **self.admin_site.each_context(request),
                "opts": self.opts,
                "title": _("Upload a file of requests"),
                "media": self.media + form.media,
                "form": form,
                "panels": [lines] if bad else [],
                "list_url": list_url(RequestFile),
            },
        )

    def _take(self, request, form):
        upload = form.cleaned_data["file"]
        file = import_file(
            upload.file,
            name=upload.name,
            asked=form.asked(),
            owner=request.user,
            actor=request.user.get_username(),
        )
        text = _("%(file)s is here: %(count)s requests. Nothing is sent yet.")
        messages.success(
            request, text % {"file": file, "count": number(file.lines_total)}
        )
        if request.user.has_perm(PERMISSION):
            name = "admin:translations_files_requestfile_start"
            return HttpResponseRedirect(reverse(name, args=[file.pk]))
        return HttpResponseRedirect(row_url(RequestFile, file.pk))

    def start_view(self, request, pk):
        file = self._seen(request, pk)
        if not request.user.has_perm(PERMISSION):
            raise PermissionDenied
        options = {"file": file.pk}
        payer = Payer(
            FileWorkload.key,
            owner_id=request.user.pk,
            owner_name=request.user.get_username(),
        )
        return start_page(
            self,
            request,
            file,
            payer=payer,
            plan=lambda seconds: plan_run(FileWorkload.key, options, seconds=seconds),
            start=lambda key: start_run_once(
                FileWorkload.key,
                options,
                trigger=Trigger.ADMIN,
                owner=request.user,
                idempotency_key=key,
            ),
        )

    def answers_view(self, request, pk, form):
        file = self._seen(request, pk)
        if form not in FORMS:
            raise Http404
        _audit(request, "file.export", file)
        kind = "text/csv" if form == "csv" else "application/jsonl"
        name = f"answers-{file.pk}.{form}"
        return StreamingHttpResponse(
            written(file, form),
            content_type=f"{kind}; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="{name}"'},
        )

    def _seen(self, request, pk):
        file = self.get_object(request, str(pk))
        if file is None:
            raise Http404
        if not self.has_view_permission(request, file):
            raise PermissionDenied
        return file


def _audit(request, action, file):
    audit(
        action,
        actor=request.user.get_username(),
        target=str(file),
    )


ship(OPERATOR, *every(RequestFile, of=["view", "add", "delete"]), PERMISSION)
