"""The shape of the engine's pages: read-only, and no list counts a hot table."""

from uuid import UUID

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.views.main import PAGE_VAR, ChangeList
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.db.models import Q
from django.utils.translation import gettext as _

from batches.admin.display import EMPTY
from batches.admin.panels import row_panel

OLDER, NEWER = "older-", "newer-"


class PanelAdmin(admin.ModelAdmin):
    """Shows panels on a row's page; `row` is None on the page that adds one."""

    show_facets = admin.ShowFacets.NEVER  # "show counts" would count the whole table
    empty_value_display = EMPTY

    class Media:
        css = {"all": ["batches/admin.css"]}

    def panels(self, request, row):
        return [row_panel(row)]

    def response_action(self, request, queryset):
        """Run the chosen action; keys that no row can have are refused in words."""
        for key in request.POST.getlist(ACTION_CHECKBOX_NAME):
            try:
                self.opts.pk.run_validators(self.opts.pk.to_python(key))
            except ValidationError:
                text = _("%(key)s is no key of a row here; nothing was changed.")
                messages.error(request, text % {"key": repr(key)})
                return None
        return super().response_action(request, queryset)

    def render_change_form(self, request, context, *args, obj=None, **kwargs):
        if "panels" not in context:
            context["panels"] = self.panels(request, obj)
        return super().render_change_form(request, context, *args, obj=obj, **kwargs)


class ReadOnlyAdmin(PanelAdmin):
    """Rows that only services write: seen with the view permission, never changed."""

    change_form_template = "admin/batches/detail.html"

    def has_add_permission(self, request, obj=None):
        return False

    def has_change_permission(self, request, obj=None):
        return False

    def has_delete_permission(self, request, obj=None):
        return False


class PublicIdAdmin(ReadOnlyAdmin):
    """Its rows' pages are found under their public id too, which addresses carry."""

    def get_object(self, request, object_id, from_field=None):
        try:
            public_id = UUID(object_id)
        except ValueError:
            return super().get_object(request, object_id, from_field)
        return self.get_queryset(request).filter(public_id=public_id).first()

    def get_search_results(self, request, queryset, search_term):
        term = search_term.strip()
        return (queryset.filter(self.found_by(term)) if term else queryset), False

    def found_by(self, term):
        """Q for a row's number, or the beginning of its public id."""
        if not term.isdecimal():
            return Q(public_id__istartswith=term)
        by_key = Q(pk=term) if len(term) < 19 else Q()
        # A short number is a row's own; many an id begins with it.
        return by_key | Q(public_id__istartswith=term) if len(term) > 5 else by_key


class OnePagePaginator(Paginator):
    """What a keyset list needs of a paginator: it never counts."""

    count = 0
    num_pages = 1


class KeysetChangeList(ChangeList):
    """Newest first, page by page along the key: the last costs what the first does.

    Django's own list counts all rows that match and skips those before the page, which
    on a million rows takes seconds. This one reads a page and one row more, and knows
    from that whether there are others: `?p=older-123` are the rows below key 123,
    `?p=newer-123` those above it. (The name of the parameter is Django's for the page:
    it is the one that its links and filters drop by themselves.)
    """

    def get_ordering(self, request, queryset):
        return ["-pk"]

    def get_results(self, request):
        asked = request.GET.get(PAGE_VAR, "")
        rows = self.queryset.order_by("-pk").defer(*self.model_admin.list_defer)
        key = _key_after(asked)
        if key is None:
            page, is_more = self._page(rows)
            is_older, is_newer = is_more, False
        elif asked.startswith(OLDER):
            page, is_older = self._page(rows.filter(pk__lt=key))
            is_newer = True
        else:
            page, is_newer = self._page(rows.filter(pk__gt=key).order_by("pk"))
            page.reverse()
            is_older = True
        self.model_admin.prepare_page(request, page)
        self.result_list = page
        self.older_url = self._url(OLDER, page[-1]) if page and is_older else ""
        self.newer_url = self._url(NEWER, page[0]) if page and is_newer else ""
        self.first_url = self.get_query_string() if key is not None else ""
        # What the templates ask: the figures are those of this page alone.
        self.result_count = self.full_result_count = len(page)
        self.show_full_result_count = False
        self.show_admin_actions = True
        self.can_show_all = self.multi_page = False
        self.paginator = OnePagePaginator([], self.list_per_page)

    def _page(self, rows):
        """A page of rows, and whether there is a row after it."""
        found = list(rows[: self.list_per_page + 1])
        return found[: self.list_per_page], len(found) > self.list_per_page

    def _url(self, way, row):
        return self.get_query_string({PAGE_VAR: f"{way}{row.pk}"})


def _key_after(asked):
    """The key in `older-123` or `newer-123`; None for anything else: the first page."""
    for way in (OLDER, NEWER):
        digits = asked.removeprefix(way)
        if digits != asked and digits.isdecimal() and len(digits) < 19:
            return int(digits)
    return None


class KeysetAdmin(ReadOnlyAdmin):
    """A read-only model with very many rows."""

    change_list_template = "admin/batches/keyset_list.html"
    list_defer = ()  # long texts that no column shows
    list_per_page = 50
    show_full_result_count = False
    paginator = OnePagePaginator
    sortable_by = ()  # any other order would sort the whole table
    ordering = ["-pk"]

    def get_changelist(self, request, **kwargs):
        return KeysetChangeList

    def prepare_page(self, request, rows):
        """Fetch what the columns of these rows need, all at once."""
