"""Everybody who may call: each role with a session, and a key of each scope."""

from django.contrib.auth.models import Group, User
from django.test import Client

from batches.models.api_key import Scope
from batches.services.api_keys import create_api_key
from batches.services.roles import SCOPES_OF_GROUP, Role
from batchsite.permission_table import KEY

CLIENT = Client()  # one for all: each would load the middleware for itself


def make_user(role: Role) -> User:
    user = User.objects.create_user(
        role, is_staff=role is not Role.USER, is_superuser=role is Role.SUPERUSER
    )
    if role in SCOPES_OF_GROUP:
        user.groups.add(Group.objects.get(name=role))
    return user


class Callers:
    """What each sends along: {caller: cookies} and {caller: headers}.

    The keys are a superuser's, so that it is their scope that decides.
    """

    def __init__(self) -> None:
        self.cookies: dict[str, dict[str, str]] = {}
        self.headers: dict[str, dict[str, str]] = {}
        self.users: dict[str, User] = {}
        for role in Role:
            CLIENT.cookies.clear()
            if role is not Role.ANONYMOUS:
                self.users[role] = make_user(role)
                CLIENT.force_login(self.users[role])
            self.cookies[role] = {k: v.value for k, v in CLIENT.cookies.items()}
        for scope in Scope:
            owner = self.users[scope] = self.users[Role.SUPERUSER]
            _, text = create_api_key(scope, [scope], by="test", owner=owner)
            self.headers[scope] = {"X-API-Key": text}
        self.headers[KEY] = self.headers[Scope.ADMIN]
