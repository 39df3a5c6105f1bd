"""Transcripts as text: `[01.02.2025 10:20:30] User: …`, or without the time; pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

DAY_AND_TIME = "%d.%m.%Y %H:%M:%S"
# How transcripts call who writes, and what we call them.
ROLES = {
    "user": "customer",
    "customer": "customer",
    "client": "customer",
    "visitor": "customer",
    "assistant": "agent",
    "agent": "agent",
    "bot": "agent",
    "system": "system",
}
_START = re.compile(
    rf"(?:\[(?P<at>[^\]\n]{{1,40}})\]\s*)?(?P<role>{'|'.join(ROLES)})\s*:\s?(?P<text>.*)",
    re.IGNORECASE,
)


class TranscriptRefused(ValueError):
    """A transcript that cannot be read; `line` is counted from 1."""

    def __init__(self, line: int, value: str, problem: str) -> None:
        super().__init__(f"Line {line} of the transcript: {problem}")
        self.line = line
        self.value = value


@dataclass(slots=True)
class Said:
    """One message; `role` is customer, agent or system, `sent_at` as it is written, in
    no time zone."""

    role: str
    text: str
    sent_at: datetime | None = None


def read_transcript(text: str) -> list[Said]:
    """The messages in order; lines without a role go on with the message before them.

    None where there is nothing. TranscriptRefused names the line that cannot be read.
    """
    messages: list[Said] = []
    for number, line in enumerate(_lines(text), start=1):
        start = _START.fullmatch(line)
        if start:
            at = _moment(number, start["at"]) if start["at"] else None
            role = ROLES[start["role"].lower()]
            messages.append(Said(role, start["text"].rstrip(), at))
        elif messages:
            messages[-1].text += "\n" + line.rstrip()
        elif line.strip():
            raise TranscriptRefused(
                number,
                line,
                "It begins with no role; write “User: …”, “Assistant: …” or “System: …”"
                " before the first message.",
            )
    for message in messages:
        message.text = message.text.strip()
    return messages


def read_moment(text: str) -> datetime:
    """`01.02.2025 10:20:30`; ValueError says how it is written."""
    try:
        return datetime.strptime(text.strip(), DAY_AND_TIME)
    except ValueError as err:
        raise ValueError(
            "It is no day and time there is; write it as 28.02.2025 14:05:00."
        ) from err


def _moment(line: int, text: str) -> datetime:
    try:
        return read_moment(text)
    except ValueError as err:
        raise TranscriptRefused(line, f"[{text}]", str(err)) from err


def _lines(text: str) -> Iterator[str]:
    """Lines by their ends alone: other separators of Unicode are part of a message."""
    yield from text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n")
