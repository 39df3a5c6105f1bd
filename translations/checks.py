"""Advice about how this installation is set up, from what its database holds."""

from collections.abc import Sequence
from typing import Any

from django.contrib.auth import get_user_model
from django.core.checks import CheckMessage, Info
from django.db import connections

from batches import config


def advise_two_people(
    app_configs: Any = None, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """A second reviewer is there, and nobody needs to look over the first's edits."""
    users = get_user_model()
    for alias in databases or ():
        tables = connections[alias].introspection.table_names()
        if {users._meta.db_table, "batches_configoverride"} - set(tables):
            continue
        if config.get("REVIEW_TWO_PEOPLE"):
            return []
        manager = users._default_manager.db_manager(alias)
        reviewers = manager.with_perm(
            "translations.review_translation",
            include_superusers=False,
            backend="django.contrib.auth.backends.ModelBackend",
        )
        if reviewers.count() > 1:
            return [
                Info(
                    "There is more than one reviewer of translations, and each may "
                    "approve what they edited themselves.",
                    hint="Set REVIEW_TWO_PEOPLE to true to have somebody else do it.",
                    id="translations.I001",
                )
            ]
    return []
