"""Who a person is here, and how far that reaches through the API.

A role other than staff and superuser is a group of Django's, and its permissions say
what its members may do on the admin's pages. The API asks for scopes, as of keys: what
each role comes to in scopes stands here.
"""

from enum import StrEnum

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User

from batches.models.api_key import Scope


class Role(StrEnum):
    """From nobody to whoever may do everything."""

    ANONYMOUS = "anonymous"
    USER = "user"
    STAFF = "staff"
    EDITOR = "editor"
    REVIEWER = "reviewer"
    OPERATOR = "operator"
    AUDITOR = "auditor"
    SUPERUSER = "superuser"


# Superusers have it, as they have every permission.
PLATFORM_ADMIN = "batches.platform_admin"

READERS = frozenset({Scope.READ, Scope.READ_CONTENT})
EVERYTHING = frozenset(Scope)
# The groups that come with the project.
SCOPES_OF_GROUP: dict[str, frozenset[Scope]] = {
    Role.EDITOR: READERS,
    Role.REVIEWER: READERS,
    Role.OPERATOR: EVERYTHING,
    Role.AUDITOR: READERS,
}


def scopes_of(user: User) -> frozenset[Scope]:
    """What a member of staff may do through the API, whether by session or by key.

    The scopes of all their groups together. An account with staff status and none of
    the project's groups is what the academy's system called an administrator: there
    the flag alone opened everything, and programs written for it rely on that.
    """
    if user.is_superuser:
        return EVERYTHING
    names = user.groups.filter(name__in=SCOPES_OF_GROUP).values_list("name", flat=True)
    held = [SCOPES_OF_GROUP[name] for name in names]
    return frozenset().union(*held) if held else EVERYTHING


def is_platform_admin(user: AbstractBaseUser | AnonymousUser) -> bool:
    """Whether they may reach every account's work: superusers, and whom one chose."""
    return isinstance(user, User) and user.is_active and user.has_perm(PLATFORM_ADMIN)
