"""What a lesson says, as plain text: blocks on lines of their own, no code."""

import hashlib
import json
from html.parser import HTMLParser

import orjson
from markdown_it import MarkdownIt

from translations.lessons.models import Lesson, LessonType, TextFormat
from translations.lessons.texts import substance

_MARKDOWN = MarkdownIt("commonmark").enable("table")
_HIDDEN = frozenset({"code", "pre", "script", "style", "template"})
_INLINE = frozenset(
    {
        *("a", "abbr", "b", "bdi", "cite", "em", "i", "mark", "q", "s", "small"),
        *("span", "strong", "sub", "sup", "u"),
    }
)


class _Words(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self.hidden = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag in _HIDDEN:
            self.hidden += 1
        elif tag not in _INLINE:
            self.found.append("\n")

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        self.found.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in _HIDDEN:
            self.hidden = max(0, self.hidden - 1)
        elif tag not in _INLINE:
            self.found.append("\n")

    def handle_data(self, data: str) -> None:
        if not self.hidden:
            self.found.append(data)


def plain_text(body: str, format: str) -> str:
    if format == TextFormat.MARKDOWN:
        body, format = _MARKDOWN.render(body), TextFormat.HTML
    if format == TextFormat.HTML:
        parser = _Words()
        parser.feed(body)
        parser.close()
        body = "".join(parser.found)
    lines = (" ".join(line.split()) for line in body.splitlines())
    return "\n".join(line for line in lines if line)


def is_json(body: str) -> bool:
    """Whether a body is data and no prose: the questions of a quiz, mostly."""
    if body.lstrip()[:1] not in ("{", "["):
        return False
    try:
        json.loads(body)
    except ValueError:
        return False
    return True


def has_prose(lesson: Lesson) -> bool:
    return lesson.lesson_type != LessonType.QUIZ and not is_json(lesson.body or "")


def lesson_text(lesson: Lesson) -> str:
    """The body where it is prose, else the description; blank where there is none."""
    body = (
        plain_text(lesson.body or "", lesson.body_format) if has_prose(lesson) else ""
    )
    return body or plain_text(lesson.description or "", TextFormat.TEXT)


def content_hash(*parts: object) -> str:
    return hashlib.sha256(orjson.dumps(parts)).hexdigest()


def lesson_hash(lesson: Lesson) -> str:
    """Another where words or numbers changed; not where only marks or blanks did."""
    return content_hash(substance(lesson.title), substance(lesson_text(lesson)))
