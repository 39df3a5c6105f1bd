"""The queue of review, approving many at once, and the questions that are open."""

from dataclasses import replace
from urllib.parse import urlencode

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.html import strip_tags
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from batches.admin import selection
from batches.admin.display import number, up_to
from batches.admin.subjects import may_see, name_subjects
from batches.errors import BatchError
from translations.admin import everything
from translations.languages import direction, language_name
from translations.models import ReviewComment, Translation
from translations.quality.findings import ERRORS, WARNING_COSTS
from translations.registry import all_registered
from translations.review import bulk, comments, queue

COUNTED = 2_000
LISTED = 50
SKIPPED = "review_skipped"
EDIT, REVIEW, PUBLISH = (
    f"translations.{codename}_translation" for codename in ("edit", "review", "publish")
)


def queue_url(filters=None, step=""):
    name = f"admin:translations_translation_review{step}"
    query = urlencode(filters.as_query) if filters else ""
    return f"{reverse(name)}?{query}" if query else reverse(name)


def review_url(key, filters=None):
    url = reverse("admin:translations_translation_review_one", args=[key])
    query = urlencode(filters.as_query) if filters else ""
    return f"{url}?{query}" if query else url


class QueuePages:
    """The pages of the queue, on the admin of translations."""

    def get_urls(self):
        wrap = self.admin_site.admin_view
        start = "translations_translation_review"
        return [
            path("review/", wrap(self.queue_view), name=start),
            path("review/bulk/", wrap(self.bulk_view), name=f"{start}_bulk"),
            path("review/asked/", wrap(self.asked_view), name=f"{start}_asked"),
            *super().get_urls(),
        ]

    def review_page(self, request, template, title, **context):
        return TemplateResponse(
            request,
            f"admin/translations/{template}",
            {
                **self.admin_site.each_context(request),
                "is_nav_sidebar_enabled": False,
                "opts": self.opts,
                "title": title,
                "media": self.media,
                "queue_url": queue_url(),
                **context,
            },
        )

    # --- the queue --------------------------------------------------------------------

    def queue_view(self, request):
        if not self.has_view_permission(request):
            raise PermissionDenied
        filters = queue.Filters.read(request.GET)
        if request.method == "POST":
            request.session[SKIPPED] = []
            return HttpResponseRedirect(queue_url(filters))
        waiting = queue.waiting(filters, reader=request.user)
        skipped = request.session.get(SKIPPED, [])
        rows = list(
            waiting.exclude(pk__in=skipped)
            .select_related("latest")
            .defer("latest__text", "latest__spans", "latest__findings")[:LISTED]
        )
        first = rows[0] if rows else None
        name_subjects(request, rows)
        for row in rows:
            row.review_url = review_url(row.pk, filters)
            row.pair = pair_name(f"{row.source_language}>{row.language}")
        return self.review_page(
            request,
            "review_queue.html",
            _("Review translations"),
            rows=rows,
            filters=filters,
            shelves=[(key, label) for key, label in queue.SHELVES.items()],
            pairs=[(pair, pair_name(pair)) for pair in self._pairs(filters, request)],
            kinds=self._kinds(request),
            codes=sorted({*ERRORS, *WARNING_COSTS}),
            left=up_to(COUNTED, waiting),
            skipped=waiting.filter(pk__in=skipped).count() if skipped else 0,
            start_url=review_url(first.pk, filters) if first else "",
            bulk_url=(
                queue_url(filters, "_bulk")
                if request.user.has_perm(REVIEW)
                and filters.shelf == queue.TO_REVIEW
                and first
                else ""
            ),
            only_languages=", ".join(
                map(language_name, filter(None, filters.languages.split(",")))
            ),
            all_url=queue_url(replace(filters, languages="")),
            mail_url=queue_url(step="_mail") if self._may_get_mail(request) else "",
            asked_url=queue_url(step="_asked"),
            asked=comments.open_questions().count(),
        )

    def _may_get_mail(self, request):
        return request.user.has_perm(EDIT) or request.user.has_perm(REVIEW)

    def _kinds(self, request):
        seen = {
            entry.label
            for entry in all_registered().values()
            if may_see(request, entry.model)
        }
        return [pair for pair in queue.kinds() if pair[0].split(":")[0] in seen]

    def _pairs(self, filters, request):
        shelf = queue.Filters(shelf=filters.shelf, languages=filters.languages)
        units = queue.units_of(shelf, reader=request.user)
        return queue.pairs_of(units, f"{shelf.shelf} {shelf.languages}")

    # --- many at once -----------------------------------------------------------------

    def bulk_view(self, request):
        if not request.user.has_perm(REVIEW) or not self.has_view_permission(request):
            raise PermissionDenied
        filters = queue.Filters.read(request.GET).on(queue.TO_REVIEW)
        may_publish = request.user.has_perm(PUBLISH)
        if request.method == "POST":
            return self._approve_many(request, filters, may_publish)
        plan = bulk.plan_bulk(queue.waiting(filters, reader=request.user))
        name_subjects(request, plan.units)
        for unit in plan.units:
            unit.direction_ = direction(unit.language)
            unit.review_url = review_url(unit.pk, filters)
        token = selection.keep(
            request,
            Translation,
            [unit.pk for unit in plan.units],
            versions=[unit.latest_id for unit in plan.units],
        )
        return self.review_page(
            request,
            "review_bulk.html",
            _("Approve many at once"),
            plan=plan,
            left_out=list(plan.left_out.items()),
            token=token,
            most=bulk.MOST,
            lowest=bulk.LOWEST_SCORE,
            may_publish=may_publish,
            back_url=queue_url(filters),
        )

    def _approve_many(self, request, filters, may_publish):
        token = request.POST.get("token", "")
        found = selection.kept(request, Translation, token)
        if found is None or not selection.forget(request, token):
            selection.say_it_is_gone(request)
            return HttpResponseRedirect(queue_url(filters))
        ticked = set(request.POST.getlist("unit"))
        chosen = [
            (int(key), version)
            for key, version in zip(found["keys"], found["versions"], strict=True)
            if key in ticked
        ]
        result = bulk.approve_many(
            chosen,
            by=request.user,
            publish=may_publish and request.POST.get("publish") == "1",
        )
        text = ngettext(
            "Approved: %(count)s text. To be looked at again: %(again)s.",
            "Approved: %(count)s texts. To be looked at again: %(again)s.",
            result.approved,
        ) % {"count": number(result.approved), "again": number(result.second_looks)}
        messages.success(request, text)
        for refused in result.refused[:5]:
            messages.warning(request, refused)
        if len(result.refused) > 5:
            more = number(len(result.refused) - 5)
            messages.warning(request, _("… and %(count)s more.") % {"count": more})
        return HttpResponseRedirect(queue_url(filters))

    # --- questions --------------------------------------------------------------------

    def asked_view(self, request):
        """Open questions, the oldest first, and a place to answer each."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        may_answer = request.user.has_perm(EDIT)
        if request.method == "POST":
            if not may_answer:
                raise PermissionDenied
            key = request.POST.get("comment", "")
            comment = ReviewComment.objects.filter(
                pk=key if key.isdecimal() else 0
            ).first()
            if comment is None:
                raise Http404
            try:
                comments.answer(
                    comment, by=request.user, text=request.POST.get("answer", "")
                )
                messages.success(
                    request, _("Answered; the text waits for review again.")
                )
            except BatchError as err:
                messages.error(request, str(err))
            return HttpResponseRedirect(queue_url(step="_asked"))
        asked = list(
            comments.open_questions()
            .select_related("translation")
            .order_by("pk")[:LISTED]
        )
        units = [comment.translation for comment in asked]
        name_subjects(request, units)
        for comment in asked:
            unit = comment.translation
            comment.review_url = review_url(unit.pk)
            comment.pair = pair_name(f"{unit.source_language}>{unit.language}")
        return self.review_page(
            request,
            "review_asked.html",
            _("Questions"),
            asked=asked,
            may_answer=may_answer,
        )


def _waiting(request):
    return queue.waiting(queue.Filters(), reader=request.user)


def _shown(request, units):
    rows = units.select_related("latest")
    rows = list(rows.defer("latest__text", "latest__spans", "latest__findings"))
    name_subjects(request, rows)
    for unit in rows:
        yield everything.Waiting(
            title=f"{unit.field} · {strip_tags(unit.subject_name)}",
            language=pair_name(f"{unit.source_language}>{unit.language}"),
            url=review_url(unit.pk),
            score=unit.latest.score,
            errors=unit.latest.errors,
            warnings=unit.latest.warnings,
            since=unit.updated_at,
            is_sandbox=unit.is_sandbox,
            label=_("Translation"),
        )


everything.in_queue(
    everything.Kind(
        name="translation",
        label=gettext_lazy("Translations"),
        model=Translation,
        waiting=_waiting,
        shown=_shown,
        queue_url=queue_url,
    )
)


def pair_name(pair):
    source, _sign, target = pair.partition(">")
    return f"{language_name(source)} → {language_name(target)}"
