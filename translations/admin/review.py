"""Review by a person: the page of one text, and what is done there."""

import json

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpResponseRedirect, JsonResponse
from django.urls import path, reverse
from django.utils import formats, timezone
from django.utils.translation import gettext as _

from batches.admin.display import number, row_url
from batches.admin.subjects import may_see, name_subjects
from batches.errors import BatchError
from translations.admin.review_page import review_context
from translations.admin.review_queue import (
    COUNTED,
    EDIT,
    PUBLISH,
    REVIEW,
    SKIPPED,
    QueuePages,
    pair_name,
    queue_url,
    review_url,
)
from translations.admin.review_text import finding_view
from translations.admin.translate import row_translate_url
from translations.languages import language_name
from translations.models import Translation
from translations.review import acts, comments, drafts, queue
from translations.review.texts import findings_now, read_version

SKIPPED_KEPT = 500
# What a page may do: the permission, and what is said when it was done.
ACTS = {
    "settle": REVIEW,
    "approve": REVIEW,
    "reject": REVIEW,
    "save": EDIT,
    "ask": EDIT,
    "note": EDIT,
    "drop": EDIT,
    "restore": EDIT,
    "skip": None,
    "unpublish": PUBLISH,
}
STAYS = ("note", "drop", "restore", "unpublish", "save")


class ReviewPages(QueuePages):
    """The pages of review, on the admin of translations."""

    def get_urls(self):
        wrap = self.admin_site.admin_view
        start = "translations_translation_review"
        return [
            path("<int:key>/review/", wrap(self.review_view), name=f"{start}_one"),
            path(
                "<int:key>/review/draft/",
                wrap(self.draft_view),
                name=f"{start}_draft",
            ),
            *super().get_urls(),
        ]

    # --- one text ---------------------------------------------------------------------

    def review_view(self, request, key):
        unit = self._unit(request, key)
        filters = queue.Filters.read(request.GET)
        if request.method == "POST":
            return self._act(request, unit, filters)
        waiting = queue.waiting(filters, reader=request.user)
        name_subjects(request, [unit])
        context = review_context(
            unit,
            by=request.user,
            may_edit=request.user.has_perm(EDIT),
            may_review=request.user.has_perm(REVIEW),
            may_publish=request.user.has_perm(PUBLISH),
        )
        keys = list(waiting.values_list("pk", flat=True))
        behind = {*request.session.get(SKIPPED, []), unit.pk}
        following = next((one for one in keys if one not in behind), None)
        model = unit.content_type.model_class()
        renew_url = ""
        if unit.is_out_of_date and model is not None:
            renew_url = row_translate_url(
                request,
                model,
                unit.object_id,
                language=unit.language,
                field=unit.field,
            )
        return self.review_page(
            request,
            "review.html",
            _("Review"),
            unit=unit,
            pair=pair_name(f"{unit.source_language}>{unit.language}"),
            left=f"{number(COUNTED)}+" if len(keys) > COUNTED else number(len(keys)),
            back_url=queue_url(filters),
            detail_url=row_url(Translation, unit.pk),
            following_url=review_url(following, filters) if following else "",
            draft_url=reverse(
                "admin:translations_translation_review_draft", args=[unit.pk]
            ),
            login_url=reverse("admin:login"),
            renew_url=renew_url,
            **context,
        )

    def _unit(self, request, key):
        unit = (
            self.get_queryset(request)
            .select_related("latest", "latest__author", "published", "content_type")
            .filter(pk=key)
            .first()
        )
        if unit is None:
            raise Http404
        if not self.has_view_permission(request, unit):
            raise PermissionDenied
        model = unit.content_type.model_class()
        if model is not None and not may_see(request, model):
            raise PermissionDenied
        return unit

    def _act(self, request, unit, filters):
        act = "restore" if "restore" in request.POST else request.POST.get("act", "")
        if act not in ACTS:
            raise Http404
        if ACTS[act] and not request.user.has_perm(ACTS[act]):
            raise PermissionDenied
        try:
            said = self._do(request, unit, act)
        except acts.NeedsAnother as err:
            messages.warning(request, str(err))
            return self._go_on(request, unit, filters)
        except BatchError as err:
            messages.error(request, str(err))
            return HttpResponseRedirect(review_url(unit.pk, filters))
        if said:
            messages.success(request, said)
        if act in STAYS:
            return HttpResponseRedirect(review_url(unit.pk, filters))
        return self._go_on(request, unit, filters)

    def _go_on(self, request, unit, filters):
        """To the next text of the queue; to the queue where there is none."""
        waiting = queue.waiting(filters, reader=request.user)
        skipped = [*request.session.get(SKIPPED, []), unit.pk]
        following = queue.next_after(waiting, skipped=skipped)
        return HttpResponseRedirect(
            review_url(following.pk, filters) if following else queue_url(filters)
        )

    def _do(self, request, unit, act):
        """Do what was asked for; returns the sentence that says so."""
        given, by = request.POST, request.user
        base = int(given["base"]) if given.get("base", "").isdecimal() else 0
        name = f"{unit.field} {unit.object_id}, {language_name(unit.language)}"
        if act == "skip":
            skipped = request.session.get(SKIPPED, [])
            request.session[SKIPPED] = [*skipped, unit.pk][-SKIPPED_KEPT:]
            return ""
        if act == "unpublish":
            acts.unpublish(unit, by=by, text=given.get("words", ""))
            return _("Taken back: %(name)s.") % {"name": name}
        if act == "restore":
            wanted = given["restore"]
            version = unit.versions.filter(
                pk=wanted if wanted.isdecimal() else 0
            ).first()
            if version is None:
                raise acts.ReviewRefused(_("This version is not there any more."))
            made = acts.restore(unit, base=base, version=version, by=by)
            return _("Version %(old)s is here again, as version %(new)s.") % {
                "old": version.number,
                "new": made.number,
            }
        texts = typed_texts(given)
        if request.user.has_perm(EDIT):
            self._keep(request, unit, base, texts)
        if act == "ask":
            comments.ask(unit, by=by, text=given.get("question", ""))
            return _("Your question waits for an answer: %(name)s.") % {"name": name}
        if act == "note":
            comments.note(unit, by=by, text=given.get("note", ""))
            return _("The next request for this text carries your note.")
        if act == "drop":
            drafts.drop_set_aside(unit, by=by)
            return ""
        if act == "reject":
            acts.reject(
                unit,
                base=base,
                by=by,
                reason=given.get("reason", ""),
                text=given.get("words", ""),
            )
            return _("Rejected: %(name)s.") % {"name": name}
        confirmed = {key[6:] for key in given if key.startswith("still-")}
        if act == "save":
            made = acts.edit(unit, base=base, texts=texts, by=by, confirmed=confirmed)
            if made.pk == base:
                return _("Nothing was changed.")
            return _("Saved as version %(number)s.") % {"number": made.number}
        if not request.user.has_perm(EDIT):
            texts = {}
        publishes = act == "settle" and request.user.has_perm(PUBLISH)
        acts.settle(
            unit,
            base=base,
            texts=texts,
            by=by,
            publish=publishes,
            confirmed=confirmed,
            waiver=given.get("waiver", ""),
        )
        if publishes:
            return _("Approved and published: %(name)s.") % {"name": name}
        return _("Approved: %(name)s.") % {"name": name}

    def _keep(self, request, unit, base, texts):
        """Whatever comes of it, what was typed stays."""
        if not unit.versions.filter(pk=base).exists():
            raise acts.ReviewRefused(_("This page is too old; reload it."))
        version = unit.versions.get(pk=base)
        reading = read_version(unit, version)
        changed = reading.changed(texts) if reading else {}
        if changed:
            drafts.save_draft(unit, base=base, by=request.user, texts=changed)

    def draft_view(self, request, key):
        """Keeps what is being typed; answers with what the checks say of it."""
        unit = self._unit(request, key)
        if request.method != "POST" or not request.user.has_perm(EDIT):
            raise PermissionDenied
        try:
            given = json.loads(request.body)
            base, texts = int(given["base"]), given.get("texts")
            if texts is not None:
                texts = {str(name): str(text) for name, text in texts.items()}
            with transaction.atomic():
                drafts.save_draft(unit, base=base, by=request.user, texts=texts)
        except (ValueError, KeyError, TypeError, AttributeError):
            return JsonResponse(
                {"said": _("This page is too old; reload it.")}, status=400
            )
        others = [
            _("%(name)s is editing this since %(time)s.")
            % {
                "name": other.name,
                "time": formats.time_format(timezone.localtime(other.since), "H:i"),
            }
            for other in drafts.others_editing(unit, besides=request.user)
        ]
        answer = {"others": others, "newer": ""}
        if unit.latest_id != base:
            answer["newer"] = _(
                "Version %(number)s was made meanwhile. Reload the page: what you "
                "wrote is kept beside it."
            ) % {"number": unit.latest.number if unit.latest else ""}
        elif texts is not None and (reading := read_version(unit, unit.latest)):
            found = findings_now(reading, texts)
            answer["findings"] = [
                {
                    "segment": finding.get("segment", ""),
                    "severity": view.severity,
                    "message": view.message,
                }
                for finding in found
                if (view := finding_view(finding))
            ]
        if texts is not None:
            clock = formats.time_format(timezone.localtime(), "H:i:s")
            answer["said"] = _("Saved at %(time)s.") % {"time": clock}
        return JsonResponse(answer)


def typed_texts(given):
    """{segment id: text} of the fields of a page."""
    return {key[5:]: text for key, text in given.items() if key.startswith("text-")}
