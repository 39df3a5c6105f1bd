"""What may be asked of runs over chat sessions."""

from pydantic import Field, field_validator

from batches.workloads import RunOptions
from translations.chats.taxonomies import taxonomy_of
from translations.languages import is_known


class SessionOptions(RunOptions):
    sessions: list[str] = Field(
        default_factory=list,
        description="id of a chat session; default all that need it",
        json_schema_extra={"flag": "session"},
    )
    of_account: str | None = Field(
        default=None, description="account whose sessions are taken; default all"
    )
    categories: str = Field(
        default="",
        description="list of categories: academy, staff, or one|two|other; default "
        "CHAT_CATEGORIES",
    )
    staff_language: str = Field(
        default="", description="language of summaries; default CHAT_STAFF_LANGUAGE"
    )
    redo: bool = Field(
        default=False, description="analyse anew what is current already, too"
    )

    @field_validator("categories")
    @classmethod
    def _categories_are_a_list(cls, text: str) -> str:
        if text:
            taxonomy_of(text)
        return text

    @field_validator("staff_language")
    @classmethod
    def _language_is_known(cls, tag: str) -> str:
        if tag and not is_known(tag):
            raise ValueError("this is no language tag we know; write en, so or nl.")
        return tag
