"""The lists of categories that a chat may be put into."""

import hashlib
import re
from dataclasses import dataclass

from batches.errors import ConfigError

_CATEGORY = re.compile(r"[A-Za-z][A-Za-z0-9_]{1,39}")
MOST_CATEGORIES = 48  # what every provider takes in an enum, with room


@dataclass(frozen=True, slots=True)
class Taxonomy:
    """`categories` in order; the last stands for whatever fits none."""

    name: str
    categories: tuple[str, ...]

    @property
    def other(self) -> str:
        return self.categories[-1]

    @property
    def version(self) -> str:
        """`academy-3f2a91c0`: another list under the same name is another version."""
        digest = hashlib.sha256("\n".join(self.categories).encode()).hexdigest()
        return f"{self.name}-{digest[:8]}"


ACADEMY = Taxonomy(
    "academy",
    (
        "payment_billing",
        "refund_cancellation",
        "account_access",
        "technical_issue",
        "course_content",
        "certificate",
        "enrolment",
        "feedback_praise",
        "complaint",
        "other",
    ),
)
STAFF = Taxonomy(
    "staff",
    (
        "SCHEDULE_HOURS",
        "LEAVE_VACATION",
        "SICK_LEAVE_RECOVERY",
        "SALARY_COMPENSATION",
        "CONTRACT_HOURS",
        "ONBOARDING",
        "OFFBOARDING",
        "WORKWEAR_STAFF_PASS",
        "TEAM_CONTACTS",
        "PERSONAL_QUESTIONS",
        "ACCESS_LOGIN",
        "SOCIAL_QUESTIONS",
        "UNRECOGNIZED_OTHER",
    ),
)
SHIPPED = {taxonomy.name: taxonomy for taxonomy in (ACADEMY, STAFF)}


def taxonomy_of(text: str) -> Taxonomy:
    """A shipped list by its name, or a list of one's own: `sales|returns|other`.

    ValueError says what is wrong with it.
    """
    text = text.strip()
    if text in SHIPPED:
        return SHIPPED[text]
    names = tuple(part.strip() for part in text.split("|"))
    if len(names) < 2:
        raise ValueError(
            f"write {' or '.join(SHIPPED)}, or categories of your own with | between "
            "them, the last for what fits none."
        )
    for name in names:
        if not _CATEGORY.fullmatch(name):
            raise ValueError(
                f"{name!r} is no category; write 2 to 40 letters from a to z, digits "
                "and _."
            )
    if len(set(names)) < len(names):
        raise ValueError("a category stands there twice; name each once.")
    if len(names) > MOST_CATEGORIES:
        raise ValueError(f"{len(names)} are too many; {MOST_CATEGORIES} is the most.")
    return Taxonomy("own", names)


def default_taxonomy(setting: str) -> Taxonomy:
    """That of CHAT_CATEGORIES; ConfigError where it names none."""
    try:
        return taxonomy_of(setting)
    except ValueError as err:
        raise ConfigError(f"CHAT_CATEGORIES is {setting!r}: {err}") from err
