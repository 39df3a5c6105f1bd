"""Chat sessions from rows: a CSV of 16 columns without a header, or JSON Lines."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, ClassVar

from django.utils import timezone
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from translations.chats.models import LONGEST_ID, Source
from translations.chats.sessions import SessionData, store_sessions
from translations.chats.transcripts import (
    ROLES,
    Said,
    TranscriptRefused,
    read_moment,
    read_transcript,
)
from translations.importing import BadRow, ContentRow, Importer, Stored, WrongField

# The columns of the earlier system's file, in its order.
LEGACY_COLUMNS = (
    *("id", "started_at", "ended_at", "ip_address", "country", "language"),
    *("messages_sent", "sentiment", "escalated", "forwarded_hr", "transcript_url"),
    *("avg_response_time", "tokens", "tokens_eur", "category", "initial_msg"),
)
# What a row tells of a session and we keep beside it, under the file's own names.
TOLD = LEGACY_COLUMNS[6:] + ("ip_address",)
MOST_MESSAGES = 20_000
LONGEST_MESSAGE = 100_000  # characters
YES = frozenset({"yes", "y", "true", "1", "ja", "haa"})
NO = frozenset({"no", "n", "false", "0", "nee", "nein", "maya"})


def _without_nul(value: str) -> str:
    if "\0" in value:
        raise ValueError("It has a NUL character; take it out.")
    return value


def _not_blank(value: str) -> str:
    if not value.strip():
        raise ValueError("It is empty; every session needs one of its own.")
    return value.strip()


def _moment(value: Any) -> Any:
    """A day and time as the earlier system writes it, or as ISO 8601."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    try:
        moment = read_moment(text) if "." in text[:6] else datetime.fromisoformat(text)
    except ValueError as err:
        raise ValueError(
            "It is no day and time there is; write it as 28.02.2025 14:05:00, or as "
            "2025-02-28T14:05:00Z."
        ) from err
    return timezone.make_aware(moment) if timezone.is_naive(moment) else moment


def _country(value: str) -> str:
    value = value.strip().upper()
    if value and not (len(value) in (2, 3) and value.isascii() and value.isalpha()):
        raise ValueError("It is no country of two or three letters such as NL or NLD.")
    return value


def _flag(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    word = value.strip().casefold()
    if word in YES:
        return True
    if word in NO:
        return False
    if not word:
        return None
    raise ValueError("It is neither yes nor no; write one of them, or leave it empty.")


def _role(value: str) -> str:
    role = ROLES.get(value.strip().casefold())
    if role is None:
        raise ValueError(f"It is no role; write one of {', '.join(ROLES)}.")
    return role


Text = Annotated[str, AfterValidator(_without_nul)]
Id = Annotated[Text, Field(max_length=LONGEST_ID), AfterValidator(_not_blank)]
Name = Annotated[Text, Field(max_length=100)]
Moment = Annotated[datetime, BeforeValidator(_moment)]
Flag = Annotated[bool | None, BeforeValidator(_flag)]
Amount = Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, le=2**31 - 1)]


class MessageRow(BaseModel):
    """One message; its index is its place, whatever the file says."""

    model_config = ConfigDict(extra="ignore")

    role: Annotated[Text, AfterValidator(_role)]
    text: Annotated[Text, Field(max_length=LONGEST_MESSAGE)]
    sent_at: Moment | None = None


class SessionRow(ContentRow):
    """A chat session. Its messages come as a list, or as one text in `transcript`."""

    bare_columns: ClassVar = LEGACY_COLUMNS

    id: Id
    account: Name | None = None
    channel: Annotated[Text, Field(max_length=40)] | None = None
    started_at: Moment | None = None
    ended_at: Moment | None = None
    ip_address: Annotated[Text, Field(max_length=60)] | None = None
    country: Annotated[Text, AfterValidator(_country)] | None = None
    language: Annotated[Text, Field(max_length=60)] | None = None
    messages_sent: Count | None = None
    sentiment: Annotated[Text, Field(max_length=60)] | None = None
    escalated: Flag = None
    forwarded_hr: Flag = None
    transcript_url: Annotated[Text, Field(max_length=500)] | None = None
    avg_response_time: Amount | None = None
    tokens: Count | None = None
    tokens_eur: Amount | None = None
    category: Annotated[Text, Field(max_length=60)] | None = None
    initial_msg: Text | None = None
    customer_name: Name | None = None
    agent_names: list[Name] | None = None
    messages: Annotated[list[MessageRow], Field(max_length=MOST_MESSAGES)] | None = None
    transcript: Text | None = None
    _is_of_csv: bool = PrivateAttr(default=False)

    @model_validator(mode="after")
    def _fits_together(self, info: ValidationInfo) -> "SessionRow":
        self._is_of_csv = info.mode == "python"  # cells, and no JSON
        if self.started_at and self.ended_at and self.ended_at < self.started_at:
            raise WrongField(
                "ended_at",
                self.ended_at.isoformat(),
                f"It is before the session began ({self.started_at.isoformat()}); "
                "correct one of them.",
            )
        if self.transcript is not None:
            if self.messages is not None:
                raise WrongField(
                    "transcript",
                    self.transcript[:60],
                    "There are messages too; give one of them.",
                )
            self.messages = messages_of(self.transcript)
        return self

    def data(self, source: Source, *, account: str = "") -> SessionData:
        """What is given of it; what is not given leaves what is stored alone."""
        given: dict[str, Any] = {"source": source}
        for name in ("channel", "country", "started_at", "ended_at"):
            if (value := getattr(self, name)) is not None:
                given[name] = value
        if self.language is not None:
            given["language"] = " ".join(self.language.split()).capitalize()
        if self.customer_name is not None:
            given["customer_names"] = [self.customer_name]
        if self.agent_names is not None:
            given["agent_names"] = self.agent_names
        told = {name: getattr(self, name) for name in TOLD}
        messages = None
        if self.messages is not None:
            messages = [Said(m.role, m.text, m.sent_at) for m in self.messages]
        return SessionData(
            key=(self.account if self.account is not None else account, self.id),
            values=given,
            told={name: value for name, value in told.items() if value is not None},
            messages=messages,
        )


def messages_of(transcript: str) -> list[MessageRow]:
    """The messages of a transcript; WrongField names the line that cannot be read."""
    try:
        found = read_transcript(transcript)
        return [
            MessageRow(
                role=said.role,
                text=said.text,
                sent_at=timezone.make_aware(said.sent_at) if said.sent_at else None,
            )
            for said in found
        ]
    except TranscriptRefused as err:
        raise WrongField("transcript", err.value, str(err)) from err
    except ValidationError as err:
        problem = err.errors(include_url=False)[0]["msg"]
        raise WrongField(
            "transcript", "", f"A message is not right: {problem}"
        ) from err


def store_rows(
    rows: Sequence[tuple[int, SessionRow]],
    *,
    account: str = "",
    directory: Path | None = None,
    is_of_api: bool = False,
) -> Stored:
    """Rows of a file, or of a program; what came in a CSV is called legacy.

    `account` is that of rows which name none; `directory` holds transcripts of rows
    which have no messages. One that cannot be read leaves its row out.
    """
    taken, bad = [], []
    for line, row in rows:
        source = Source.LEGACY if row._is_of_csv else Source.FILE
        if is_of_api:
            source = Source.API
        try:
            if directory and row.messages is None:
                row.messages = _messages_in(directory, row)
            taken.append((line, row.data(source, account=account)))
        except WrongField as err:
            bad.append(BadRow(line, err.field, str(err.value), str(err)))
    stored = store_sessions(taken)
    stored.bad += bad
    return stored


def _messages_in(directory: Path, row: SessionRow) -> list[MessageRow] | None:
    """What the session's file says; None where there is no such file."""
    for name in transcript_names(row.id, row.transcript_url or ""):
        path = directory / name
        if not path.is_file():
            continue
        try:
            return messages_of(path.read_text("utf-8-sig"))
        except UnicodeDecodeError as err:
            raise WrongField(
                "transcript",
                name,
                f"It is not UTF-8 (byte {err.start}); save it as UTF-8.",
            ) from err
        except OSError as err:
            raise WrongField(
                "transcript", name, f"It cannot be read ({err.strerror})."
            ) from err
    return None


def transcript_names(session_id: str, url: str) -> list[str]:
    """The names of files that may be a session's transcript, the likeliest first.

    Names alone, and no ways into other directories.
    """
    last = url.partition("?")[0].rpartition("/")[2]
    names = [f"{session_id}.txt"]
    if last.strip("."):
        names += [last, f"{last}.txt"]
    return [
        name
        for name in dict.fromkeys(names)
        if name.isprintable() and not {"/", "\\"} & set(name)
    ]


CHATS = Importer("chats", ("chat session", "chat sessions"), SessionRow, store_rows)
