"""Pages that follow what happens by themselves: their panels, asked for again."""

import hashlib
import json
from dataclasses import dataclass

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse
from django.template.loader import render_to_string
from django.urls import path, reverse

QUICK_SECONDS = 2
SLOW_SECONDS = 5
STOP = 0


@dataclass
class Live:
    """What a page shows now: its panels, one sentence that is read aloud, and in how
    many seconds to ask again (`STOP`: never)."""

    panels: list
    sentence: str
    seconds: int
    acts: tuple = ()  # the kinds that are possible now


class LiveAdmin:
    """A row's page whose panels are kept up to date by `live.js`; works without it."""

    def live(self, request, row):
        raise NotImplementedError

    def get_urls(self):
        view = self.admin_site.admin_view(self.live_view)
        mine = path("<path:object_id>/live/", view, name=self._live_name)
        return [mine, *super().get_urls()]

    @property
    def _live_name(self):
        return f"{self.opts.app_label}_{self.opts.model_name}_live"

    def panels(self, request, row):
        return self.live(request, row).panels if row else []

    def render_change_form(self, request, context, *args, obj=None, **kwargs):
        if obj is not None:
            live = self.live(request, obj)
            context["live"] = live
            context["panels"] = live.panels
            context["live_url"] = reverse(f"admin:{self._live_name}", args=[obj.pk])
        return super().render_change_form(request, context, *args, obj=obj, **kwargs)

    def live_view(self, request, object_id):
        row = self.get_object(request, object_id)
        if row is None:
            raise Http404
        if not self.has_view_permission(request, row):
            raise PermissionDenied
        return live_response(request, self.live(request, row))


def live_response(request, live):
    """The panels of a page as JSON; 304 where the caller has them already."""
    said = {
        "html": render_to_string(
            "admin/batches/panels.html", {"panels": live.panels}, request
        ),
        "sentence": live.sentence,
        "seconds": live.seconds,
        "acts": sorted(live.acts),
    }
    body = json.dumps(said, ensure_ascii=False).encode()
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    if request.headers.get("If-None-Match") == etag:
        response = HttpResponse(status=304)
    else:
        response = HttpResponse(body, content_type="application/json")
    response["ETag"] = etag
    return response
