"""Bodies and parameters as they come in, without what no database takes in a text."""

import json
import re
from datetime import UTC, datetime
from typing import Annotated

from django.http import HttpRequest
from django.utils import timezone
from django.utils.datastructures import MultiValueDict
from ninja.parser import Parser
from ninja.types import DictStrAny
from pydantic import AfterValidator

from batches.errors import BatchError

BIGGEST_KEY = 2**63 - 1  # that a database takes
# In JSON; two backslashes before it would be one of the text, and no NUL.
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


def in_utc(at: datetime) -> datetime:
    """Raises ValueError for what no database takes; of no zone, it is the server's."""
    if timezone.is_naive(at):
        at = timezone.make_aware(at, timezone.get_default_timezone())
    try:
        return at.astimezone(UTC)
    except OverflowError as err:
        raise ValueError("it must lie in the years 1 to 9999 of UTC") from err


Moment = Annotated[datetime, AfterValidator(in_utc)]


class BadParameter(BatchError):
    code = "bad_request"

    def __init__(self, name: str, value: str) -> None:
        super().__init__(f"{name} is {value[:60]!r}: it may have no NUL character.")


class StrictParser(Parser):
    """Without NUL and halves of characters: PostgreSQL takes them in no text."""

    def parse_body(self, request: HttpRequest) -> DictStrAny:
        body = super().parse_body(request)
        text = json.dumps(body, ensure_ascii=False)
        text.encode()  # fails for half a character
        if _NUL.search(text):
            raise ValueError("a NUL character")
        return body

    def parse_querydict(
        self,
        data: MultiValueDict[str, str],
        list_fields: list[str],
        request: HttpRequest,
    ) -> DictStrAny:
        for name, values in data.lists():
            for value in values:
                if "\x00" in value:
                    raise BadParameter(name, value)
        return super().parse_querydict(data, list_fields, request)
