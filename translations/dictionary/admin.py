"""Words and their entries: to read, to filter and to hand out; services write them."""

from django.contrib import admin
from django.db.models import F
from django.http import StreamingHttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from batches.admin.acts import Act, ActsAdmin, how_many
from batches.admin.base import KeysetAdmin, ReadOnlyAdmin
from batches.admin.desk import counts
from batches.admin.display import (
    EMPTY,
    badge,
    link,
    moment,
    number,
    pretty,
    row_link,
    row_url,
    up_to,
)
from batches.admin.filters import ChoiceFilter, TextFilter, text_range
from batches.admin.groups import EDITOR, OPERATOR, REVIEWER, every, ship
from batches.admin.panels import Block, Panel, facts
from batches.admin.subjects import may_see
from batches.models import BatchItem, PromptVersion
from translations.admin.everything import (
    RISKIEST_FIRST,
    Kind,
    Waiting,
    everything_url,
    in_queue,
    url_of_next,
)
from translations.admin.rejecting import RejectForm
from translations.admin.showing import status_label
from translations.dictionary.export import EXPORTS, ROWS_AT_ONCE, as_csv, as_jsonl
from translations.dictionary.models import Entry, FeatureAnswer, Word, WordStatus
from translations.dictionary.normalising import REASONS
from translations.dictionary.review import (
    APPROVE,
    PUBLISH,
    REJECT,
    UNPUBLISH,
    approve_entry,
    possible_for_entry,
    publish_entry,
    reject_entry,
    unpublish_entry,
)
from translations.dictionary.shapes import whole_entry
from translations.languages import direction, language_name
from translations.models import ReviewStatus
from translations.review.queue import came_first

ROWS_EXPORTED = 100_000
ENTRIES_SHOWN = 20
FORMS_SHOWN = 50
COUNTED = 2_000
MAY_REVIEW, MAY_PUBLISH = (
    f"translations_dictionary.{act}_entry" for act in ("review", "publish")
)


def rows_in_words(count):
    return ngettext("%(count)s entry.", "%(count)s entries.", count) % {
        "count": number(count)
    }


def _act(kind, label, says, done, do, permission, **more):
    return Act(
        name=f"{kind}_entry",
        kind=kind,
        label=label,
        says=says,
        done=done,
        permission=permission,
        do=do,
        effect=how_many,
        in_words=rows_in_words,
        **more,
    )


ACTS = (
    _act(
        APPROVE,
        gettext_lazy("Approve"),
        gettext_lazy(
            "The entry is right. Readers do not get it before it is published."
        ),
        gettext_lazy("Approved"),
        approve_entry,
        MAY_REVIEW,
    ),
    _act(
        PUBLISH,
        gettext_lazy("Publish"),
        gettext_lazy(
            "Readers get this entry for its word. One that they got before is only "
            "approved from then on."
        ),
        gettext_lazy("Published"),
        publish_entry,
        MAY_PUBLISH,
    ),
    _act(
        UNPUBLISH,
        gettext_lazy("Take from view"),
        gettext_lazy("Readers get no entry for its word. It stays approved."),
        gettext_lazy("Taken from view"),
        unpublish_entry,
        MAY_PUBLISH,
        is_grave=True,
    ),
    _act(
        REJECT,
        gettext_lazy("Reject"),
        gettext_lazy(
            "The entry is put aside. Its word keeps it until a new one is written "
            "(run_workload dictionary --word … --redo), which is told the reason."
        ),
        gettext_lazy("Rejected"),
        reject_entry,
        MAY_REVIEW,
        is_grave=True,
        form=RejectForm,
    ),
)


class ExportMixin:
    """Hands out the ticked rows; “select all” means all that the filters leave."""

    actions = ["export_csv", "export_jsonl"]

    def get_actions(self, request):
        actions = super().get_actions(request)
        actions.pop("delete_selected", None)
        return actions

    @admin.action(
        description=gettext_lazy("Export selected as CSV"), permissions=["view"]
    )
    def export_csv(self, request, queryset):
        columns, rows = EXPORTS[self.model]
        lines = as_csv(columns, rows(_streamed(queryset)))
        return self._file(lines, "csv", "text/csv; charset=utf-8")

    @admin.action(
        description=gettext_lazy("Export selected as JSON Lines"), permissions=["view"]
    )
    def export_jsonl(self, request, queryset):
        _columns, rows = EXPORTS[self.model]
        return self._file(
            as_jsonl(rows(_streamed(queryset))), "jsonl", "application/jsonl"
        )

    def _file(self, lines, suffix, kind):
        name = f"{self.model._meta.model_name}.{suffix}"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return StreamingHttpResponse(lines, content_type=kind, headers=headers)


def _streamed(queryset):
    return queryset.order_by("pk")[:ROWS_EXPORTED].iterator(chunk_size=ROWS_AT_ONCE)


class LanguageFilter(ChoiceFilter):
    title = gettext_lazy("language")
    parameter_name = "language"

    def lookups(self, request, model_admin):
        return [(tag, language_name(tag)) for tag in ("en", "so", "ar")]


class ReasonFilter(ChoiceFilter):
    title = gettext_lazy("why not")
    parameter_name = "reason"

    def lookups(self, request, model_admin):
        return list(REASONS.items())


class CodeFilter(TextFilter):
    """A word by its key, such as en:patience; of entries and answers."""

    title = gettext_lazy("word (such as en:patience)")
    parameter_name = "word"

    def matching(self, queryset, value):
        return queryset.filter(word_id=value)


@admin.register(Word)
class WordAdmin(ExportMixin, ReadOnlyAdmin):
    list_display = [
        "text",
        "language",
        "status_label",
        "why",
        "zipf",
        "entry_label",
        "preset",
    ]
    list_filter = ["status", LanguageFilter, ReasonFilter]
    list_per_page = 50
    ordering = ["pk"]
    search_fields = ["text"]
    search_help_text = gettext_lazy("The beginning of a word.")
    show_full_result_count = False
    sortable_by = ()

    def get_queryset(self, request):
        queryset = super().get_queryset(request).select_related("entry")
        return queryset.defer("forms", "entry__content", "entry__findings")

    def get_search_results(self, request, queryset, search_term):
        term = search_term.strip().lower()
        return (queryset.filter(text_range("text", term)) if term else queryset), False

    @admin.display(description=gettext_lazy("status"))
    def status_label(self, word):
        tone = "good" if word.status == WordStatus.KEPT else "off"
        return badge(word.get_status_display(), tone)

    @admin.display(description=gettext_lazy("why not"))
    def why(self, word):
        if word.headword:
            return _("a form of %(word)s") % {"word": word.headword}
        return _(word.reason_in_words) if word.reason else ""

    @admin.display(description=gettext_lazy("entry"))
    def entry_label(self, word):
        return entry_label(word.entry) if word.entry else EMPTY

    def panels(self, request, word):
        entries = word.entries.order_by("-number").defer("content", "findings")
        forms = [(form, number(count)) for form, count in sorted(word.forms.items())]
        panels = [
            Panel(
                title=_("Word"),
                facts=[
                    (_("language"), language_name(word.language)),
                    (_("status"), self.status_label(word)),
                    (_("why not"), self.why(word) or EMPTY),
                    *facts(word, ["zipf", "preset", "source", "updated_at"]),
                ],
            ),
            Panel(
                title=_("Words as found"),
                columns=[_("Word"), _("How often")],
                rows=forms[:FORMS_SHOWN],
                empty=_("None is kept for it."),
            ),
            Panel(
                title=_("Entries"),
                columns=[_("Entry"), _("Model"), _("Item"), _("At")],
                rows=[
                    (
                        entry_label(entry),
                        entry.model,
                        row_link(BatchItem, entry.item_id),
                        moment(entry.created_at),
                    )
                    for entry in entries[:ENTRIES_SHOWN]
                ],
                empty=_("No entry yet. “run_workload dictionary” has them written."),
            ),
        ]
        if word.entry:
            panels.insert(1, entry_panel(word, word.entry))
        if word.is_stale:
            panels[0].notes.append(_("What it stands for changed since its entry."))
        return panels


def entry_label(entry):
    link = row_link(Entry, entry.pk, _("entry %(number)s") % {"number": entry.number})
    return link


def entry_panel(word, entry):
    """An entry to read: meanings with their examples, the rest below."""
    content = whole_entry(entry.content)
    blocks = []
    for meaning in content["meanings"]:
        lines = [meaning["definition"], *(f"– {text}" for text in meaning["examples"])]
        for name in ("synonyms", "antonyms"):
            if meaning[name]:
                lines.append(f"{_(name)}: {', '.join(meaning[name])}")
        label = ", ".join(filter(None, map(meaning.get, ("pos", "cluster", "cefr"))))
        blocks.append(
            Block(label, "\n".join(lines), word.language, direction(word.language))
        )
        for said in meaning["translations"]:
            tag = said["language"]
            label = language_name(tag)
            blocks.append(Block(label, said["text"], tag, direction(tag)))
    ipa = ", ".join(said["ipa"] for said in content["pronunciations"])
    forms = ", ".join(
        f"{one['form']} ({one['label']})" for one in content["inflections"]
    )
    panel = Panel(
        title=_("Entry"),
        facts=[
            (_("pronunciation"), ipa or EMPTY),
            (_("inflections"), forms or EMPTY),
            (_("etymology"), content["etymology"]["text"] or EMPTY),
            (_("automatic checks (0–100)"), entry.score),
        ],
        blocks=blocks,
        empty=_("It is said to be no word."),
    )
    if entry.is_sandbox:
        panel.notes.append(_("The sandbox pretended this."))
    return panel


@admin.register(Entry)
class EntryAdmin(ExportMixin, ActsAdmin, KeysetAdmin):
    acts = ACTS
    act_column = gettext_lazy("Word")
    list_display = [
        "id",
        "word_label",
        "number",
        "status_label",
        "score",
        "errors",
        "warnings",
        "sandbox",
        "created_at",
    ]
    list_filter = ["status", "is_sandbox", CodeFilter]
    list_select_related = ["word"]
    list_defer = ("content", "findings", "word__forms")

    @admin.display(description=gettext_lazy("word"))
    def word_label(self, entry):
        return row_link(Word, entry.word_id, entry.word.text)

    @admin.display(description=gettext_lazy("status"))
    def status_label(self, entry):
        return status_label(entry)

    def act_row(self, entry):
        return (
            row_link(Entry, entry.pk, str(entry)),
            status_label(entry),
            self.word_label(entry),
        )

    def possible_acts(self, entry, context):
        return possible_for_entry(entry)

    def url_after(self, request, act, rows):
        if act.kind == UNPUBLISH or len(rows) > 1:
            return super().url_after(request, act, rows)
        return url_of_next(request, ENTRIES.name)

    @admin.display(description=gettext_lazy("sandbox"))
    def sandbox(self, entry):
        return badge(_("sandbox"), "warn") if entry.is_sandbox else ""

    def panels(self, request, entry):
        names = ["number", "status", "provider", "model", "errors", "warnings"]
        names += ["score", "checks_version", "is_sandbox", "created_at"]
        names += ["decided_by", "decided_at"] if entry.decided_at else []
        names += ["reason", "explanation"] if entry.reason else []
        return [
            Panel(
                title=_("Where it is from"),
                facts=[
                    (_("word"), self.word_label(entry)),
                    (_("item"), row_link(BatchItem, entry.item_id)),
                    (_("prompt"), row_link(PromptVersion, entry.prompt_version_id)),
                    *facts(entry, names),
                ],
            ),
            entry_panel(entry.word, entry),
            Panel(
                title=_("Findings"),
                columns=[_("Severity"), _("Code"), _("Message"), _("Place")],
                rows=[
                    (
                        badge(_("error"), "bad")
                        if finding["severity"] == "error"
                        else badge(_("warning"), "warn"),
                        finding["code"],
                        finding["message"],
                        finding["place"] or EMPTY,
                    )
                    for finding in entry.findings
                ],
                empty=_("The automatic checks found nothing."),
            ),
        ]


@admin.register(FeatureAnswer)
class FeatureAnswerAdmin(KeysetAdmin):
    list_display = ["id", "word_label", "feature", "is_sandbox", "created_at"]
    list_filter = ["feature", "is_sandbox", CodeFilter]
    list_select_related = ["word"]
    list_defer = ("content", "word__forms")

    @admin.display(description=gettext_lazy("word"))
    def word_label(self, told):
        return row_link(Word, told.word_id, told.word.text)

    def panels(self, request, told):
        names = ["feature", "provider", "model", "is_sandbox", "created_at"]
        return [
            Panel(
                title=_("Answer about a word"),
                facts=[
                    (_("word"), self.word_label(told)),
                    (_("item"), row_link(BatchItem, told.item_id)),
                    *facts(told, names),
                ],
                blocks=[Block(_("answer"), pretty(told.content), is_code=True)],
            )
        ]


for group in (EDITOR, REVIEWER, OPERATOR):
    ship(group, *every(Word, Entry, FeatureAnswer, of=["view"]))
ship(REVIEWER, MAY_REVIEW, MAY_PUBLISH)


def _waiting(request):
    """Entries that a person is to read: the latest of their words alone."""
    waiting = Entry.objects.filter(status=ReviewStatus.PENDING_REVIEW)
    latest = came_first(waiting).filter(word__entry=F("pk"))
    return latest.order_by(*RISKIEST_FIRST)


def _shown(request, entries):
    rows = entries.select_related("word").defer(*EntryAdmin.list_defer)
    for entry in rows:
        yield Waiting(
            title=entry.word.text,
            language=language_name(entry.word.language),
            url=row_url(Entry, entry.pk),
            score=entry.score,
            errors=entry.errors,
            warnings=entry.warnings,
            since=entry.created_at,
            is_sandbox=entry.is_sandbox,
            label=_("Dictionary entry"),
        )


ENTRIES = Kind(
    "dictionary", gettext_lazy("Dictionary entries"), Entry, _waiting, _shown
)
in_queue(ENTRIES)


@counts
def entries_to_review(request):
    if not may_see(request, Entry):
        return []
    waiting = up_to(COUNTED, _waiting(request))
    return [
        (_("dictionary entries to review"), link(everything_url(ENTRIES.name), waiting))
    ]
