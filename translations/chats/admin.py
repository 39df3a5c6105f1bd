"""Chat sessions, their analyses and what is asked: to read, to filter, to hand out."""

from django.contrib import admin
from django.http import StreamingHttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from batches.admin.base import KeysetAdmin, ReadOnlyAdmin
from batches.admin.desk import Step, advises
from batches.admin.display import EMPTY, badge, list_url, row_link
from batches.admin.filters import ChoiceFilter, TextFilter, text_range
from batches.admin.groups import EDITOR, OPERATOR, REVIEWER, every, ship
from batches.admin.panels import Block, Panel, facts
from batches.admin.subjects import may_see
from batches.models import BatchItem, PromptVersion
from translations.admin.importing import ImportContentMixin
from translations.chats.export import WRITERS, derived, exported
from translations.chats.models import (
    Analysis,
    Attention,
    ChatSession,
    Question,
)
from translations.chats.panels import (
    analyses_panel,
    findings_panel,
    questions_panel,
    transcript_panel,
)
from translations.chats.prompt import prepare
from translations.chats.selection import messages_of
from translations.chats.shapes import ChatAnalysis
from translations.chats.showing import AnalysisBlock
from translations.chats.taxonomies import SHIPPED
from translations.languages import direction, language_name

SESSIONS_SHOWN = 50
KINDS = {"csv": "text/csv; charset=utf-8", "jsonl": "application/jsonl"}
TONES = {
    Attention.NONE: "off",
    Attention.LOOK: "open",
    Attention.HIGH: "warn",
    Attention.URGENT: "bad",
}
SENTIMENT_TONES = {
    "very_negative": "bad",
    "negative": "bad",
    "neutral": "off",
    "positive": "good",
    "very_positive": "good",
}


class AttentionFilter(ChoiceFilter):
    title = gettext_lazy("attention")
    parameter_name = "attention"

    def lookups(self, request, model_admin):
        return Attention.choices


class AnalysisFilter(ChoiceFilter):
    """By what the latest analysis says."""

    def queryset(self, request, queryset):
        value = self.value()
        path = f"analysis__{self.parameter_name}"
        return queryset.filter(**{path: value}) if value else queryset


class CategoryFilter(AnalysisFilter):
    title = gettext_lazy("category")
    parameter_name = "category"

    def lookups(self, request, model_admin):
        return [
            (name, name)
            for taxonomy in SHIPPED.values()
            for name in taxonomy.categories
        ]


class SentimentFilter(AnalysisFilter):
    title = gettext_lazy("sentiment")
    parameter_name = "sentiment"

    def lookups(self, request, model_admin):
        return [(name, name.replace("_", " ")) for name in SENTIMENT_TONES]


class ResolutionFilter(AnalysisFilter):
    title = gettext_lazy("resolution")
    parameter_name = "resolution"

    def lookups(self, request, model_admin):
        return [(name, name) for name in ("resolved", "unresolved", "unclear")]


class AccountFilter(TextFilter):
    title = gettext_lazy("account")
    parameter_name = "account"

    def matching(self, queryset, value):
        return queryset.filter(account=value)


@admin.register(ChatSession)
class ChatSessionAdmin(ImportContentMixin, ReadOnlyAdmin):
    import_kind = "chats"
    import_example = {
        "id": "chat-1",
        "channel": "web",
        "started_at": "28.02.2025 14:05:00",
        "language": "english",
        "transcript": "User: When does the course start?\nAssistant: On Monday.",
    }
    list_display = [
        "external_id",
        "attention_label",
        "category",
        "sentiment",
        "resolution",
        "language_label",
        "messages_count",
        "started_at",
        "state",
    ]
    list_filter = [
        AttentionFilter,
        CategoryFilter,
        SentimentFilter,
        ResolutionFilter,
        "source",
        "has_transcript",
        AccountFilter,
    ]
    list_per_page = 50
    ordering = ["-attention", "-id"]
    search_fields = ["external_id"]
    search_help_text = gettext_lazy("The beginning of a session's id.")
    show_full_result_count = False
    sortable_by = ()
    actions = ["export_csv", "export_jsonl"]

    class Media:
        css = {"all": ["batches/admin.css", "chats/chats.css"]}

    def has_import_permission(self, request):
        return request.user.has_perm("translations_chats.import_chatsession")

    def get_queryset(self, request):
        queryset = super().get_queryset(request).select_related("analysis")
        return queryset.defer("told", "analysis__content", "analysis__findings")

    def get_search_results(self, request, queryset, search_term):
        term = search_term.strip()
        if not term:
            return queryset, False
        return queryset.filter(text_range("external_id", term)), False

    @admin.display(description=gettext_lazy("attention"))
    def attention_label(self, session):
        return badge(session.get_attention_display(), TONES[session.attention])

    @admin.display(description=gettext_lazy("category"))
    def category(self, session):
        return session.analysis.category if session.analysis else EMPTY

    @admin.display(description=gettext_lazy("sentiment"))
    def sentiment(self, session):
        if not session.analysis:
            return EMPTY
        said = session.analysis.sentiment
        return badge(said.replace("_", " "), SENTIMENT_TONES[said])

    @admin.display(description=gettext_lazy("resolution"))
    def resolution(self, session):
        return session.analysis.resolution if session.analysis else EMPTY

    @admin.display(description=gettext_lazy("language"))
    def language_label(self, session):
        if session.analysis and session.analysis.item_id:
            return language_name(session.analysis.language)
        return session.language or EMPTY

    @admin.display(description=gettext_lazy("analysis"))
    def state(self, session):
        if not session.has_transcript:
            return badge(_("no transcript yet"), "off")
        if not session.analysis:
            return badge(_("not analysed"), "open")
        if session.is_stale:
            return badge(_("out of date"), "warn")
        if session.analysis_is_sandbox:
            return badge(_("sandbox"), "warn")
        return badge(_("current"), "good")

    @admin.action(
        description=gettext_lazy("Export selected as CSV"), permissions=["view"]
    )
    def export_csv(self, request, queryset):
        return self._file(queryset, "csv")

    @admin.action(
        description=gettext_lazy("Export selected as JSON Lines"), permissions=["view"]
    )
    def export_jsonl(self, request, queryset):
        return self._file(queryset, "jsonl")

    def _file(self, queryset, suffix):
        chosen = ChatSession.objects.filter(pk__in=queryset.order_by().values("pk"))
        headers = {"Content-Disposition": f'attachment; filename="chats.{suffix}"'}
        return StreamingHttpResponse(
            WRITERS[suffix](exported(chosen)),
            content_type=KINDS[suffix],
            headers=headers,
        )

    def panels(self, request, session):
        messages = messages_of([session])[session.pk]
        left_out = session.messages_count - len(messages)
        prepared = prepare(messages, session.names, left_out=left_out)
        panels = [
            self._about(session),
            transcript_panel(session, prepared),
            *([findings_panel(session.analysis)] if session.analysis else []),
            questions_panel(session),
            analyses_panel(session),
        ]
        if prepared.masked.values and request.user.has_perm(
            "translations_chats.see_masked_chatsession"
        ):
            panels.append(
                Panel(
                    title=_("Masked before sending"),
                    columns=[_("Token"), _("What it stands for")],
                    rows=list(prepared.masked.values.items()),
                )
            )
        return panels

    def _about(self, session):
        panel = Panel(
            title=_("Chat session"),
            facts=[
                (_("attention"), self.attention_label(session)),
                (_("analysis"), self.state(session)),
                *facts(
                    session,
                    [
                        *("account", "source", "channel", "country", "language"),
                        *("started_at", "ended_at", "messages_count"),
                    ],
                ),
            ],
        )
        if session.risks:
            words = ", ".join(session.risks.values())
            panel.notes.append(
                _("The customer says: %(words)s. It stays in front for that.")
                % {"words": words}
            )
        if session.is_stale:
            panel.notes.append(_("Messages have changed since its analysis."))
        return panel


@admin.register(Analysis)
class AnalysisAdmin(KeysetAdmin):
    list_display = [
        "id",
        "session_label",
        "category",
        "sentiment",
        "escalation",
        "score",
        "errors",
        "warnings",
        "sandbox",
        "created_at",
    ]
    list_filter = ["escalation", "is_sandbox"]
    list_select_related = ["session"]
    list_defer = ("content", "findings", "session__told")

    @admin.display(description=gettext_lazy("chat session"))
    def session_label(self, analysis):
        return row_link(ChatSession, analysis.session_id, analysis.session.external_id)

    @admin.display(description=gettext_lazy("sandbox"))
    def sandbox(self, analysis):
        return badge(_("sandbox"), "warn") if analysis.is_sandbox else ""

    def panels(self, request, analysis):
        names = ["number", "taxonomy", "left_out", "provider", "model", "score"]
        names += ["errors", "warnings", "checks_version", "is_sandbox", "created_at"]
        told = ChatAnalysis.model_validate(analysis.content)
        return [
            Panel(
                title=_("Where it is from"),
                facts=[
                    (_("chat session"), self.session_label(analysis)),
                    (_("item"), row_link(BatchItem, analysis.item_id)),
                    (_("prompt"), row_link(PromptVersion, analysis.prompt_version_id)),
                    *facts(analysis, names),
                ],
            ),
            Panel(
                title=_("Analysis"), blocks=[AnalysisBlock.of(told, derived(analysis))]
            ),
            findings_panel(analysis),
        ]


@admin.register(Question)
class QuestionAdmin(ReadOnlyAdmin):
    list_display = ["text_start", "language_label", "times_asked", "account"]
    list_filter = [AccountFilter]
    list_per_page = 50
    ordering = ["-times_asked", "-id"]
    show_full_result_count = False
    sortable_by = ()

    @admin.display(description=gettext_lazy("question"))
    def text_start(self, question):
        return question.text[:120]

    @admin.display(description=gettext_lazy("language"))
    def language_label(self, question):
        return language_name(question.language)

    def panels(self, request, question):
        rows = question.sessions.select_related("session").order_by("-session_id")
        return [
            Panel(
                title=_("Question"),
                facts=facts(question, ["account", "language", "times_asked"]),
                blocks=[
                    Block(
                        _("question"),
                        question.text,
                        question.language,
                        direction(question.language),
                    )
                ],
            ),
            Panel(
                title=_("Who asks it"),
                columns=[_("Chat session"), _("Message"), _("Answered")],
                rows=[
                    (
                        row_link(ChatSession, row.session_id, row.session.external_id),
                        row.message_index,
                        _("yes") if row.is_answered else _("no"),
                    )
                    for row in rows[:SESSIONS_SHOWN]
                ],
                empty=_("Nobody, any more."),
            ),
        ]


@advises
def look_at_chats(request):
    """Chats that a person should look at."""
    if not may_see(request, ChatSession):
        return None
    urgent = ChatSession.objects.filter(attention=Attention.URGENT)[:100].count()
    if not urgent:
        return None
    return Step(
        ngettext(
            "The customer of %(count)s chat may need help at once.",
            "The customers of %(count)s chats may need help at once.",
            urgent,
        )
        % {"count": urgent},
        list_url(ChatSession, attention=Attention.URGENT.value),
        _("Read what needs help"),
    )


for group in (EDITOR, REVIEWER, OPERATOR):
    ship(group, *every(ChatSession, Analysis, Question, of=["view"]))
ship(REVIEWER, "translations_chats.see_masked_chatsession")
ship(EDITOR, "translations_chats.import_chatsession")
