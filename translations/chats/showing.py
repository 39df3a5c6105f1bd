"""A transcript and an analysis as people read them; all of it escaped."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from batches.admin.panels import Block
from translations.chats.models import Role
from translations.chats.shapes import ChatAnalysis
from translations.languages import language_name


@dataclass
class MadeBlock(Block):
    """A block whose `html` was put together here, of escaped parts."""

    html: SafeString = SafeString("")

    @property
    def shown(self) -> str:
        return self.html or self.text

    @property
    def is_open(self) -> bool:
        return True


class TranscriptBlock(MadeBlock):
    @classmethod
    def of(
        cls,
        messages: Sequence[Mapping[str, Any]],
        quotes: Mapping[int, Sequence[str]],
    ) -> "TranscriptBlock":
        """Messages as they were sent; `quotes` are marked, by the message's index."""
        html = format_html_join(
            "",
            '<span class="chat-message chat-{}" id="message-{}"><span class="chat-by">'
            '<bdi dir="ltr">{} · {}</bdi></span><span class="chat-text" dir="auto">{}'
            "</span></span>",
            (
                (
                    message["role"],
                    message["index"],
                    message["index"],
                    _by(message),
                    marked(message["text"], quotes.get(message["index"], ())),
                )
                for message in messages
            ),
        )
        return cls(_("transcript, as it is sent"), "", html=html)


class AnalysisBlock(MadeBlock):
    @classmethod
    def of(cls, told: ChatAnalysis, derived: Mapping[str, Any]) -> "AnalysisBlock":
        reasons = ", ".join(told.escalation.reasons)
        lines = [
            (_("category"), ", ".join([told.category, *told.secondary_categories])),
            (_("sentiment"), f"{told.sentiment}, {told.sentiment_end}"),
            (_("resolution"), told.resolution),
            (_("escalation"), f"{told.escalation.level} ({reasons or '–'})"),
            (_("language"), language_name(told.primary_language)),
            (_("escalated"), _("yes") if derived["escalated"] else _("no")),
            (_("for a person"), _("yes") if derived["forwarded_hr"] else _("no")),
            (_("summary"), told.summary or "–"),
        ]
        lines += [(_("question"), one.text) for one in told.questions]
        html = format_html_join(
            "",
            '<span class="chat-fact"><span class="chat-by">{}</span>'
            '<span class="chat-text" dir="auto">{}</span></span>',
            lines,
        )
        evidence = format_html_join(
            "",
            '<span class="chat-fact"><span class="chat-by">{} '
            '<a href="#message-{}">{}</a></span>'
            '<q class="chat-text" dir="auto">{}</q></span>',
            (
                (_("evidence, %(label)s") % {"label": row.label}, index, index, quote)
                for row in told.evidence
                for index, quote in [(row.message_index, row.quote)]
            ),
        )
        return cls(_("analysis"), "", html=format_html("{}{}", html, evidence))


def marked(text: str, quotes: Sequence[str]) -> SafeString:
    """A text with its quotes in `<mark>`; they are found as the checks find them, but
    for another form of Unicode."""
    spans = sorted(span for quote in quotes for span in _spans(text, quote))
    parts: list[SafeString] = []
    end = 0
    for start, stop in spans:
        if start < end:
            continue
        parts.append(
            format_html("{}<mark>{}</mark>", text[end:start], text[start:stop])
        )
        end = stop
    parts.append(format_html("{}", text[end:]))
    return format_html_join("", "{}", ((part,) for part in parts))


def _spans(text: str, quote: str) -> list[tuple[int, int]]:
    words = [_with_any_quotes(word) for word in quote.split()]
    if not words:
        return []
    found = re.search(r"\s+".join(words), text, re.IGNORECASE)
    return [found.span()] if found else []


def _with_any_quotes(word: str) -> str:
    """A pattern of a word; typographic and straight quotes are alike."""
    pattern = re.escape(word)
    pattern = re.sub("['‘’ʼ‚]", "['‘’ʼ‚]", pattern)
    return re.sub('["“”„«»]', '["“”„«»]', pattern)


def _by(message: Mapping[str, Any]) -> str:
    who = str(Role(message["role"]).label)
    at = (message["sent_at"] or "")[:16].replace("T", " ")
    return f"{who} {at}".rstrip()
