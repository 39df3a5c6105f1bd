"""Proposals: a list to choose from, and a page that shows what one would change."""

from django.contrib import admin
from django.utils.html import format_html_join
from django.utils.text import Truncator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from batches.admin.acts import Act, ActsAdmin, how_many
from batches.admin.base import KeysetAdmin, ReadOnlyAdmin
from batches.admin.desk import counts
from batches.admin.display import EMPTY, badge, link, number, row_link, row_url, up_to
from batches.admin.filters import ChoiceFilter, whole_key
from batches.admin.groups import EDITOR, OPERATOR, REVIEWER, every, ship
from batches.admin.panels import Block, DiffBlock, Panel, facts
from batches.admin.subjects import may_see
from batches.models import BatchItem
from translations.admin.everything import (
    RISKIEST_FIRST,
    Kind,
    Waiting,
    everything_url,
    in_queue,
    url_of_next,
)
from translations.admin.rejecting import RejectForm
from translations.admin.units import findings_panel, sandbox_mark
from translations.languages import direction, language_name
from translations.lessons.models import (
    Lesson,
    LessonSummary,
    Proposal,
    ProposalKind,
    ProposalStatus,
)
from translations.lessons.proposals.acts import (
    APPLY,
    REJECT,
    REVERT,
    apply_proposal,
    marked,
    possible_for_proposal,
    reject_proposal,
    revert_proposal,
)
from translations.lessons.proposals.contents import (
    in_order,
    present,
    row_of,
    source_hash_of,
)
from translations.lessons.proposals.diffs import field_texts, lines_diff
from translations.lessons.quizzes.reading import IDS
from translations.review.queue import came_first

COUNTED = 10_000
TONES = {
    ProposalStatus.APPLIED: "good",
    ProposalStatus.REJECTED: "bad",
    ProposalStatus.REVERTED: "warn",
    ProposalStatus.SUPERSEDED: "off",
}
FIELDS = {
    "question": gettext_lazy("question"),
    "options": gettext_lazy("options"),
    "explanation": gettext_lazy("explanation"),
    "difficulty": gettext_lazy("difficulty"),
    "summary_short": gettext_lazy("in one sentence"),
    "summary": gettext_lazy("summary"),
    "key_points": gettext_lazy("key points"),
    "objectives": gettext_lazy("objectives"),
}


def rows_in_words(count):
    return ngettext("%(count)s proposal.", "%(count)s proposals.", count) % {
        "count": number(count)
    }


def _act(name, label, says, done, do, *, is_grave=False, form=None):
    return Act(
        name=name,
        kind=name,
        label=label,
        says=says,
        done=done,
        permission=f"translations_lessons.{name}_proposal",
        do=do,
        effect=how_many,
        in_words=rows_in_words,
        is_grave=is_grave,
        form=form,
    )


ACTS = (
    _act(
        APPLY,
        gettext_lazy("Apply"),
        gettext_lazy(
            "What is proposed is written into the lesson or the question. The right "
            "answer of a question stays where it is. It can be taken back."
        ),
        gettext_lazy("Applied"),
        apply_proposal,
    ),
    _act(
        REJECT,
        gettext_lazy("Reject"),
        gettext_lazy(
            "The lesson or the question stays as it is, and is not asked about again "
            "until it changes, or until a run is told to ask anew (--redo)."
        ),
        gettext_lazy("Rejected"),
        reject_proposal,
        is_grave=True,
        form=RejectForm,
    ),
    _act(
        REVERT,
        gettext_lazy("Take back"),
        gettext_lazy(
            "What stood there before is written again. Where somebody has changed it "
            "since, nothing is done."
        ),
        gettext_lazy("Taken back"),
        revert_proposal,
        is_grave=True,
    ),
)


class ErrorsFilter(ChoiceFilter):
    title = gettext_lazy("automatic checks")
    parameter_name = "checks"

    def lookups(self, request, model_admin):
        return [
            ("clean", _("nothing found")),
            ("warnings", _("warnings alone")),
            ("errors", _("errors")),
        ]

    def queryset(self, request, queryset):
        match self.value():
            case "clean":
                return queryset.filter(errors=0, warnings=0)
            case "warnings":
                return queryset.filter(errors=0, warnings__gt=0)
            case "errors":
                return queryset.filter(errors__gt=0)
        return queryset


@admin.register(Proposal)
class ProposalAdmin(ActsAdmin, KeysetAdmin):
    acts = ACTS
    act_column = gettext_lazy("For")
    list_display = [
        "id",
        "subject",
        "kind",
        "language_label",
        "status_label",
        "score",
        "errors",
        "warnings",
        "marks",
        "created_at",
    ]
    list_filter = ["kind", "status", ErrorsFilter, "key_disputed", "is_sandbox"]
    list_select_related = ["lesson", "question"]
    list_defer = (
        *("content", "before", "replaced", "findings"),
        *("lesson__description", "lesson__body", "lesson__assignment_requirements"),
        *("question__explanation", "question__options"),
    )
    search_fields = ["id"]
    search_help_text = gettext_lazy(
        "A proposal's number, or a lesson's or question's external id."
    )

    def get_search_results(self, request, queryset, search_term):
        term = search_term.strip()
        if not term:
            return queryset, False
        found = queryset.filter(lesson__external_id=term)
        found |= queryset.filter(question__external_id=term)
        if (key := whole_key(term)) is not None:
            found |= queryset.filter(pk=key)
        return found, False

    @admin.display(description=gettext_lazy("for"))
    def subject(self, proposal):
        return subject_link(proposal)

    @admin.display(description=gettext_lazy("language"))
    def language_label(self, proposal):
        return language_name(proposal.language)

    @admin.display(description=gettext_lazy("status"))
    def status_label(self, proposal):
        return status_label(proposal)

    @admin.display(description="")
    def marks(self, proposal):
        return marks(proposal)

    def url_after(self, request, act, rows):
        if act.kind == REVERT or len(rows) > 1:
            return super().url_after(request, act, rows)
        return url_of_next(request, rows[0].kind)

    def act_row(self, proposal):
        return (
            row_link(Proposal, proposal.pk, str(proposal)),
            status_label(proposal),
            subject_link(proposal),
        )

    def possible_acts(self, proposal, context):
        return possible_for_proposal(proposal)

    def panels(self, request, proposal):
        panels = [proposal_panel(proposal), change_panel(proposal)]
        if proposal.kind == ProposalKind.QUIZ:
            panels += [options_panel(proposal), reasons_panel(proposal)]
        else:
            panels.append(objectives_panel(proposal))
        panels += [findings_panel(proposal), others_panel(proposal)]
        return panels


def subject_link(proposal):
    """The content row by its own words; the page that it links to asks who may see."""
    row = proposal.lesson or proposal.question
    return row_link(type(row), row.pk, Truncator(str(row)).chars(60))


def status_label(proposal):
    return badge(proposal.get_status_display(), TONES.get(proposal.status, "open"))


def marks(proposal):
    found = [badge(_("key disputed"), "warn")] if proposal.key_disputed else []
    found += [sandbox_mark()] if proposal.is_sandbox else []
    return format_html_join(" ", "{}", ((mark,) for mark in found))


def proposal_panel(proposal):
    names = ["number", "score", "errors", "warnings", "created_at", "provider"]
    names += ["model", "prompt_version", "decided_by", "decided_at"]
    names += ["reason", "explanation"] if proposal.reason else []
    panel = Panel(
        title=_("Proposal"),
        facts=[
            (_("for"), subject_link(proposal)),
            (_("kind"), proposal.get_kind_display()),
            (_("language"), language_name(proposal.language)),
            (_("status"), status_label(proposal)),
            (_("item"), row_link(BatchItem, proposal.item_id)),
            *facts(proposal, names),
        ],
    )
    if found := marks(proposal):
        panel.facts.append((_("marks"), found))
    if proposal.status == ProposalStatus.PENDING:
        panel.notes += waiting_notes(proposal)
    return panel


def waiting_notes(proposal):
    if source_hash_of(row_of(proposal)) != proposal.source_hash:
        yield _(
            "The lesson or the question was changed since this was asked for: it "
            "cannot be applied. Have a new one made."
        )
    if proposal.errors:
        yield _(
            "The automatic checks found errors: it cannot be applied. Reject it, and "
            "have a new one made; or change the lesson or the question by hand."
        )


def change_panel(proposal):
    """Every field that would be another, with its changes marked."""
    panel = Panel(
        title=_("What it changes"),
        empty=_("Nothing: every field is as it was."),
    )
    same = []
    for name, before, after in field_texts(proposal):
        if before == after:
            same.append(str(FIELDS[name]))
            continue
        panel.blocks.append(
            DiffBlock(
                label=FIELDS[name],
                text=after,
                runs=lines_diff(before, after),
                language=proposal.language,
                direction=direction(proposal.language),
            )
        )
    if same and panel.blocks:
        panel.notes.append(_("As it was: %(fields)s.") % {"fields": ", ".join(same)})
    if panel.blocks and not (proposal.replaced or proposal.before):
        panel.notes.append(_("There was none before."))
    return panel


def options_panel(proposal):
    """Each option with its reason; the key as it is, and as the model marks it."""
    key = (proposal.before or {}).get("key")
    chosen = marked(proposal)
    rows = []
    for at, option in enumerate(in_order(proposal.content["options"])):
        labels = [badge(_("right"), "good")] if at == key else []
        if (at in chosen) != (at == key):
            word = _("right, says the model") if at in chosen else _("wrong, it says")
            labels.append(badge(word, "warn"))
        cells = format_html_join(" ", "{}", ((label,) for label in labels))
        rows.append((option["id"], option["text"], cells or EMPTY, option["rationale"]))
    panel = Panel(
        title=_("Options and key"),
        columns=[_("Option"), _("Text"), _("Key"), _("Reason")],
        rows=rows,
        is_stacked=True,
    )
    if isinstance(key, int):
        panel.notes.append(
            _("The right answer is “%(key)s”. Applying this does not move it.")
            % {"key": IDS[key]}
        )
    quote = proposal.content["evidence_quote"]
    panel.notes.append(
        _("The lesson's words for it: “%(quote)s”.") % {"quote": quote}
        if quote
        else _("The lesson does not say it.")
    )
    return panel


def objectives_panel(proposal):
    return Panel(
        title=_("Objectives"),
        columns=[_("Objective"), _("Level"), _("Verb"), _("From the lesson")],
        rows=[
            (aim["text"], aim["bloom_level"], aim["verb"], aim["evidence_quote"])
            for aim in proposal.content["objectives"]
        ],
        empty=_("It has no objectives."),
        is_stacked=True,
    )


def reasons_panel(proposal):
    return Panel(
        title=_("The model's reasons"),
        columns=[_("Field"), _("Issue"), _("Reason")],
        rows=[
            (
                FIELDS.get(change["field"], change["field"]),
                change["issue"].replace("_", " "),
                change["reason"],
            )
            for change in proposal.content["changes"]
        ],
        empty=_("It names no change."),
        is_stacked=True,
    )


def others_panel(proposal):
    """The other versions for the same row in the same language."""
    others = Proposal.objects.filter(
        kind=proposal.kind,
        lesson=proposal.lesson_id,
        question=proposal.question_id,
        language=proposal.language,
    ).exclude(pk=proposal.pk)
    others = others.only("number", "status", "score", "kind", "decided_by")
    return Panel(
        title=_("Other versions"),
        columns=[_("Version"), _("Status"), _("Checks"), _("By")],
        rows=[
            (
                row_link(Proposal, other.pk, str(other.number)),
                status_label(other),
                other.score,
                other.decided_by or EMPTY,
            )
            for other in others.order_by("-number")[:20]
        ],
        empty=_("There is no other."),
    )


@admin.register(LessonSummary)
class LessonSummaryAdmin(ReadOnlyAdmin):
    """The summaries in use. They change by applying proposals, or taking them back."""

    list_display = ["lesson", "language", "summary_short", "updated_at"]
    list_filter = ["language"]
    list_select_related = ["lesson"]
    search_fields = ["=lesson__external_id", "^lesson__title"]

    def get_queryset(self, request):
        long = ("lesson__description", "lesson__body")
        return super().get_queryset(request).select_related("lesson").defer(*long)

    def panels(self, request, summary):
        values = present(summary.lesson, summary.language) or {}
        aims = "\n".join(
            f"{aim['text']} ({aim['bloom_level']})" for aim in values["objectives"]
        )
        texts = {**values, "objectives": aims}
        texts["key_points"] = "\n".join(values["key_points"])
        rows = Proposal.objects.filter(
            lesson=summary.lesson_id, language=summary.language
        ).order_by("-number")
        return [
            Panel(
                title=_("Summary"),
                facts=[
                    (_("lesson"), row_link(Lesson, summary.lesson_id)),
                    (_("language"), language_name(summary.language)),
                    *facts(summary, ["updated_at"]),
                ],
                blocks=[
                    Block(
                        label=FIELDS[name],
                        text=text,
                        language=summary.language,
                        direction=direction(summary.language),
                    )
                    for name, text in texts.items()
                ],
                links=[row_link(Proposal, row.pk, str(row)) for row in rows[:5]],
            )
        ]


for group in (EDITOR, REVIEWER, OPERATOR):
    ship(group, *every(Proposal, LessonSummary, of=["view"]))
ship(REVIEWER, *[act.permission for act in ACTS])


def _waiting(kind):
    """The proposals of a kind that are to be reviewed, as a queue of them."""
    waiting = Proposal.objects.filter(status=ProposalStatus.PENDING, kind=kind)
    return lambda request: came_first(waiting.all()).order_by(*RISKIEST_FIRST)


def _shown(request, proposals):
    rows = proposals.select_related(*ProposalAdmin.list_select_related)
    for proposal in rows.defer(*ProposalAdmin.list_defer):
        subject = proposal.lesson or proposal.question
        sees = may_see(request, type(subject))
        yield Waiting(
            title=Truncator(str(subject)).chars(80) if sees else str(proposal),
            language=language_name(proposal.language),
            url=row_url(Proposal, proposal.pk),
            score=proposal.score,
            errors=proposal.errors,
            warnings=proposal.warnings,
            since=proposal.created_at,
            is_sandbox=proposal.is_sandbox,
            label=proposal.get_kind_display(),
        )


for kind, label in (
    (ProposalKind.SUMMARY, gettext_lazy("Summaries")),
    (ProposalKind.QUIZ, gettext_lazy("Quiz questions")),
):
    in_queue(Kind(kind.value, label, Proposal, _waiting(kind), _shown))


@counts
def proposals_to_review(request):
    if not may_see(request, Proposal):
        return []
    waiting = Proposal.objects.filter(status=ProposalStatus.PENDING)
    return [(_("proposals to review"), link(everything_url(), up_to(COUNTED, waiting)))]
