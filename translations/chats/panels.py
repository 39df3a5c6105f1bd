"""The panels of a chat session's page."""

from django.utils.translation import gettext as _

from batches.admin.display import EMPTY, badge, moment, number, row_link
from batches.admin.panels import Block, Panel
from batches.models import BatchItem
from translations.chats.export import derived
from translations.chats.models import Analysis, ChatSession, Question
from translations.chats.prompt import Prepared
from translations.chats.shapes import ChatAnalysis
from translations.chats.showing import AnalysisBlock, TranscriptBlock

ANALYSES_SHOWN = 20


def transcript_panel(session: ChatSession, prepared: Prepared) -> Panel:
    """What was said beside what was made of it; the evidence is marked."""
    analysis = session.analysis
    quotes: dict[int, list[str]] = {}
    if analysis:
        for row in analysis.content["evidence"]:
            quotes.setdefault(row["message_index"], []).append(row["quote"])
    panel = Panel(
        title=_("Transcript and analysis"),
        is_side_by_side=True,
        blocks=[TranscriptBlock.of(prepared.messages, quotes)],
        empty=_("No messages are here."),
    )
    if not prepared.messages:
        panel.blocks[0].text = _("It has no messages.")
    if prepared.left_out:
        panel.notes.append(
            _("It is long: %(count)s messages in the middle are not sent or shown.")
            % {"count": number(prepared.left_out)}
        )
    if not analysis:
        text = _("No analysis yet. “run_workload session_analysis” asks for it.")
        panel.blocks.append(Block(_("analysis"), text))
        return panel
    told = ChatAnalysis.model_validate(analysis.content)
    panel.blocks.append(AnalysisBlock.of(told, derived(analysis)))
    if analysis.is_sandbox:
        panel.notes.append(_("It came through the sandbox, not from a real provider."))
    if not analysis.item_id:
        panel.notes.append(_("No model was asked: the customer says next to nothing."))
    return panel


def findings_panel(analysis: Analysis) -> Panel:
    return Panel(
        title=_("Findings"),
        facts=[(_("automatic checks (0–100)"), analysis.score)],
        columns=[_("Severity"), _("Code"), _("Message"), _("Place")],
        rows=[
            (
                badge(_("error"), "bad")
                if finding["severity"] == "error"
                else badge(_("warning"), "warn"),
                finding["code"],
                _(finding["template"]) % finding["params"],
                finding["segment"] or EMPTY,
            )
            for finding in analysis.findings
        ],
        empty=_("The automatic checks found nothing."),
        is_stacked=True,
    )


def questions_panel(session: ChatSession) -> Panel:
    rows = session.questions.select_related("question").order_by("position")
    return Panel(
        title=_("Questions"),
        columns=[_("Question"), _("Message"), _("Answered"), _("Asked in all")],
        rows=[
            (
                row_link(Question, row.question_id, row.question.text),
                row.message_index,
                _("yes") if row.is_answered else _("no"),
                number(row.question.times_asked),
            )
            for row in rows
        ],
        empty=_("It asks nothing that is known of."),
        is_stacked=True,
    )


def analyses_panel(session: ChatSession) -> Panel:
    rows = session.analyses.order_by("-number").defer("content", "findings")
    return Panel(
        title=_("Analyses"),
        columns=[_("Analysis"), _("Model"), _("Item"), _("At")],
        rows=[
            (
                row_link(Analysis, row.pk, number(row.number)),
                row.model or EMPTY,
                row_link(BatchItem, row.item_id),
                moment(row.created_at),
            )
            for row in rows[:ANALYSES_SHOWN]
        ],
        empty=_("None yet."),
    )
