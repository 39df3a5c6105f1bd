"""A model's answer as people read it: JSON of any shape as lists and terms, escaped."""

import re
from typing import Any

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import get_language_info
from django.utils.translation import gettext as _

# Deeper than any answer of ours; what lies below is shown as the text that it is.
DEEPEST = 8
TAG = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")


def readable(value: Any, *, language: str = "", depth: int = 0) -> str:
    """Safe HTML: objects as terms, arrays as lists, texts in their own direction.

    In an object that names its `language`, texts are marked as being in it.
    """
    if depth < DEEPEST and isinstance(value, dict):
        return _terms(value, language, depth)
    if depth < DEEPEST and isinstance(value, list):
        return _list(value, language, depth)
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if value is None or value == "":
        return "—"
    if language:
        attributes = format_html(' lang="{}" dir="{}"', language, _direction(language))
    else:
        attributes = format_html(' dir="{}"', "auto")
    return format_html("<span{}>{}</span>", attributes, value)


def as_text(name: str) -> str:
    """`contextual_meaning` as it is read: contextual meaning."""
    return name.replace("_", " ")


def _terms(value: dict[str, Any], language: str, depth: int) -> SafeString:
    named = value.get("language")
    if isinstance(named, str) and TAG.fullmatch(named):
        language = named
    terms = (
        (
            as_text(name),
            readable(
                inner,
                language="" if name == "language" else language,
                depth=depth + 1,
            ),
        )
        for name, inner in value.items()
    )
    return format_html(
        '<dl class="answer">{}</dl>',
        format_html_join("", "<div><dt>{}</dt><dd>{}</dd></div>", terms),
    )


def _list(values: list[Any], language: str, depth: int) -> str:
    if not values:
        return "—"
    shown = ((readable(one, language=language, depth=depth + 1),) for one in values)
    return format_html("<ul>{}</ul>", format_html_join("", "<li>{}</li>", shown))


def _direction(language: str) -> str:
    """`auto` for a language that Django does not know: its text says by itself."""
    try:
        return "rtl" if get_language_info(language)["bidi"] else "ltr"
    except KeyError:
        return "auto"
